"""Build the documentation site: ``make docs``, or ``python docs/site/build.py FOLDER``.

The pages of docs/, those that lie elsewhere in the repository, and the gallery, whose programs run now, are put into
FOLDER/source; Sphinx makes FOLDER/html of them. A warning is an error.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from pathlib import Path

import outside
import program
from sphinx.cmd.build import build_main

_SITE = Path(__file__).parent
_HOME_TREE = """
```{toctree}
:hidden:

tutorial
gallery/index
howto/index
reference
background
faq
project
```
"""
_RESULTS_TREE = """
## Results

```{toctree}
:maxdepth: 1
:glob:

*
```
"""


def stage(source: Path) -> None:
    """Write the sources of all pages into an empty folder."""
    for place, path in outside.files().items():
        target = source / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix != ".md":
            shutil.copy(outside.ROOT / path, target)
            continue
        text = outside.relinked((outside.ROOT / path).read_text(encoding="utf-8"), place, path)
        if (outside.ROOT / path).with_suffix(".svg").is_file():  # the chart of a benchmark's result
            text = re.sub(
                r"^(# .*)$", rf"\1\n\n![Chart of the result]({target.stem}.svg)", text, count=1, flags=re.MULTILINE
            )
        trees = {"index.md": _HOME_TREE, "benchmarks/index.md": _RESULTS_TREE}
        target.write_text(text + trees.get(place, ""), encoding="utf-8")
    _stage_gallery(source / "gallery")


def _stage_gallery(folder: Path) -> None:
    """Run the programs of the gallery, and write their pages and the index."""
    cards = []
    index = folder / "index.md"
    text = index.read_text(encoding="utf-8")
    names = re.findall(r"^\w+$", text.split(":hidden:")[1], re.MULTILINE)
    assert sorted(names) == program.programs(), "docs/site/pages/gallery/index.md lists the programs"
    for name in names:
        with tempfile.TemporaryDirectory() as work:
            page = program.run(name, Path(work))
        (folder / f"{name}.md").write_text(page.markdown, encoding="utf-8")
        for picture, content in page.pictures.items():
            (folder / picture).write_bytes(content)
        cards.append(f"[![{page.title}]({[*page.pictures][-1]}) {page.title}]({name}.md)")
    index.write_text(text.replace("CARDS", "\n\n".join(cards)), encoding="utf-8")


def main() -> int:
    """Build into the folder that is named, and return Sphinx's exit code."""
    folder = Path(sys.argv[1])
    shutil.rmtree(folder, ignore_errors=True)
    stage(folder / "source")
    arguments = ["-W", "--keep-going", "-q", "-b", "html", "-c", str(_SITE), "-d", str(folder / "trees")]
    return build_main([*arguments, str(folder / "source"), str(folder / "html")])


if __name__ == "__main__":
    sys.exit(main())
