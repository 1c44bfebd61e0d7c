"""The file of figures in docs/howto/insight.md is one that can be entered."""

import re
from pathlib import Path

from entrepot.insight.entered import read_entered

PAGE = Path(__file__).resolve().parents[3] / "docs" / "howto" / "insight.md"


def test_the_file_that_people_copy_is_read_whole() -> None:
    [text] = re.findall(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found = read_entered(text, "figures.toml")
    kinds = {name for name in found.__struct_fields__ if getattr(found, name)}
    assert kinds == set(found.__struct_fields__) - {"loaded"}
