"""The documents refer to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/**/*.md", "sample_data/*.md", "benchmarks/*.md")
    for path in ROOT.glob(pattern)
)
_FOLDERS = (".ci", "zncc_cli", "csrc", "tests", "benchmarks", "sample_data", "docs")
FILES = [path.relative_to(ROOT).as_posix() for folder in _FOLDERS for path in (ROOT / folder).rglob("*.*")]

_CODE_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
_NAMED_SOURCE = re.compile(r"`([\w./-]+/[\w.-]+\.(?:py|h|cu|cuh|cpp|json|j2))`")

pytestmark = pytest.mark.skipif(
    not (ROOT / "benchmarks" / "results").exists(), reason="what the documents link to is in the repository only"
)


def prose(path: Path) -> str:
    """Return a document without its blocks of code."""
    return _CODE_BLOCK.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a document."""
    names: list[str] = []
    for heading in _HEADING.findall(prose(path)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        name = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
        names.append(f"{name}-{count}" if (count := names.count(name)) else name)
    return set(names)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_to_files_and_headings_that_exist(document: str) -> None:
    path = ROOT / document
    for link in _LINK.findall(prose(path)):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{document}: {link}"
        assert not anchor or anchor in anchors(target), f"{document}: {link}: one of {sorted(anchors(target))}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_source_files_that_are_named_exist(document: str) -> None:
    """A name may begin in any folder: `files/images.py` is zncc_cli/files/images.py."""
    for name in _NAMED_SOURCE.findall(prose(ROOT / document)):
        assert any(f"/{file}".endswith(f"/{name}") for file in FILES), f"{document}: {name}"


def test_anchors_are_those_of_github(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("# The `--page` option, and [more](b.md)\n\n```\n# no heading\n```\n\n## Twice\n\n## Twice\n")
    assert anchors(document) == {"the---page-option-and-more", "twice", "twice-1"}
