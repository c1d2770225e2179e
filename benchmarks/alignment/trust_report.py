"""Write what the tool said of its own results as Markdown, for people, and as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from benchmarks import machine
from benchmarks.report import table, without_nan

if TYPE_CHECKING:
    from benchmarks.alignment.trust import Word

_STATUSES = ("ok", "suspect", "failed")
_NOMINAL = (0.68, 0.95)


def write(words: list[Word], date: str, seconds: float, folder: Path) -> list[Path]:
    """Write both files, and return their names."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"trust-{machine.slug(torch.device('cpu'))}-{date}"
    markdown, data = folder / f"{stem}.md", folder / f"{stem}.json"
    markdown.write_text("\n".join(_lines(words, date, seconds)) + "\n", encoding="utf-8")
    plain = {"format": "zncc-trust-benchmark", "version": 1, "words": [dataclasses.asdict(word) for word in words]}
    data.write_text(json.dumps(without_nan(plain), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return [markdown, data]


def _lines(words: list[Word], date: str, seconds: float) -> Iterator[str]:
    yield from (f"# What the tool says of its own results, {date}", "")
    yield from table(("", ""), machine.describe(torch.device("cpu"), 1).items())
    yield (
        "Right: an RMS error below 1 px over the overlap. The bounds of the verdict were chosen on the half of the "
        'seeds called "chosen"; what counts is the half that was held out. How to read it: benchmarks/README.md.'
    )
    yield ""
    for half in sorted({word.half for word in words}, reverse=True):
        of_half = [word for word in words if word.half == half]
        yield from (f"## {half.capitalize()}: {len(of_half)} pairs", "")
        yield from _confusion(of_half)
        yield from _calibration(of_half)
        yield from _by_kind(of_half)
        yield from _mistakes(of_half)
    yield f"The whole run took {seconds:.0f} s."


def _confusion(words: list[Word]) -> Iterator[str]:
    groups = {
        "right": [w for w in words if w.is_right and not w.is_framed],
        "right, behind a black frame that both have": [w for w in words if w.is_right and w.is_framed],
        "wrong": [w for w in words if w.alignable and not w.is_right],
        "cannot be aligned": [w for w in words if not w.alignable],
    }
    rows = [
        (name, f"{len(group)}", *(f"{sum(w.status == status for w in group)}" for status in _STATUSES))
        for name, group in groups.items()
    ]
    yield from table(("", "pairs", *_STATUSES), rows)
    right, wrong = [w for w in words if w.is_right], groups["wrong"] + groups["cannot be aligned"]
    yield (
        f"`ok` for {_share(w.status == 'ok' for w in right)} of the right results "
        f"({_share(w.status == 'ok' for w in groups['right'])} without the frames), and for "
        f"{_share(w.status == 'ok' for w in wrong)} of the wrong ones."
    )
    yield ""


def _calibration(words: list[Word]) -> Iterator[str]:
    yield (
        "Uncertainty, of the right results that are called ok: how many of the true errors are within the predicted "
        "68 and 95 percent (`inside`), the root mean square of error over predicted standard deviation, and its "
        "quantiles. An error is the RMS over the four corners; its predicted distribution comes from draws of the "
        "parameters from the predicted covariance."
    )
    yield ""
    chosen = [w for w in words if w.is_right and w.status == "ok" and w.predicted]
    kinds = dict.fromkeys(w.kind for w in chosen)
    groups = {"all": chosen, **{kind: [w for w in chosen if w.kind == kind] for kind in kinds}}
    rows = []
    for name, group in groups.items():
        if group:
            ratios = np.array([w.corner_error / w.predicted for w in group if w.corner_error and w.predicted])
            quantiles = np.quantile(ratios, (0.05, 0.5, 0.95))
            rows.append(
                (
                    name,
                    f"{len(group)}",
                    *(_share(w.inside[k] for w in group) for k in range(len(_NOMINAL))),
                    f"{np.sqrt(np.square(ratios).mean()):.2f}",
                    " ".join(f"{q:.2f}" for q in quantiles),
                    f"{np.median([w.corner_error for w in group if w.corner_error]):.2g}",
                )
            )
    head = ("", "pairs", "inside 68 %", "inside 95 %", "RMS of ratio", "5, 50, 95 %", "median error, px")
    yield from table(head, rows)


def _by_kind(words: list[Word]) -> Iterator[str]:
    rows = []
    for kind in dict.fromkeys(w.kind for w in words):
        of_kind = [w for w in words if w.kind == kind]
        right = f"{sum(w.is_right for w in of_kind)}" if of_kind[0].alignable else "no truth"
        rows.append((kind, f"{len(of_kind)}", right, *(f"{sum(w.status == s for w in of_kind)}" for s in _STATUSES)))
    yield from table(("", "pairs", "right", *_STATUSES), rows)


def _mistakes(words: list[Word]) -> Iterator[str]:
    """Yield the pairs on which the word was not what it should be."""
    wrong = [w for w in words if (w.status == "ok") != w.is_right]
    if wrong:
        yield from ("Where the word was wrong:", "")
        for w in wrong:
            error = "" if w.error is None else f", {w.error:.3g} px off"
            yield f"- {w.kind}, {w.model} {w.size} {w.scene}{error}: {w.status}: {'; '.join(w.reasons)}"
        yield ""


def _share(held: Iterable[bool]) -> str:
    values = list(held)
    return f"{sum(values) / len(values):.1%} ({sum(values)}/{len(values)})" if values else "none of none"
