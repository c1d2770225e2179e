"""Tables on the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from zncc_cli.text import shown


def summary_table(rows: Iterable[tuple[str, object]]) -> None:
    """Print (label, value) rows on stdout in two columns, one line per row, so that grep and cut can be used on them.

    Brackets in the values are printed as they are: they are text, not markup.
    """
    rows = list(rows)
    width = max((len(label) for label, _ in rows), default=0)
    lines = [(f"{label:<{width}}  ", shown(str(value))) for label, value in rows]
    if not sys.stdout.isatty():
        print("\n".join(map("".join, lines)))
        return
    from rich.console import Console  # takes longer to load than a small pair to align; a terminal has it for progress
    from rich.text import Text

    console = Console(highlight=False)
    for label, text in lines:
        console.print(Text.assemble((label, "bold"), text), soft_wrap=True)
