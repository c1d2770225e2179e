"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from zncc_cli.text import shown


def summary_table(rows: Iterable[tuple[str, object]], console: Console) -> None:
    """Print (label, value) rows to ``console`` in two columns, one line per row.

    Brackets in the values are printed as they are: they are text, not markup.
    """
    rows = list(rows)
    width = max((len(label) for label, _ in rows), default=0)
    for label, value in rows:
        console.print(Text.assemble((f"{label:<{width}}  ", "bold"), shown(str(value))), soft_wrap=True)
