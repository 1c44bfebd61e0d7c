"""Files that a command writes where it was told to."""

from pathlib import Path

from entrepot.cli.terminal import MISUSED, Stop


def write_out(path: Path, data: bytes) -> None:
    """Raises Stop where it cannot be written, with what to do."""
    try:
        path.write_bytes(data)
    except FileNotFoundError:
        do = f"mkdir -p {path.parent}, then the same again"
        raise Stop(f"{path} cannot be written: there is no folder {path.parent}", do=do, exit_code=MISUSED) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise Stop(f"{path} cannot be written: {why}", do="name another file", exit_code=MISUSED) from None
