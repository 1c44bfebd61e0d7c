"""Which admin token a command on this machine sends."""

from pathlib import Path

from entrepot.cli.session import _token
from entrepot.keeper.first_start import make_secrets
from entrepot.storage.folder import Folder


def test_a_server_without_a_first_start_is_reached_with_the_token_among_its_secrets(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "data")
    folder.create()
    assert _token(folder) == ""
    make_secrets(folder)
    token = folder.secret("admin-token").decode()
    assert token.startswith("ep_admin_")
    assert _token(folder) == token
    folder.write_credentials({"admin_token": "as the first start wrote it"})
    assert _token(folder) == "as the first start wrote it"
