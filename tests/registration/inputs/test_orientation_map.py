"""Orientations do not change with contrast, turn by twice the angle, and end where pixels do not count."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import level
from zncc_cli.registration.inputs.orientation_map import orientation_map
from zncc_cli.registration.pyramid import Level


def waves(degrees: float, shape: tuple[int, int] = (60, 70)) -> np.ndarray:
    """Return a wave along a direction, so that all edges lie across it."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    angle = np.radians(degrees)
    return np.sin((x * np.cos(angle) + y * np.sin(angle)) / 3)


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_the_map_tells_twice_the_angle_of_the_gradient(degrees: float) -> None:
    found = orientation_map(level(waves(degrees)))
    inner = found.image[0][:, found.mask]
    # Where the wave turns its gradient is zero, and the floor counts: elsewhere |o| is near one.
    real, imaginary = inner.mean(dim=1).tolist()
    assert np.hypot(real, imaginary) > 0.8
    assert np.angle(complex(real, imaginary) * np.exp(-2j * np.radians(degrees))) == pytest.approx(0, abs=0.02)


def test_neither_gain_nor_sign_nor_offset_matter() -> None:
    image = np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)
    first, second = (orientation_map(level(each)) for each in (image, 3 - 7 * image))
    torch.testing.assert_close(first.image, second.image, atol=2e-5, rtol=1e-4)  # of float32


def test_what_is_flat_has_no_orientation() -> None:
    assert not orientation_map(Level(torch.zeros(1, 1, 40, 40), torch.ones(40, 40, dtype=torch.bool), 1)).image.any()


def test_the_frame_is_no_edge() -> None:
    found = orientation_map(level(5 + waves(30)))
    # Within a period of the frame as elsewhere: the mean over it would fall if the frame were an edge.
    strength = torch.hypot(*found.image[0])
    assert float(strength[3:8, 3:-3].mean()) > 0.8 * float(strength[20:-20, 20:-20].mean())


def test_pixels_beside_one_that_does_not_count_do_not_count() -> None:
    whole = level(waves(30))
    mask = whole.mask.clone()
    mask[30, 40] = False
    found = orientation_map(Level(whole.image, mask, 1))
    assert not found.mask[27:34, 37:44].any()
    assert found.mask[26, 40]
    assert torch.isfinite(found.image).all()
