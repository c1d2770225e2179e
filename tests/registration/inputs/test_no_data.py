"""Values that stand for no data are found; black ground, saturation, drawings and noise are part of the scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from zncc_cli.registration.inputs.no_data import no_data_values

Image = np.ndarray


def gap_values(image: Image, no_data: str = "auto") -> tuple[float, ...]:
    return no_data_values(lambda rows: (image[rows], np.isfinite(image[rows])), image.shape, no_data)  # type: ignore[arg-type]


def scene(shape: tuple[int, int] = (200, 240), seed: int = 0, width: int = 9) -> Image:
    """Return a smooth random texture of 16 bit, mean 3000, no pixel of which is near zero."""
    noise = np.random.default_rng(seed).normal(size=(shape[0] + width, shape[1] + width))
    sums = noise.cumsum(axis=0).cumsum(axis=1)
    image = sums[width:, width:] - sums[:-width, width:] - sums[width:, :-width] + sums[:-width, :-width]
    return (3000 + 400 * image / image.std()).round().astype(np.uint16)


LOST: dict[str, Callable[[Image], None]] = {
    "2 of 6 rows": lambda m: np.logical_or(m, (np.arange(m.shape[0]) % 6 < 2)[:, None], out=m),
    "a column of 16": lambda m: np.logical_or(m, np.arange(m.shape[1]) % 16 == 3, out=m),
    "squares": lambda m: np.logical_or(
        m, np.kron(np.random.default_rng(1).random((40, 48)) < 0.1, np.ones((5, 5), bool)), out=m
    ),
    "single pixels": lambda m: np.logical_or(m, np.random.default_rng(2).random(m.shape) < 0.03, out=m),
}


@pytest.mark.parametrize("value", [0, 65535, 3000])
@pytest.mark.parametrize("lost", [name for name in LOST if name != "single pixels"])
def test_gaps_of_one_value_are_found_whatever_the_value(lost: str, value: int) -> None:
    image, gone = scene(), np.zeros((200, 240), bool)
    LOST[lost](gone)
    image[gone] = value
    assert gap_values(image) == (value,)


def test_scattered_pixels_are_found_where_their_value_lies_apart_from_all_others() -> None:
    image, gone = scene(), np.zeros((200, 240), bool)
    LOST["single pixels"](gone)
    image[gone] = 0
    assert gap_values(image) == (0,)


def test_gaps_in_strips_of_a_large_image_are_found() -> None:
    image = scene((1500, 700))
    image[np.arange(1500) % 20 < 4] = 0
    assert gap_values(image) == (0,)


def test_a_single_patch_is_found_where_its_value_lies_far_beyond_all_others() -> None:
    image = scene().astype(np.float32)
    image[40:80, 50:110] = -9999
    assert gap_values(image) == (-9999,)


def test_two_values_are_found() -> None:
    image = scene()
    image[np.arange(200) % 16 < 2] = 0
    image[:, np.arange(240) % 20 == 7] = 65535
    assert set(gap_values(image)) == {0, 65535}


def disc() -> Image:
    """Return a soft bright disc on exactly black ground."""
    y, x = np.mgrid[:200, :240]
    return (scene() * np.clip(2 - np.hypot(y - 100, x - 120) / 40, 0, 1)).astype(np.uint16)


def events(above: float) -> Image:
    """Return photons or the like: of any brightness, each for itself, where a smooth density is high."""
    density = (scene(width=21).astype(float) - 3000) / 400
    bright = np.random.default_rng(5).gamma(3.0, 300.0, density.shape)
    return np.where(density > above, bright, 0).round().astype(np.uint16)


SCENES: dict[str, Callable[[], Image]] = {
    "texture": scene,
    "saturated above": lambda: scene().clip(0, 3300),
    "cut off below": lambda: scene().clip(2800),
    "8 bit, low contrast": lambda: (scene() // 150).astype(np.uint8),
    "noise cut off at zero": lambda: np.random.default_rng(0).normal(60, 60, (200, 240)).clip(0, 255).astype(np.uint8),
    "photons": lambda: np.random.default_rng(0).poisson(scene() / 1000).astype(np.uint8),
    "few photons": lambda: np.random.default_rng(0).poisson(scene() / 10000).astype(np.uint8),
    "binary": lambda: scene() > 3000,
    "labels": lambda: np.kron(np.random.default_rng(0).integers(0, 40, (25, 30)), np.ones((8, 8), int)),
    "a disc on black": disc,
    "a drawing": lambda: np.where((np.add.outer(np.arange(200), np.arange(240)) % 23) < 3, 0, 255),
    "events on zeros": lambda: events(0.3),
    "many events on zeros": lambda: events(-0.8),
    "constant": lambda: np.full((200, 240), 7),
}


@pytest.mark.parametrize("name", SCENES)
def test_a_value_of_the_scene_is_not_taken_as_no_data(name: str) -> None:
    assert gap_values(SCENES[name]()) == ()


def test_a_value_that_is_given_is_taken_and_no_other_is_searched_for() -> None:
    image = scene()
    image[::6] = 0
    assert gap_values(image, "-9999") == (-9999.0,)
    assert gap_values(image, "none") == ()
