"""Pictures of results by matplotlib, where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def save(file: Path, width: float, height: float, draw: Callable[[Any], None]) -> list[Path]:
    """Let ``draw`` fill a matplotlib figure of ``width`` x ``height`` inches, and write it to ``file``, an SVG.

    Returns ``[file]``, or an empty list, after a line on stderr, where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        print(f"no picture {file.name}: matplotlib is not installed (pip install matplotlib)", file=sys.stderr)
        return []
    # Text stays text; the same result gives the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": file.stem, "font.size": 9}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure)
        figure.savefig(file, metadata={"Date": None})
    return [file]
