"""The man pages say what the commands do."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from zncc_cli.cli.main import app
from zncc_cli.cli.man import man_pages

FOLDER = Path(__file__).parents[2] / "docs" / "man"


def test_the_pages_are_what_the_commands_say() -> None:
    pages = man_pages()
    assert len(pages) == len(app.registered_commands) + 1
    expected = "run: python -m zncc_cli.cli.man docs/man"
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == pages, expected


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff formats man pages")
def test_groff_formats_them_without_a_warning() -> None:
    for page in FOLDER.iterdir():
        command = ["groff", "-ww", "-man", "-Tascii", "-P-cbou", str(page)]
        got = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        assert got.stderr == "", page.name
        if page.name == "zncc-align.1":
            text = got.stdout
    assert "zncc-align FIXED MOVING [OPTIONS]" in text
    assert "--no-data VALUE|auto|none" in text
    assert "   3      the result is not to be trusted" in text
