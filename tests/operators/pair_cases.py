"""Pairs of images, transforms and frames for tests of the pair metric's kernels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from zncc_cli.operators.pair_metric import CellGrid, MetricWeights, PairPlanes, PairSums, Wanted

WEIGHTS = MetricWeights(0.9, 1.1, 1.0, 2.0, 0.1, 0.2, 3.0, 1.0)
CELLS = CellGrid(3, -2, 17, 23, 4, 5)
ALL = Wanted(cells=CELLS, scores=True, curvature=True, maps=True, pixels=True)

AFFINE = ((1.03, 0.02, -1.7), (-0.015, 0.98, 2.4), (0.0, 0.0, 1.0))
PROJECTIVE = ((1.02, -0.01, 1.3), (0.02, 0.97, -0.6), (2e-5, -3e-5, 1.1))


@dataclass(frozen=True)
class PairCase:
    """A pair metric to compute: what is drawn, and what is asked for.

    Attributes:
        shape: (H, W) of the fixed frame.
        moving_shape: (Hm, Wm).
        window: side of the windows, pixels.
        matrix: fixed -> moving; None for a smooth field of displacements.
        masks, measured, weight: whether there are masks, measured shares, and weights of windows.
    """

    shape: tuple[int, int] = (61, 70)
    moving_shape: tuple[int, int] = (58, 75)
    window: int = 9
    matrix: tuple[tuple[float, ...], ...] | None = AFFINE
    degree: int = 3
    masks: bool = False
    measured: bool = False
    weight: bool = False
    tile_step: int = 1
    projective: bool = True
    weights: MetricWeights = WEIGHTS
    wanted: Wanted = ALL


CASES = {
    "affine": PairCase(),
    "affine, last row fixed": PairCase(projective=False),
    "projective": PairCase(matrix=PROJECTIVE),
    "linear interpolation": PairCase(degree=1),
    "field": PairCase(matrix=None),
    "masks": PairCase(masks=True),
    "measured": PairCase(measured=True, matrix=PROJECTIVE),
    "weights of windows": PairCase(weight=True, masks=True, measured=True),
    "the signal counts by eps alone": PairCase(weights=WEIGHTS._replace(kappa=0.0, alpha=0.0, beta=1.0)),
    "several tiles": PairCase(shape=(90, 1100), moving_shape=(95, 1090), window=11),
    "every other tile": PairCase(
        shape=(300, 1100),
        moving_shape=(300, 1100),
        tile_step=2,
        measured=True,
        wanted=ALL._replace(cells=CellGrid(3, -2, 90, 200, 3, 6)),
    ),
    "wide windows": PairCase(shape=(70, 600), moving_shape=(70, 600), window=45),
    "one window": PairCase(shape=(9, 9), moving_shape=(40, 40)),
    "a row of windows": PairCase(shape=(9, 70)),
    "a column of windows": PairCase(shape=(70, 9)),
    "windows of four pixels": PairCase(window=2),
    "a moving image of one pixel": PairCase(moving_shape=(1, 1), degree=1),
    "cells that hold their windows": PairCase(wanted=ALL._replace(cells=CELLS._replace(inside=True))),
    "one cell beyond the frame": PairCase(wanted=ALL._replace(cells=CellGrid(-5, -7, 10**12, 10**12, 1, 1))),
    "cells smaller than a window": PairCase(wanted=ALL._replace(cells=CellGrid(0, 0, 4, 5, 3, 3, True))),
    "no cells": PairCase(wanted=ALL._replace(cells=CellGrid(0, 0, 4, 5, 0, 3))),
    "sums alone": PairCase(wanted=Wanted()),
    "scores alone": PairCase(wanted=Wanted(scores=True)),
    "curvature alone": PairCase(wanted=Wanted(curvature=True)),
    "pixels alone": PairCase(wanted=Wanted(pixels=True), matrix=PROJECTIVE),
    "cells alone": PairCase(wanted=Wanted(cells=CELLS)),
    "maps alone": PairCase(wanted=Wanted(maps=True)),
    "another image": PairCase(matrix=((1.0, 0.0, 500.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),
    "far away": PairCase(matrix=((1e13, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))),
    "beyond the horizon": PairCase(matrix=((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, -30.0))),
}


def drawn(case: PairCase, dtype: torch.dtype) -> tuple[PairPlanes, dict[str, object]]:
    """Return the images of a case, and the further arguments of `pair_metric`."""
    random = np.random.default_rng(3)

    def smooth(shape: tuple[int, int]) -> np.ndarray:
        y, x = np.indices(shape)
        waves = np.sin(x / 3.1 + 0.4) * np.cos(y / 4.3) + np.sin((x + 2 * y) / 7.0)
        return np.asarray(waves + 0.3 * random.normal(size=shape))

    def tensor(values: np.ndarray) -> torch.Tensor:
        return torch.tensor(values, dtype=dtype)

    def share(shape: tuple[int, int]) -> torch.Tensor:
        return tensor(random.uniform(0.3, 1.0, size=shape))

    height, width = case.moving_shape
    planes = PairPlanes(
        tensor(smooth(case.shape)), tensor(smooth(case.moving_shape)), case.degree, (0, 0, width - 1, height - 1)
    )
    if case.masks:
        mask, moving_mask = torch.ones(case.shape, dtype=torch.bool), torch.ones(case.moving_shape, dtype=dtype)
        mask[20:24, 30:33] = False
        moving_mask[40:43, 50:56] = 0.0
        planes = replace(planes, fixed_mask=mask, moving_mask=moving_mask)
    if case.measured:
        planes = replace(planes, fixed_measured=share(case.shape), moving_measured=share(case.moving_shape))
    y, x = np.indices(case.shape)
    field = np.stack((1.5 + np.sin(y / 9.0), np.cos(x / 11.0) - 0.7), axis=-1)
    weight = share((case.shape[0] - case.window + 1, case.shape[1] - case.window + 1)) if case.weight else None
    if weight is not None:
        weight[:5] = 0.0
    return planes, {
        "transform": tensor(field) if case.matrix is None else torch.tensor(case.matrix, dtype=torch.float64),
        "window": case.window,
        "weights": case.weights,
        "wanted": case.wanted,
        "weight": weight,
        "tile_step": case.tile_step,
        "projective": case.projective,
    }


def moved(planes: PairPlanes, device: torch.device) -> PairPlanes:
    """Return the images on a device."""
    tensors = {name: value.to(device) for name, value in vars(planes).items() if isinstance(value, torch.Tensor)}
    return replace(planes, **tensors)


def assert_same_metric(ours: PairSums, expected: PairSums, dtype: torch.dtype) -> None:
    """Equal but for rounding, each relative to the largest of its kind."""
    # Between two kernels values of a map are rounded to its type: a few roundings of float32, of which there are 2^-24;
    # and in float64 what running sums over another way along a plane remember.
    tolerance = 1e-6 if dtype == torch.float32 else 1e-10

    def assert_near(name: str, one: torch.Tensor, other: torch.Tensor, scale: torch.Tensor | float) -> None:
        assert one.isfinite().all(), name
        torch.testing.assert_close(
            one.double().cpu() / scale,
            other.double() / scale,
            rtol=0,
            atol=tolerance,
            msg=lambda text: f"{name}: {text}",
        )

    assert_near("totals", torch.tensor(ours.totals), torch.tensor(expected.totals), max(1.0, max(expected.totals)))
    for name in ("cells", "scores", "z", "w", "pixels"):
        one, other = getattr(ours, name), getattr(expected, name)
        assert (one is None) == (other is None), name
        if name == "z" and one is not None and expected.w is not None:
            # What windows outside the overlap hold depends on how far beyond it a kernel looks.
            assert one.isfinite().all()
            one, other = (torch.where(expected.w > 0, z.cpu(), 0) for z in (one, other))
        if one is not None and one.numel():
            # Of scores and pixels each plane has a unit of its own.
            largest = other.abs().double().flatten(1).amax(1) if name in ("scores", "pixels") else other.abs().max()
            scale = largest.clamp(min=1e-30).double()
            assert_near(name, one, other, scale.view(-1, *[1] * (other.dim() - 1)) if scale.dim() else float(scale))
    assert (ours.curvature is None) == (expected.curvature is None)
    if ours.curvature is not None and expected.curvature is not None:
        # What is left of what pixels and windows contribute, which may be a small part of either.
        root = expected.curvature.diagonal().abs().sqrt()
        assert_near("curvature", ours.curvature, expected.curvature, torch.outer(root, root).clamp(min=1e-30))
