"""CE90 of `zncc check` and `zncc evaluate` against the truth, on 20 pairs whose residual motion is known.

The scenes are formulas, so that neither frame is interpolated: the aligned frame shows at p + u(p) what the fixed one
shows at p. The truth is the length of u that 90 percent of the frame do not exceed; for the check also of that part of
the frame which it says it knows. The landmarks of the evaluation lie on a grid, each moved at random within its cell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from benchmarks.common import machine, report
from benchmarks.common.command_line import make_parser, show_progress
from benchmarks.registration.pairs.scenery import SCENES
from zncc_cli.config.check import CheckConfig
from zncc_cli.config.evaluate import EvaluateConfig
from zncc_cli.jobs.check import check_files
from zncc_cli.jobs.evaluate import evaluate

Array = NDArray[np.float64]
_SHAPE = (400, 480)
_NOISE = (0.02, 0.1, 0.3)  # standard deviation, in those of the scene
_LANDMARKS_PER_SIDE = 20
_BOUND = 0.05  # of the truth

Motion = Callable[[Array, Array], tuple[Array, Array]]


def _shift(x: Array, y: Array) -> tuple[Array, Array]:
    return np.full_like(x, 0.24), np.full_like(y, -0.18)


def _affine(x: Array, y: Array) -> tuple[Array, Array]:
    """Up to about 1.5 pixels, in a corner."""
    return 0.003 * (x - 100) + 0.001 * y, -0.0012 * x + 0.002 * (y - 200)


def _waves(height: float, length: float) -> Motion:
    def motion(x: Array, y: Array) -> tuple[Array, Array]:
        return height * np.sin(2 * np.pi * y / length), height / 2 * np.cos(2 * np.pi * x / length)

    return motion


MOTIONS: dict[str, Motion] = {
    "shift of 0.3 px": _shift,
    "affine, 1.5 px": _affine,
    "waves of 1 px, 300 px long": _waves(1, 300),
    "waves of 3 px, 200 px long": _waves(3, 200),
}
_SCENES = ("cells", "steel", "speckle", "farmland", "board")


@dataclass(frozen=True)
class _Result:
    """CE90 of a pair in pixels: as the truth has it, in the frame and where the check knows it, and as was measured."""

    scene: str
    motion: str
    noise: float
    truth: float
    truth_where_known: float
    known: float
    checked: float
    evaluated: float


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("registration.residuals", __doc__)
    parser.add_argument("--halves", nargs="+", type=int, default=[0], help="of the seeds: 0, 1 or both")
    options = parser.parse_args()
    results = []
    for half, (number, (scene, motion)) in product(options.halves, enumerate(product(_SCENES, MOTIONS))):
        results.append(_result(scene, motion, _NOISE[number % len(_NOISE)], 1000 * half + number))
        show_progress(f"{scene}, {motion}: {results[-1].checked:.3f} of {results[-1].truth:.3f} px")
    facts, name = machine.describe(), f"residuals-{machine.slug()}"
    content = {"results": [vars(result) for result in results]}
    title = "CE90 of zncc check and zncc evaluate against the truth"
    print(*report.write(options.out, name, title, facts, _body(results), content), sep="\n")


def _result(scene: str, motion: str, noise: float, seed: int) -> _Result:
    random, move = np.random.default_rng(seed), MOTIONS[motion]
    y, x = np.mgrid[: _SHAPE[0], : _SHAPE[1]].astype(np.float64)
    at_x, at_y = _back(move, x, y)
    frames = [SCENES[scene](x, y, seed), SCENES[scene](at_x, at_y, seed)]
    deviation = frames[0].std()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for role, frame in zip(("fixed", "aligned"), frames, strict=True):
            tifffile.imwrite(folder / f"{role}.tif", (frame + random.normal(0, noise * deviation, _SHAPE)).astype("f4"))
        config = CheckConfig(fixed=folder / "fixed.tif", aligned=folder / "aligned.tif", out=folder / "check")
        metrics = check_files(config, lambda _: None).report["metrics"]
        known = np.isfinite(tifffile.imread(folder / "check" / "shift.tif"))
        lengths = np.hypot(*move(x, y))
        evaluated = _evaluated(folder, move, random)
    part = float(np.percentile(lengths[known], 90))
    return _Result(
        scene, motion, noise, float(np.percentile(lengths, 90)), part, float(known.mean()), metrics["ce90"], evaluated
    )


def _back(move: Motion, x: Array, y: Array) -> tuple[Array, Array]:
    """Return where in the scene the pixels of the aligned frame lie: p with p + u(p) = q."""
    at_x, at_y = x, y
    for _ in range(50):  # each step divides the error by ten and more
        dx, dy = move(at_x, at_y)
        at_x, at_y = x - dx, y - dy
    return at_x, at_y


def _evaluated(folder: Path, move: Motion, random: np.random.Generator) -> float:
    """Return the CE90 of the identity at landmarks."""
    cells = np.stack(np.meshgrid(*[np.arange(_LANDMARKS_PER_SIDE)] * 2), axis=-1).reshape(-1, 2)
    height, width = _SHAPE
    x, y = ((cells + random.uniform(0, 1, cells.shape)) / _LANDMARKS_PER_SIDE * [width - 1, height - 1]).T
    dx, dy = move(x, y)
    rows = np.column_stack([x, y, x + dx, y + dy])
    head = "fixed_x,fixed_y,moving_x,moving_y"
    np.savetxt(folder / "landmarks.csv", rows, delimiter=",", header=head, comments="")
    np.savetxt(folder / "identity.txt", np.eye(3))
    config = EvaluateConfig(transform=folder / "identity.txt", fixed_points=folder / "landmarks.csv")
    return float(evaluate(config).report["ce90"])


def _body(results: list[_Result]) -> Iterator[str]:
    def within(ratios: list[float]) -> str:
        good, worst = sum(abs(ratio - 1) <= _BOUND for ratio in ratios), max(ratios, key=lambda ratio: abs(ratio - 1))
        return f"{good} of {len(ratios)} within {_BOUND:.0%}, the worst {worst - 1:+.1%}"

    yield from report.table(
        ("", "CE90 against the truth"),
        [
            ("zncc check, over the frame", within([r.checked / r.truth for r in results])),
            ("zncc check, where it knows the shift", within([r.checked / r.truth_where_known for r in results])),
            ("zncc evaluate, 400 landmarks", within([r.evaluated / r.truth for r in results])),
        ],
    )
    head = ("scene", "motion", "noise", "truth, px", "where known", "zncc check", "zncc evaluate")
    yield from report.table(
        head,
        [
            (r.scene, r.motion, r.noise, *(f"{x:.3f}" for x in (r.truth, r.truth_where_known, r.checked, r.evaluated)))
            for r in results
        ],
    )
    yield "Noise in standard deviations of the scene; frames of 480 x 400 pixels."


if __name__ == "__main__":
    main()
