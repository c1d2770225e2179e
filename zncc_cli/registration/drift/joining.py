"""Pairs of frames that the quick measurement (`frame_pair`) does not align, registered as two images are.

The quick measurement expects a shift of less than half a frame, the same contrast, and hardly any rotation. The
registration of two images searches all shifts, rotations and scales in both contrasts, and has a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from zncc_cli.config import NONE, Backend, Contrast, Device, Flip, Model, RegistrationConfig
from zncc_cli.registration.drift.frame_pair import MIN_OVERLAP, Measurement, PreparedFrame
from zncc_cli.registration.drift.parts import bridges, connected
from zncc_cli.registration.drift.path import DriftPath
from zncc_cli.registration.geometry import frame_extent, overlap_points
from zncc_cli.registration.quality.bounds import MAX_EXPECTED_ERROR_PX, MIN_BLOCK_SIGNIFICANCE
from zncc_cli.registration.quality.verdict import Request, Status, judge
from zncc_cli.registration.register import register_images

MIN_SHARED = 0.5
"""Of a frame, that two frames must share to be measured quickly once their places are known.

At the edges each frame's own shading is subtracted, which biases the shift: by up to 0.4 px where frames of 160 pixels
share 28 percent.
"""
_GRID_POINTS = 17  # along each side of a frame, at which the shared part is counted


def joining_config(model: Model, window: int, backend: Backend) -> RegistrationConfig:
    """Return the settings with which `register_pair` registers two frames."""
    return RegistrationConfig(
        model=model,
        window=window,
        backend=backend,
        min_overlap=MIN_OVERLAP,
        flip=Flip.NO,
        contrast=Contrast.EITHER,
        no_data=NONE,
        device=Device.CPU,
    )


def register_pair(
    fixed: PreparedFrame, moving: PreparedFrame, numbers: tuple[int, int], config: RegistrationConfig
) -> Measurement | None:
    """Return the motion between two frames; None if its verdict is not ok.

    A large expected error alone does not make it None, nor that parts lie off it, as they do in sections of tissue: the
    path weights each pair by its expected error.

    Args:
        fixed, moving: the frames.
        numbers: their numbers.
        config: settings of `joining_config`.
    """
    a, b = fixed.level, moving.level
    result = register_images(a.image[0, 0], b.image[0, 0], config, a.mask, b.mask)
    of_all = replace(result.evidence, expected_error=None, residual_motion=None, left_behind=None)
    verdict = judge(of_all, Request(config))
    if verdict.status is not Status.OK or result.uncertainty is None:
        return None
    return Measurement.of(
        numbers, result.matrix, result.uncertainty.rms, result.evidence.block_significance or 0.0, result.inverted
    )


def confirmed(path: DriftPath, measurements: Sequence[Measurement]) -> np.ndarray:
    """Return which of the ``measurements`` the parts of a path are built on, (m,) bool.

    They are the inliers of the path, except weak ones that no cycle of pairs confirms. A measurement is weak if its
    block significance or its expected error would not do for two images: a descent from a wrong start may reach as
    much.
    """
    # The pairs of a frame that most of its pairs disagree with do not count.
    ends = [(m.fixed, m.moving) for m in measurements]
    first, second = np.array(ends, dtype=np.int64).reshape(-1, 2).T
    in_part = path.inlier & (path.parts[first] == path.parts[second])
    unconfirmed = np.zeros(len(in_part), bool)
    unconfirmed[in_part] = bridges(len(path.parts), first[in_part], second[in_part])
    weak = np.array(
        [
            m.block_significance < MIN_BLOCK_SIGNIFICANCE or m.expected_error > MAX_EXPECTED_ERROR_PX
            for m in measurements
        ],
        dtype=bool,
    )
    return np.asarray(in_part & ~(unconfirmed & weak))


def contradicted(path: DriftPath, measurements: Sequence[Measurement]) -> bool:
    """Return whether good frames are connected only by pairs that are not `confirmed` and that others contradict."""
    kept = [m for m, is_confirmed in zip(measurements, confirmed(path, measurements), strict=True) if is_confirmed]
    parts = parts_of(len(path.parts), kept)
    outliers = [m for m, is_outlier in zip(measurements, path.significant & ~path.inlier, strict=True) if is_outlier]
    return any(path.good[m.fixed] and path.good[m.moving] and parts[m.fixed] != parts[m.moving] for m in outliers)


def searchable(path: DriftPath, measurements: Sequence[Measurement], blank: Sequence[int]) -> list[int]:
    """Return the frames that are worth a search: all except ``blank`` ones without a significant measurement.

    If blank frames outnumber the good ones, all frames are: a smooth scene under noise has little texture.
    """
    if len(blank) > path.good.sum():
        return list(range(len(path.parts)))
    significant = [m for m, is_significant in zip(measurements, path.significant, strict=True) if is_significant]
    matched = {frame for m in significant for frame in (m.fixed, m.moving)}
    return sorted(set(range(len(path.parts))) - (set(blank) - matched))


def shared_fraction(matrix: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the fraction of a frame (H, W) that ``matrix`` (3, 3) maps into another frame of the same shape."""
    extent = frame_extent(shape)
    return len(overlap_points(matrix, extent, extent, _GRID_POINTS)) / _GRID_POINTS**2


def parts_of(count: int, measurements: Sequence[Measurement]) -> np.ndarray:
    """Return the part of each of ``count`` frames that ``measurements`` connect, (n,) int; see `connected`."""
    ends = np.array([(m.fixed, m.moving) for m in measurements], dtype=np.int64).reshape(-1, 2)
    return connected(count, ends[:, 0], ends[:, 1])
