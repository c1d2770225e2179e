"""Frames that the measurements of a movie do not put on each other, registered as two files are.

What a movie asks of a pair is little: a shift of less than half a frame, in the same contrast, and hardly a turn. The
registration of a pair searches every shift, rotation and scale, in both contrasts, and has a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zncc_cli.config import NONE, Backend, Device, Model, RegistrationConfig
from zncc_cli.registration.drift.frame_pair import LEAST_OVERLAP, Measurement, PreparedFrame
from zncc_cli.registration.drift.parts import bridges, connected
from zncc_cli.registration.drift.path import DriftPath
from zncc_cli.registration.quality.bounds import MAX_EXPECTED_ERROR_PX, MIN_BLOCK_SIGNIFICANCE
from zncc_cli.registration.quality.verdict import Request, Status, judge
from zncc_cli.registration.register import register_images
from zncc_cli.registration.warp import map_points

# Of a frame, that two must share to be measured quickly once their place is known. At the edges each frame is freed of
# its own shading, which pulls: where 28 percent of 160 pixels are shared by up to 0.4 px.
LEAST_SHARED = 0.5
_GRID = 17  # points along each side, where what is shared is counted


def joining_config(model: Model, window: int, backend: Backend) -> RegistrationConfig:
    """Return the settings by which frames are registered as two files are."""
    return RegistrationConfig(
        model=model, window=window, backend=backend, min_overlap=LEAST_OVERLAP, no_data=NONE, device=Device.CPU
    )


def registered(
    fixed: PreparedFrame, moving: PreparedFrame, numbers: tuple[int, int], config: RegistrationConfig
) -> Measurement | None:
    """Return the motion between two frames where the verdict of a pair on it is ok, else None.

    That the place is not known well is no reason against it: the path counts a pair by its deviation, and says what
    comes of that.

    Args:
        fixed, moving: the frames.
        numbers: their numbers.
        config: see `joining_config`.
    """
    a, b = fixed.level, moving.level
    found = register_images(a.image[0, 0], b.image[0, 0], config, a.mask, b.mask)
    verdict = judge(replace(found.evidence, expected_error=None), Request(config))
    if verdict.status is not Status.OK or found.uncertainty is None:
        return None
    return Measurement.of(
        numbers, found.matrix, found.uncertainty.rms, found.evidence.block_significance or 0.0, found.inverted
    )


def confirmed(path: DriftPath, measurements: Sequence[Measurement]) -> np.ndarray:
    """Return which of the ``measurements`` (m,) bool a part of the path can rest on.

    They are those that count, less any that agrees by less than two files have to, or is known to less than that, where
    no circle of pairs says the same: a descent from a wrong start may find as much.
    """
    # Of frames that most of their pairs disagree with, no pair is believed.
    ends = [(m.fixed, m.moving) for m in measurements]
    first, second = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    held = path.counts & (path.parts[first] == path.parts[second])
    alone = np.zeros(len(held), bool)
    alone[held] = bridges(len(path.parts), first[held], second[held])
    weak = np.array(
        [
            m.block_significance < MIN_BLOCK_SIGNIFICANCE or m.expected_error > MAX_EXPECTED_ERROR_PX
            for m in measurements
        ],
        dtype=bool,
    )
    return np.asarray(held & ~(alone & weak))


def contradicted(path: DriftPath, measurements: Sequence[Measurement]) -> bool:
    """Tell whether good frames hang together by pairs that are not `confirmed` and that others contradict."""
    kept = [m for m, rests in zip(measurements, confirmed(path, measurements), strict=True) if rests]
    parts = parts_of(len(path.parts), kept)
    against = [m for m, no in zip(measurements, path.agreed & ~path.counts, strict=True) if no]
    return any(path.good[m.fixed] and path.good[m.moving] and parts[m.fixed] != parts[m.moving] for m in against)


def shown(path: DriftPath, measurements: Sequence[Measurement], blank: Sequence[int]) -> list[int]:
    """Return the frames that are worth a search: all but those of the ``blank`` that agree with none.

    Where blank ones outnumber the good ones, they are worth it, too: a smooth scene under noise has little texture.
    """
    if len(blank) > path.good.sum():
        return list(range(len(path.parts)))
    agreeing = {end for m, yes in zip(measurements, path.agreed, strict=True) if yes for end in (m.fixed, m.moving)}
    return sorted(set(range(len(path.parts))) - (set(blank) - agreeing))


def shared(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the share of a frame (H, W) that ``matrix`` (3, 3) sends into another of that shape."""
    y, x = np.meshgrid(*(np.linspace(0, n - 1, _GRID) for n in shape), indexing="ij")
    there = map_points(matrix, np.stack((x, y), axis=-1))
    return float(((there >= 0) & (there <= np.array(shape[::-1]) - 1)).all(axis=-1).mean())


def parts_of(count: int, measurements: Sequence[Measurement]) -> np.ndarray:
    """Return the part (n,) of each of ``count`` frames, as ``measurements`` join them."""
    ends = np.array([(m.fixed, m.moving) for m in measurements], dtype=np.int64).reshape(-1, 2)
    return connected(count, ends[:, 0], ends[:, 1])
