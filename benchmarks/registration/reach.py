"""The limits of the search: how often pairs of each kind are found, how often they are believed, and in what time."""

from __future__ import annotations

from benchmarks.common import one_thread  # noqa: F401  numpy reads the settings when it is imported

# isort: split

import dataclasses
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.registration.pairs.error import rms_error
from benchmarks.registration.pairs.reach import HALVES, KINDS, ReachPair, pairs
from benchmarks.registration.trials import SOLVED_PX
from zncc_cli import register


@dataclass(frozen=True)
class Outcome:
    """A registered pair.

    Attributes:
        kind, half, scene, model: of the pair.
        error: RMS over the overlap, pixels; None where the frames show different scenes.
        status, reasons, probability: the verdict, and the probability of being right.
        seconds: of the registration.
    """

    kind: str
    half: str
    scene: str
    model: str
    error: float | None
    status: str
    reasons: tuple[str, ...]
    probability: float
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.error is not None and self.error < SOLVED_PX

    @property
    def is_ok(self) -> bool:
        return self.status == "ok"


def outcome(pair: ReachPair, half: str) -> Outcome:
    """Register a pair."""
    stated: dict[str, Any] = {} if pair.pixel_sizes is None else {"pixel_sizes": pair.pixel_sizes}
    result = register(pair.fixed, pair.moving, pair.model, **stated)
    error = None if pair.matrix is None else rms_error(result.matrix, pair.matrix, pair.fixed.shape)
    verdict = str(result.status), result.reasons, result.probability
    return Outcome(pair.kind, half, pair.scene, pair.model, error, *verdict, result.seconds)


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("registration.reach", __doc__)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--every", type=int, default=1, help="make every n-th pair only")
    options = parser.parse_args()
    torch.set_num_threads(1)
    name, title, facts = f"reach-{machine.slug()}", "The limits of the search", machine.describe()
    outcomes, files = list[Outcome](), []
    for kind in options.kinds:
        for half in options.halves:
            for pair in pairs(kind, half, options.every):
                outcomes.append(one := outcome(pair, half))
                error = "no truth" if one.error is None else f"{one.error:.3f} px"
                show_progress(f"{half}: {kind}, {one.scene}, {one.model}: {one.status}, {error}")
        # After each kind, should a later one fail.
        content = {"outcomes": [dataclasses.asdict(one) for one in outcomes]}
        files = report.write(options.out, name, title, facts, lines(outcomes), content)
    print(*lines(outcomes), *files, sep="\n")


def lines(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the table of all kinds, then a line with verdict and probability for each pair that is not as it should."""
    yield from (
        f"Right: an RMS error below {SOLVED_PX:g} px over the overlap. How to read it: benchmarks/README.md.",
        "",
    )
    rows = []
    for kind, half in dict.fromkeys((one.kind, one.half) for one in outcomes):
        group = [one for one in outcomes if (one.kind, one.half) == (kind, half)]
        has_truth = any(one.error is not None for one in group)
        right = sum(one.is_right for one in group) if has_truth else "no truth"
        believed = sum(one.is_right and one.is_ok for one in group) if has_truth else ""
        wrong = sum(one.is_ok and not one.is_right for one in group)
        seconds = f"{statistics.median(one.seconds for one in group):.2f}"
        rows.append((kind, half, len(group), right, believed, wrong, seconds))
    yield from report.table(("kind", "half", "pairs", "right", "right and ok", "wrong and ok", "median, s"), rows)
    missed = [one for one in outcomes if one.is_ok != one.is_right or (one.error is not None and not one.is_right)]
    if missed:
        yield from ("Not right, or not judged so:", "")
        for one in missed:
            error = "" if one.error is None else f", {report.pixels(one.error)} px off"
            judged = f"{one.status}, {one.probability:.3f}: {'; '.join(one.reasons)}"
            yield f"- {one.half}: {one.kind}, {one.scene}, {one.model}{error}: {judged}"
        yield ""


if __name__ == "__main__":
    main()
