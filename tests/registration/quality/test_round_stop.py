"""The round stop of a camera is told by its shape."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene
from zncc_cli.registration.inputs.prepare import prepare
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.quality.round_stop import RoundStop, round_stop

SHAPE = 240, 280


def stop_of(image: np.ndarray) -> RoundStop | None:
    prepared = prepare("image", image, None, torch.device("cpu"))
    return round_stop(Level(prepared.image, prepared.mask, 2))


def framed(x: float, y: float, radius: float, aspect: float = 1.0) -> np.ndarray:
    """Return a textured scene of a mean of 100 behind a stop, with noise as of a camera."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    scene = Scene(0).image(SHAPE)
    scene = 100 + 15 * (scene - scene.mean()) / scene.std()
    inside = np.hypot(columns - x, (rows - y) / aspect) <= radius
    return np.asarray(np.where(inside, scene, 2) + np.random.default_rng(0).normal(0, 1, SHAPE))


@pytest.mark.parametrize(("x", "y", "radius"), [(140, 120, 100), (120.5, 131, 90), (150, 118, 130)])
def test_a_round_stop_is_found_even_where_the_frame_cuts_it(x: float, y: float, radius: float) -> None:
    found = stop_of(framed(x, y, radius))
    assert found is not None
    # Within a pixel of the level, which is two of the image: the edge is as sharp as that.
    np.testing.assert_allclose((found.x, found.y, found.radius), (2 * x, 2 * y, 2 * radius), atol=2)


def test_a_notch_and_a_caption_do_not_hide_it() -> None:
    image = framed(140, 120, 100)
    image[225:235, 5:60] = 200
    image[105:125, 235:245] = 100
    assert stop_of(image) is not None


@pytest.mark.parametrize("aspect", [0.8, 1.2])
def test_an_outline_that_is_no_circle_is_none(aspect: float) -> None:
    assert stop_of(framed(140, 120, 90, aspect)) is None


def test_a_scene_without_a_dark_frame_has_none() -> None:
    assert stop_of(Scene(1).image(SHAPE)) is None
    bright = framed(140, 120, 100)
    assert stop_of(-bright) is None  # a bright ground is none


def test_pixels_beside_the_soft_edge_do_not_count() -> None:
    inside = RoundStop(50.0, 40.0, 30.0).inside((80, 100))
    assert inside[40, 50 + 29]
    assert not inside[40, 50 + 30]
