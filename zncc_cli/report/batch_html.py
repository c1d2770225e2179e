"""The page of a batch: every pair in one list, the worst first."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from zncc_cli.report.html import write_html
from zncc_cli.report.pair_figures import Picture, data_uri, jpeg
from zncc_cli.report.pair_html import link, verdict
from zncc_cli.report.words import MEASURES, measured
from zncc_cli.text import Measure

_WORST_FIRST = ("error", "failed", "suspect", "ok")
_THUMBNAIL_BYTES = 3000  # a third more in base64; a thousand of them are 4 MB
_THUMBNAIL = (200, 150)  # pixels, most
_TRIES = ((1.0, 75), (1.0, 55), (1.0, 35), (0.75, 35), (0.5, 35), (0.25, 35))  # scale, JPEG quality


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchPageRow:
    """What a batch's page says of one pair.

    Attributes:
        name: of the pair.
        status: "ok", "suspect", "failed" or "error".
        reason: in plain words.
        metrics: as in ``report.json``, and ``seconds`` and ``model`` if wanted, in the order in which they are shown.
        thumbnail: uint8 (H, W) or (H, W, 3), before and after; None where there is none.
        report: path of the pair's page relative to the batch's, divided by "/"; None where there is none.
    """

    name: str
    status: str
    reason: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: NDArray[np.uint8] | None = None
    report: str | None = None


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture, uint8 (H, W) or (H, W, 3), shrunk to what a page shows: a thousand can be kept."""
    full = PillowImage.fromarray(picture)
    fit = min(1.0, _THUMBNAIL[0] / full.width, _THUMBNAIL[1] / full.height)
    size = max(1, round(full.width * fit)), max(1, round(full.height * fit))
    return np.asarray(full.resize(size, PillowImage.Resampling.BOX))


def write_batch_page(path: str | os.PathLike[str], rows: Iterable[BatchPageRow], *, total: int | None = None) -> None:
    """Write the page of a batch to ``path``: one HTML file, the same for the same rows in whatever order.

    Pairs are sorted by status (error, failed, suspect, ok), then by ZNCC and agreement, the worst first. ``total`` is
    how many the batch has, where these are but the worst.

    Raises:
        OutputError: the file cannot be written.
    """
    ordered = sorted(rows, key=_badness)
    known = [status for status in _WORST_FIRST if any(row.status == status for row in ordered)]
    others = sorted({row.status for row in ordered} - set(known))
    groups = [
        {
            "status": status,
            "id": f"group-{number}",
            "verdict": verdict(status),
            "pairs": [_pair(row) for row in ordered if row.status == status],
        }
        for number, status in enumerate((*others, *known))
    ]
    write_html(
        Path(path),
        "batch.html.j2",
        "batch.js",
        {"groups": groups, "total": total or len(ordered), "shown": len(ordered)},
    )


def _badness(row: BatchPageRow) -> tuple[int, str, float, float, str]:
    rank = _WORST_FIRST.index(row.status) if row.status in _WORST_FIRST else -1
    zncc, agreement = (_or_lowest(row.metrics.get(key)) for key in ("zncc_after", "block_significance"))
    return rank, row.status, zncc, agreement, row.name


def _or_lowest(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else -math.inf


_FURTHER = {"seconds": Measure("Time", "s", ""), "model": Measure("Model", "", "")}


def _pair(row: BatchPageRow) -> dict[str, Any]:
    given = {key: value for key, value in row.metrics.items() if value is not None}
    return {
        "name": row.name,
        "link": None if row.report is None else link(row.report),
        "reason": row.reason,
        "measures": list(measured(given, {**MEASURES, **_FURTHER}, digits=3)),
        "picture": None if row.thumbnail is None else _embedded(row.thumbnail),
    }


def _embedded(pixels: NDArray[np.uint8]) -> Picture:
    """``pixels`` as JPEG of at most 200 x 150 pixels and 3 kB, whatever they show."""
    assert pixels.dtype == np.uint8, "thumbnails are 8-bit"
    picture = PillowImage.fromarray(thumbnail(pixels))
    size = picture.size
    content = b""
    for scale, quality in _TRIES:
        small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        content = jpeg(np.asarray(picture.resize(small, PillowImage.Resampling.BOX)), quality, small=True)
        if len(content) <= _THUMBNAIL_BYTES:
            break
    return data_uri(content, "image/jpeg", (size[1], size[0]))
