"""The documentation site is built without a warning; its gallery runs, and its pages are whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parents[1]
for name in ("sphinx", "myst_parser", "pydata_sphinx_theme", "sphinx_copybutton", "latex2mathml", "matplotlib"):
    pytest.importorskip(name, reason="the documentation site needs pip install '.[docs]'")


class _Page(HTMLParser):
    """Collects what a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors |= {value for key in ("id", "name") if (value := values.get(key))}
        if tag == "a" and values.get("href"):
            self.links.append(str(values["href"]))
        elif tag in ("img", "script", "link") and (place := values.get("src") or values.get("href")):
            self.loads.append(place)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), str(folder / "docs")]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder / "docs" / "html"


def test_every_link_and_picture_of_the_site_is_there(site: Path) -> None:
    files = (path for path in site.rglob("*.html") if "_static" not in path.parts)
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in files}
    assert len(pages) > 40
    for path, page in pages.items():
        for link in page.loads + page.links:
            parts = urlsplit(link)
            if parts.scheme:
                assert link not in page.loads, f"{path.name} loads {link} from elsewhere"
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.relative_to(site)}: {link}"
            if target in pages and link in page.links:
                assert unquote(parts.fragment) in pages[target].anchors, f"{path.relative_to(site)}: {link}"


def test_links_have_titles_of_pages_for_words(site: Path) -> None:
    """And no names of files, which the site does not have."""
    text = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(r'href="tutorial.html"[^>]*><span[^>]*>Ten minutes</span>', text)
    for path in site.glob("*.html"):
        assert not re.search(r"<a [^>]*>(<[^>]*>)*[\w/-]+\.md<", path.read_text(encoding="utf-8")), path.name


def test_options_keep_both_of_their_dashes(site: Path) -> None:
    for path in site.glob("*.html"):
        assert not re.search("[\u2013\u2014]\\w", path.read_text(encoding="utf-8")), path.name


def test_the_gallery_shows_what_its_programs_drew(site: Path) -> None:
    programs = sorted(path.stem for path in (ROOT / "docs" / "gallery").glob("*.py") if path.stem != "bench")
    assert programs
    for name in programs:
        text = (site / "gallery" / f"{name}.html").read_text(encoding="utf-8")
        assert re.search(rf'<img [^>]*src="\.\./_images/{name}-\w+\.(png|gif)"', text), name
        assert "result/" in text


def test_equations_need_no_script(site: Path) -> None:
    text = (site / "equations.html").read_text(encoding="utf-8")
    assert text.count("<math") > 30
    assert "$" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
