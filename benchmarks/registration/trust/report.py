"""The report of the tool's verdicts: counts of right and wrong ones, and how well its predictions are calibrated."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from benchmarks.common import machine, report
from benchmarks.common.report import table
from benchmarks.registration.trust import reliability
from benchmarks.registration.trust.reliability import Fifth, fifths
from benchmarks.registration.trust.verdicts import LEVELS, JudgedPair

_STATUSES = ("ok", "suspect", "failed")


def write(pairs: list[JudgedPair], seconds: float, folder: Path) -> list[Path]:
    """Write the tables, all numbers and, where matplotlib is installed, the picture; return their paths."""
    name, title, facts = f"trust-{machine.slug()}", "The tool's verdicts and the truth", machine.describe()
    content = {"pairs": [dataclasses.asdict(pair) | {"probability": pair.probability} for pair in pairs]}
    by_half = _fifths(pairs)
    files = report.write(folder, name, title, facts, _lines(pairs, by_half, seconds), content)
    return files + reliability.draw(by_half, files[0].with_suffix(".svg"))


def _fifths(pairs: list[JudgedPair]) -> dict[str, list[Fifth]]:
    by_half = {}
    for half in _halves(pairs):
        of_half = [pair for pair in pairs if pair.half == half]
        predicted = np.array([pair.probability for pair in of_half])
        by_half[half] = fifths(predicted, np.array([pair.is_right for pair in of_half]))
    return by_half


def _halves(pairs: list[JudgedPair]) -> list[str]:
    return sorted({pair.half for pair in pairs}, reverse=True)


def _lines(pairs: list[JudgedPair], by_half: dict[str, list[Fifth]], seconds: float) -> Iterator[str]:
    yield (
        "Right: an RMS error below 1 px over the overlap. The bounds of the verdict and the weights of the probability "
        'were chosen on the half of the seeds called "chosen"; what counts is the half that was held out. How to read '
        "it: benchmarks/README.md."
    )
    yield ""
    yield from ("## The probability of being right", "")
    yield from reliability.lines(by_half)
    for half in _halves(pairs):
        of_half = [pair for pair in pairs if pair.half == half]
        yield from (f"## {half.capitalize()}: {len(of_half)} pairs", "")
        yield from _confusion(of_half)
        yield from _calibration(of_half)
        yield from _by_kind(of_half)
        yield from _mistakes(of_half)
    yield f"The whole run took {seconds:.0f} s."


def _confusion(pairs: list[JudgedPair]) -> Iterator[str]:
    groups = {
        "right": [p for p in pairs if p.is_right and not p.is_framed],
        "right, behind a black frame that both have": [p for p in pairs if p.is_right and p.is_framed],
        "wrong": [p for p in pairs if p.alignable and not p.is_right],
        "cannot be aligned": [p for p in pairs if not p.alignable],
    }
    rows = [
        (name, len(group), *(sum(p.status == status for p in group) for status in _STATUSES))
        for name, group in groups.items()
    ]
    yield from table(("", "pairs", *_STATUSES), rows)
    right, wrong = [p for p in pairs if p.is_right], groups["wrong"] + groups["cannot be aligned"]
    yield (
        f"`ok` for {_share(p.status == 'ok' for p in right)} of the right results "
        f"({_share(p.status == 'ok' for p in groups['right'])} without the frames), and for "
        f"{_share(p.status == 'ok' for p in wrong)} of the wrong ones."
    )
    yield ""


def _calibration(pairs: list[JudgedPair]) -> Iterator[str]:
    yield (
        "Uncertainty, of the right results that are called ok: how many of the true errors are within the predicted "
        "68 and 95 percent (`inside`), the root mean square of error over predicted standard deviation, and its "
        "quantiles. An error is the RMS over the four corners; its predicted distribution comes from draws of the "
        "parameters from the predicted covariance."
    )
    yield ""
    chosen = [p for p in pairs if p.is_right and p.status == "ok" and p.predicted]
    kinds = dict.fromkeys(p.kind for p in chosen)
    groups = {"all": chosen, **{kind: [p for p in chosen if p.kind == kind] for kind in kinds}}
    rows = []
    for name, group in groups.items():
        if group:
            ratios = np.array([p.corner_error / p.predicted for p in group if p.corner_error and p.predicted])
            quantiles = np.quantile(ratios, (0.05, 0.5, 0.95))
            rows.append(
                (
                    name,
                    len(group),
                    *(_share(p.inside[k] for p in group) for k in range(len(LEVELS))),
                    f"{np.sqrt(np.square(ratios).mean()):.2f}",
                    " ".join(f"{q:.2f}" for q in quantiles),
                    f"{np.median([p.corner_error for p in group if p.corner_error]):.2g}",
                )
            )
    head = ("", "pairs", "inside 68 %", "inside 95 %", "RMS of ratio", "5, 50, 95 %", "median error, px")
    yield from table(head, rows)


def _by_kind(pairs: list[JudgedPair]) -> Iterator[str]:
    rows = []
    for kind in dict.fromkeys(p.kind for p in pairs):
        of_kind = [p for p in pairs if p.kind == kind]
        right = sum(p.is_right for p in of_kind) if of_kind[0].alignable else "no truth"
        rows.append((kind, len(of_kind), right, *(sum(p.status == s for p in of_kind) for s in _STATUSES)))
    yield from table(("", "pairs", "right", *_STATUSES), rows)


def _mistakes(pairs: list[JudgedPair]) -> Iterator[str]:
    """Yield the pairs on which the verdict was wrong."""
    wrong = [p for p in pairs if (p.status == "ok") != p.is_right]
    if wrong:
        yield from ("Wrong verdicts:", "")
        for p in wrong:
            error = "" if p.error is None else f", {p.error:.3g} px off"
            yield f"- {p.kind}, {p.model} {p.size} {p.scene}{error}: {p.status}: {'; '.join(p.reasons)}"
        yield ""


def _share(flags: Iterable[bool]) -> str:
    values = list(flags)
    return f"{sum(values) / len(values):.1%} ({sum(values)}/{len(values)})" if values else "none of none"
