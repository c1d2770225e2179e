"""The tables at the end of an HTML report: settings, versions, seconds and the like."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from zncc_cli.report.words import flattened, plain_name, value_text

VERSIONS = "Versions"
"""Title of the table whose names are shown as they are."""


def plain_tables(tables: Iterable[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Return tables of two columns, each a title and rows of (name, value); empty ones are left out."""
    return [
        {
            "title": title,
            "rows": [
                (name if title == VERSIONS else plain_name(name), value_text(value))
                for name, value in flattened(values)
            ],
        }
        for title, values in tables
        if values
    ]


def mapping(report: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return ``report[key]`` if it is a mapping, else an empty one."""
    value = report.get(key)
    return value if isinstance(value, Mapping) else {}
