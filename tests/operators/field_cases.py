"""Pairs of images for the tests of the field metric, and how near two results must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from zncc_cli.operators.field_metric import FieldMetric, FieldPlanes, FieldWindows, field_metric
from zncc_cli.registration.transforms.spline_field import node_count

WINDOWS = FieldWindows(11, 21, 0.01, 0.02, 0.2)
MATRIX = np.array([[1.02, 0.05, -2], [-0.03, 0.97, 1.5], [1e-4, -2e-4, 1]])
SPACING = 8.0


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def planes(shape: tuple[int, int] = (70, 61), moving: tuple[int, int] = (64, 77)) -> FieldPlanes:
    box = (0, 0, moving[1] - 1, moving[0] - 1)
    return FieldPlanes(random(*shape), random(2, *shape, seed=1), random(*moving, seed=2), box)


def masked(images: FieldPlanes) -> FieldPlanes:
    """Return images of which some pixels are not valid."""
    return replace(
        images,
        fixed_mask=random(*images.fixed.shape, seed=4) > -1.5,
        moving_mask=(random(*images.knots.shape, seed=5) > -1.5).float(),
    )


def bent(images: FieldPlanes, seed: int = 3) -> Tensor:
    """Return coefficients that move pixels by one and a half, so that many leave the moving image."""
    return 1.5 * random(2, *(node_count(n, SPACING) for n in images.fixed.shape), seed=seed)


def measured(images: FieldPlanes, weight: Tensor | None = None) -> FieldMetric:
    coefficients = bent(images).to(images.fixed.device)
    return field_metric(images, MATRIX, coefficients, SPACING, WINDOWS, weight=weight, with_maps=True)


def assert_same(found: FieldMetric, expected: FieldMetric) -> None:
    # Both sum float32 pixels in float64, in another order; the largest scores are near 1e-3.
    torch.testing.assert_close(found.pixels.cpu(), expected.pixels, rtol=1e-4, atol=1e-7)
    assert found.maps is not None
    torch.testing.assert_close(found.maps.cpu(), expected.maps, rtol=1e-4, atol=1e-5)
    assert found.zncc == pytest.approx(expected.zncc, rel=1e-5, abs=1e-6)
    assert found.weight == pytest.approx(expected.weight, rel=1e-5, abs=1e-6)
    assert found.information == pytest.approx(expected.information, rel=1e-5)
    assert (found.folded, found.valid) == (expected.folded, expected.valid)
