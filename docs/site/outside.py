"""Which files of the repository are pages of the site, and where; and the links between them."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Pages that lie outside docs/.
_ELSEWHERE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "sample_data/README.md": "sample_data.md",
    "benchmarks/README.md": "benchmarks/index.md",
}
_RESULTS, _PAGES = "benchmarks/results/", "docs/site/pages/"
_GALLERY = "gallery/"
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^()\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)


def files() -> dict[str, str]:
    """Return all files that are pages or pictures of the site, by their places there; without those of the gallery."""
    found = (*ROOT.glob("docs/**/*"), *ROOT.glob(f"{_RESULTS}*"), *(ROOT / name for name in _ELSEWHERE))
    sources = sorted(path.relative_to(ROOT).as_posix() for path in found if path.is_file())
    return {place: source for source in sources if (place := place_of(source)) is not None}


def place_of(source: str) -> str | None:
    """Return where a file of the repository is on the site; None where it is not."""
    if source in _ELSEWHERE:
        return _ELSEWHERE[source]
    for folder, place in ((_RESULTS, "benchmarks/"), (_PAGES, ""), ("docs/", "")):
        if source.startswith(folder):
            rest = source.removeprefix(folder)
            hidden = rest.startswith(("recipes/", "site/", "man/"))
            return None if hidden or not rest.endswith((".md", ".png", ".svg")) else place + rest
    return None


def title(page: Path) -> str:
    """Return the first heading of a page."""
    match = re.search(r"^# +(.+?) *$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert match is not None, page
    return match[1]


def relinked(markdown: str, place: str, source: str) -> str:
    """Return the text of a page with links between files of the repository as links between pages.

    What a link names that is in the repository only, such as a source file, becomes plain text. A link whose words are
    the name of a page's file has the page's title for words.
    """

    def new(match: re.Match[str]) -> str:
        picture, text, target = match.groups()
        path, hash_sign, anchor = target.partition("#")
        if not path or "://" in path or target.startswith("mailto:"):
            return match[0]
        named = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        destination = place_of(named)
        if named.startswith(f"docs/{_GALLERY}") and named.endswith(".py"):  # a page is made of the program
            destination = named.removeprefix("docs/").removesuffix(".py") + ".md"
        if destination is None:
            return text
        if not picture and text.endswith(".md") and (ROOT / named).is_file():
            text = title(ROOT / named)
        relative = posixpath.relpath(destination, posixpath.dirname(place) or ".")
        return f"{picture}[{text}]({relative}{hash_sign}{anchor})"

    codes = [match[0] for match in _CODE.finditer(markdown)]  # brackets in code are no links
    numbers = iter(range(len(codes)))
    prose = _CODE.sub(lambda _: f"\x00{next(numbers)}\x00", markdown)
    return re.sub(r"\x00(\d+)\x00", lambda match: codes[int(match[1])], _LINK.sub(new, prose))
