"""What the tool says of its own results, beside the truth: pairs that can be aligned, and pairs that cannot.

The pairs are made twice, with other seeds: the bounds of the verdict were chosen on the one half, and what is claimed
is what the other, held out, half shows.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.alignment import trust_report, unalignable
from benchmarks.alignment.damage import BORDERS, DAMAGES
from benchmarks.alignment.error import rms_error
from benchmarks.alignment.motion import MODELS, SIZES
from benchmarks.alignment.pairs import SHAPE, Plan, make
from benchmarks.alignment.scenery import SCENES
from zncc_cli import register
from zncc_cli.registration.quality.uncertainty import Uncertainty
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.warp import corners, map_points

RESULTS = Path(__file__).resolve().parents[1] / "results"
HALVES = ("chosen", "held out")
LEVELS = (0.68, 0.95)
SOLVED = 1.0  # pixels RMS: a result below it is right
_DRAWS = 2000  # of the predicted errors: quantiles to a percent
_ALIGNABLE = list(itertools.product(DAMAGES | BORDERS, MODELS, SIZES))
_UNALIGNABLE = list(itertools.product(unalignable.KINDS, MODELS))

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Word:
    """What was said of one pair, and what is true.

    Attributes:
        half: one of `HALVES`.
        kind: what is wrong with the pair, a damage or a kind of what cannot be aligned.
        model, size, scene: of the pair; size and scene are empty where there is no truth.
        alignable: whether there is a truth.
        error: RMS over the overlap, pixels; None where there is no truth.
        status, reasons: the verdict.
        corner_error: RMS over the four corners, pixels; predicted: what was predicted of it; None where nothing was.
        inside: whether ``corner_error`` is within each of the `LEVELS`.
        seconds: of the registration.
    """

    half: str
    kind: str
    model: str
    size: str
    scene: str
    alignable: bool
    error: float | None
    status: str
    reasons: tuple[str, ...]
    corner_error: float | None
    predicted: float | None
    inside: tuple[bool, ...]
    seconds: float

    @property
    def is_right(self) -> bool:
        return self.error is not None and self.error < SOLVED

    @property
    def is_framed(self) -> bool:
        """Whether a black frame lies on both, which pulls, and of which nobody was told."""
        return self.kind in list(BORDERS)[1:]


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/trust.py", description=__doc__)
    parser.add_argument("--halves", nargs="+", choices=HALVES, default=HALVES)
    parser.add_argument("--seeds", type=int, default=1, help="pairs of each kind, model and size in each half")
    parser.add_argument("--every", type=int, default=1, help="make every n-th pair only")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    began, words = time.monotonic(), list[Word]()
    for half in options.halves:
        for seed in range(options.seeds):
            for word in itertools.chain(alignable(half, seed, options.every), hopeless(half, seed, options.every)):
                words.append(word)
                print(f"{half}: {word.kind}, {word.model}, {word.size}: {word.status}", file=sys.stderr, flush=True)
    seconds = time.monotonic() - began
    for file in trust_report.write(words, datetime.date.today().isoformat(), seconds, options.out):
        print(file)
    return 0


def alignable(half: str, seed: int, every: int = 1) -> Iterator[Word]:
    """Yield the word on pairs of exact truth: every damage and border, model and size."""
    at, scenes = HALVES.index(half), list(SCENES)
    for number, (damage, model, size) in list(enumerate(_ALIGNABLE))[::every]:
        scene = scenes[(number + number // 6 + 7 * seed + 3 * at) % len(scenes)]
        pair = make(Plan(10_000 * (at + 1) + 1000 * seed + number, scene, model, size, damage))
        result = register(pair.fixed, pair.moving, model)
        off, predicted, inside = _calibrated(result, pair.matrix)
        yield Word(
            half,
            damage,
            model,
            size,
            scene,
            True,
            rms_error(result.matrix, pair.matrix, SHAPE),
            str(result.status),
            result.reasons,
            off,
            predicted,
            inside,
            result.seconds,
        )


def hopeless(half: str, seed: int, every: int = 1) -> Iterator[Word]:
    """Yield the word on pairs that cannot be aligned: every kind and model."""
    at = HALVES.index(half)
    for number, (kind, model) in list(enumerate(_UNALIGNABLE))[::every]:
        fixed, moving = unalignable.frames(kind, 100_000 * (at + 1) + 1000 * seed + number, SHAPE)
        result = register(fixed.astype(np.float32), moving.astype(np.float32), model)
        said = str(result.status), result.reasons
        yield Word(half, kind, model, "", "", False, None, *said, None, None, (), result.seconds)


def _calibrated(result: RegistrationResult, truth: Array) -> tuple[float, float | None, tuple[bool, ...]]:
    """Return the RMS error over the corners, what was predicted of it, and whether it is within each of `LEVELS`."""
    frame = corners(SHAPE)
    off = map_points(result.matrix, frame) - map_points(truth, frame)
    error = float(np.sqrt(np.square(off).sum(axis=1).mean()))
    known = result.uncertainty
    if known is None:
        return error, None, ()
    drawn = drawn_errors(known)
    return error, float(np.sqrt(np.square(drawn).mean())), tuple(bool(error < q) for q in np.quantile(drawn, LEVELS))


def drawn_errors(known: Uncertainty) -> Array:
    """Return the RMS error over the corners, pixels, of parameters drawn from the predicted covariance, (n,)."""
    family = known.transform
    centre = family.parameters(known.matrix)
    values, vectors = np.linalg.eigh(known.covariance)
    random = np.random.default_rng(0)
    steps = random.standard_normal((_DRAWS, len(values))) * np.sqrt(values.clip(0)) @ vectors.T
    frame = corners(known.shape)
    apart = np.array([map_points(family.matrix(centre + step), frame) for step in steps])
    return np.asarray(np.sqrt(np.square(apart - map_points(known.matrix, frame)).sum(axis=-1).mean(axis=-1)))
