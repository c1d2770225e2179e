"""How well the probability of being right is calibrated: what was predicted beside what was observed, by fifths."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.common import chart
from benchmarks.common.report import table

Array = NDArray[np.float64]

_FIFTHS = 5
_COLOURS = ("#3f5f93", "#0b6e4f")
_WIDTH, _HEIGHT = 5.0, 4.6  # inches


@dataclass(frozen=True)
class Fifth:
    """A fifth of the pairs, by predicted probability.

    Attributes:
        count: of the pairs.
        least, most, predicted: the probabilities' range and mean.
        observed: share of the pairs whose results are right.
        deviation: standard deviation of ``observed`` if all probabilities hold.
    """

    count: int
    least: float
    most: float
    predicted: float
    observed: float
    deviation: float


def fifths(predicted: Array, right: NDArray[np.bool_]) -> list[Fifth]:
    """Return the fifths of pairs with the probabilities ``predicted`` (N,), the least probable first."""
    order = np.argsort(predicted, kind="stable")
    parts = [part for part in np.array_split(order, _FIFTHS) if len(part)]
    return [
        Fifth(
            len(part),
            float(predicted[part].min()),
            float(predicted[part].max()),
            float(predicted[part].mean()),
            float(right[part].mean()),
            float(np.sqrt((predicted[part] * (1 - predicted[part])).sum()) / len(part)),
        )
        for part in parts
    ]


def lines(by_half: Mapping[str, list[Fifth]]) -> Iterator[str]:
    """Yield a table of the fifths of each half."""
    yield (
        "Each half in five parts, by the predicted probability of being right: its range and mean, the share that is "
        "right, and the difference in percentage points, with what chance alone makes of it (one standard deviation)."
    )
    yield ""
    rows = [
        (
            half,
            fifth.count,
            f"{fifth.least:.3f} to {fifth.most:.3f}",
            f"{fifth.predicted:.1%}",
            f"{fifth.observed:.1%}",
            f"{100 * (fifth.observed - fifth.predicted):+.1f}",
            f"{100 * fifth.deviation:.1f}",
        )
        for half, parts in by_half.items()
        for fifth in parts
    ]
    yield from table(("", "pairs", "probability", "predicted", "right", "difference", "chance"), rows)


def draw(by_half: Mapping[str, list[Fifth]], file: Path) -> list[Path]:
    """Draw predicted against observed; return the file, if one was written."""

    def fill(figure: Any) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="#b0b0b0", linewidth=1)
        for (half, parts), colour in zip(by_half.items(), _COLOURS, strict=False):
            x, y = [part.predicted for part in parts], [part.observed for part in parts]
            axes.errorbar(x, y, yerr=[2 * part.deviation for part in parts], color=colour, marker="o", label=half)
        axes.set(xlabel="predicted probability of being right", ylabel="share that is right", aspect="equal")
        axes.set_title("By fifths; bars: two standard deviations of chance", fontsize="medium")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)

    return chart.save(file, _WIDTH, _HEIGHT, fill)
