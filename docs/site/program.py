"""A program of the gallery as a page: its text, its code, what it printed, and the pictures that it drew.

A program is divided into cells by lines ``# %%``. The comment below such a line is text, the rest is code.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "gallery"
_CELL = re.compile(r"^# %%\n", re.MULTILINE)
_TEXT = re.compile(r"\A((?:#.*\n)+)")
_DOCSTRING = re.compile(r'\A"""(.*?)"""\n', re.DOTALL)


@dataclass
class Page:
    """A page, and the pictures on it by their names."""

    title: str
    markdown: str
    pictures: dict[str, bytes] = field(default_factory=dict)


def programs() -> list[str]:
    """Return the names of the programs."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "bench")


def run(name: str, folder: Path) -> Page:
    """Run a program in an empty folder, cell by cell, and return its page. Raises what it raises."""
    text = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    docstring = _DOCSTRING.match(text)
    assert docstring is not None, f"{name}.py: expected a docstring"
    title, _, about = docstring[1].strip().partition("\n\n")
    page = Page(title.rstrip("."), f"# {title.rstrip('.')}\n\n{about}\n")
    sys.path.insert(0, str(FOLDER))
    here = Path.cwd()
    namespace: dict[str, object] = {"__name__": "__main__"}
    os.chdir(folder)
    try:
        import bench

        for cell in _CELL.split(text[docstring.end() :]):
            words = _TEXT.match(cell)
            code = cell[words.end() if words else 0 :]
            first = len(bench.shown)
            line = text[: text.index(cell)].count("\n") + (words[0].count("\n") if words else 0)
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile("\n" * line + code, str(FOLDER / f"{name}.py"), "exec"), namespace)
            page.markdown += _cell(words[0] if words else "", code, printed.getvalue())
            for picture in bench.shown[first:]:
                page.pictures[f"{name}-{picture}"] = Path(picture).read_bytes()
                page.markdown += f"\n![{page.title}: {Path(picture).stem}]({name}-{picture})\n"
    finally:
        os.chdir(here)
        sys.path.remove(str(FOLDER))
    return page


def _cell(comment: str, code: str, printed: str) -> str:
    words = re.sub(r"^# ?", "", comment, flags=re.MULTILINE)
    blocks = [words.rstrip(), f"```python\n{code.strip()}\n```"]
    if printed.strip():
        blocks.append(f"```text\n{printed.strip()}\n```")
    return "\n" + "\n\n".join(block for block in blocks if block) + "\n"
