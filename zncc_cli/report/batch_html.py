"""batch.html, the HTML report of a batch: all pairs in one list, the worst first."""

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
from zncc_cli.report.pair_figures import EmbeddedImage, embedded_image, jpeg
from zncc_cli.report.pair_html import link, verdict
from zncc_cli.report.words import MEASURES, described
from zncc_cli.text import Measure

_WORST_FIRST = ("error", "failed", "suspect", "ok")
_MAX_THUMBNAIL_BYTES = 3000  # a third more in base64; a thousand of them are 4 MB
_MAX_THUMBNAIL_SIZE = (200, 150)  # pixels, width and height
# Scale and JPEG quality; the first is taken that makes a thumbnail small enough.
_COMPRESSIONS = ((1.0, 75), (1.0, 55), (1.0, 35), (0.75, 35), (0.5, 35), (0.25, 35))


@dataclass(frozen=True, kw_only=True, eq=False)
class BatchHtmlRow:
    """What the HTML report of a batch shows of one pair.

    Attributes:
        name: of the pair.
        status: "ok", "suspect", "failed" or "error".
        reason: why it has that status.
        metrics: as in ``report.json``, and optionally ``seconds`` and ``model``, in the order in which they are shown.
        thumbnail: uint8 (H, W) or (H, W, 3), the overlay before and after; None if there is none.
        report: path of the pair's own HTML report relative to the batch's, divided by "/"; None if there is none.
    """

    name: str
    status: str
    reason: str
    metrics: Mapping[str, Any] = field(default_factory=dict)
    thumbnail: NDArray[np.uint8] | None = None
    report: str | None = None


def thumbnail(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture, uint8 (H, W) or (H, W, 3), reduced to at most 200 x 150 pixels by area averaging."""
    full = PillowImage.fromarray(picture)
    fit = min(1.0, _MAX_THUMBNAIL_SIZE[0] / full.width, _MAX_THUMBNAIL_SIZE[1] / full.height)
    size = max(1, round(full.width * fit)), max(1, round(full.height * fit))
    return np.asarray(full.resize(size, PillowImage.Resampling.BOX))


def write_batch_html(path: str | os.PathLike[str], rows: Iterable[BatchHtmlRow], *, total: int | None = None) -> None:
    """Write the HTML report of a batch to ``path``: one file, the same bytes for the same rows in any order.

    Pairs are sorted by status (error, failed, suspect, ok), then by ZNCC and block significance, the worst first.

    Args:
        path: the file.
        rows: the pairs to show.
        total: number of pairs of the batch, if ``rows`` are only the worst of them.

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
        ("batch.js",),
        {"groups": groups, "total": total or len(ordered), "shown": len(ordered)},
    )


def _badness(row: BatchHtmlRow) -> tuple[int, str, float, float, str]:
    """Return the key by which pairs are sorted, the worst first; an unknown status comes before all others."""
    rank = _WORST_FIRST.index(row.status) if row.status in _WORST_FIRST else -1
    zncc, significance = (_or_lowest(row.metrics.get(key)) for key in ("zncc_after", "block_significance"))
    return rank, row.status, zncc, significance, row.name


def _or_lowest(value: Any) -> float:
    """Return ``value``, or minus infinity if it is no number."""
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else -math.inf


# Of what a row may show beside metrics.
_ROW_MEASURES = {"seconds": Measure("Time", "s", ""), "model": Measure("Model", "", "")}


def _pair(row: BatchHtmlRow) -> dict[str, Any]:
    """Return what the template needs of one pair."""
    given = {key: value for key, value in row.metrics.items() if value is not None}
    return {
        "name": row.name,
        "link": None if row.report is None else link(row.report),
        "reason": row.reason,
        "measures": list(described(given, {**MEASURES, **_ROW_MEASURES}, digits=3)),
        "picture": None if row.thumbnail is None else _embedded(row.thumbnail),
    }


def _embedded(pixels: NDArray[np.uint8]) -> EmbeddedImage:
    """Return ``pixels``, uint8 (H, W) or (H, W, 3), as a JPEG of at most 200 x 150 pixels and 3 kB."""
    assert pixels.dtype == np.uint8, "thumbnails are 8-bit"
    picture = PillowImage.fromarray(thumbnail(pixels))
    size = picture.size
    content = b""
    for scale, quality in _COMPRESSIONS:
        small = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
        content = jpeg(np.asarray(picture.resize(small, PillowImage.Resampling.BOX)), quality, small=True)
        if len(content) <= _MAX_THUMBNAIL_BYTES:
            break
    return embedded_image(content, "image/jpeg", (size[1], size[0]))
