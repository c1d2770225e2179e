"""Markdown tables, and the two files that every benchmark writes: a report for people, all numbers as JSON."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def write(
    folder: Path, name: str, title: str, facts: dict[str, str], body: Iterable[str], content: dict[str, Any]
) -> list[Path]:
    """Write ``NAME-DATE.md`` and ``NAME-DATE.json`` into ``folder``, and return both paths.

    Args:
        name: the benchmark, a hyphen, and what else tells its results apart, such as the device.
        title: of the Markdown file; the date follows it.
        facts: the machine and the versions, a table above ``body``.
        body: the lines of the Markdown file.
        content: what the JSON file holds beside format, version, date and facts.
    """
    folder.mkdir(parents=True, exist_ok=True)
    date = datetime.date.today().isoformat()
    markdown, data = (folder / f"{name}-{date}.{suffix}" for suffix in ("md", "json"))
    lines = [f"# {title}, {date}", "", *table(("", ""), facts.items()), *body]
    markdown.write_text("\n".join(lines).rstrip("\n") + "\n", encoding="utf-8")
    head = {"format": f"zncc-{name.partition('-')[0]}-benchmark", "version": 1, "date": date, "machine": facts}
    data.write_text(json.dumps(without_nan(head | content), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [markdown, data]


def without_nan(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: what is not finite as its name."""
    if isinstance(value, dict):
        return {key: without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_nan(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> Iterator[str]:
    """Yield the lines of a Markdown table, the first column left and the others right, and an empty line."""
    head = list(head)
    yield f"| {' | '.join(head)} |"
    yield "|---" + "|--:" * (len(head) - 1) + "|"
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"
    yield ""


def cross_table(
    records: Iterable[T],
    row: Callable[[T], str],
    column: Callable[[T], str],
    text: Callable[[list[T]], str],
    *,
    corner: str = "",
    missing: str = "",
) -> Iterator[str]:
    """Yield a table with the ``text`` of the records of each row and column, both in order of appearance.

    A cell without records holds ``missing``.
    """
    groups: dict[tuple[str, str], list[T]] = {}
    for record in records:
        groups.setdefault((row(record), column(record)), []).append(record)
    columns = dict.fromkeys(name for _, name in groups)
    rows = dict.fromkeys(name for name, _ in groups)
    yield from table(
        (corner, *columns),
        ((r, *(text(groups[r, c]) if (r, c) in groups else missing for c in columns)) for r in rows),
    )


def pixels(error: float) -> str:
    """Return three digits of an error in pixels, fewer below a thousandth, and 'none' where there is no transform."""
    if not math.isfinite(error):
        return "none"
    return f"{error:.4f}" if error < 1e-3 else f"{error:.3g}"


def short(number: float) -> str:
    """Return three digits, and no power of ten."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
