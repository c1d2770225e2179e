"""Hot pixels are found, and parts of the scene are not taken for them."""

from __future__ import annotations

import numpy as np
import torch

from zncc_cli.registration.inputs.hot_pixels import hot_pixels, without_single_pixels
from zncc_cli.registration.pyramid import Level

SHAPE = (96, 128)


def level(image: np.ndarray, mask: np.ndarray | None = None) -> Level:
    valid = np.ones(image.shape, bool) if mask is None else mask
    return Level(torch.from_numpy(image.astype(np.float32))[None, None], torch.from_numpy(valid), 1)


def stars(places: np.ndarray, sigma: float, seed: int) -> np.ndarray:
    """Return an image of points seen through optics, with noise of a hundredth of the brightest."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py in places)
    return np.asarray(image + 0.01 * np.random.default_rng(seed).normal(size=SHAPE))


def test_bright_and_dead_pixels_at_the_same_place_in_both_are_found() -> None:
    first, second = (np.random.default_rng(seed).normal(size=SHAPE) for seed in (0, 1))
    expected = np.zeros(SHAPE, bool)
    for y, x, value in ((10, 20, 30.0), (50, 70, 30.0), (80, 5, -30.0), (12, 90, 30.0), (60, 100, -30.0)):
        expected[y, x] = True
        first[y, x], second[y, x] = value, 0.8 * value
    first[30, 30] = second[31, 30] = 30.0  # one each, and not at one place
    first[40, 40], second[40, 40] = 30.0, -30.0
    pixels = hot_pixels(level(first), level(second))
    assert pixels is not None
    np.testing.assert_array_equal(pixels.numpy(), expected)


def test_a_few_pixels_at_the_same_places_are_chance() -> None:
    first, second = (np.random.default_rng(seed).normal(size=SHAPE) for seed in (0, 1))
    for place in ((10, 20), (50, 70), (80, 5), (12, 90)):
        first[place] = second[place] = 30.0
    assert hot_pixels(level(first), level(second)) is None


def test_stars_that_did_not_move_are_no_hot_pixels() -> None:
    """Optics as sharp as a camera's pixels resolve: 2 pixels at half maximum; some stars right on a pixel."""
    places = np.random.default_rng(2).uniform(5, 90, (40, 2))
    places[:20] = places[:20].round()
    assert hot_pixels(level(stars(places, 0.85, 0)), level(stars(places, 0.85, 1))) is None


def test_a_texture_of_single_pixels_holds_no_hot_pixels() -> None:
    salt = (np.random.default_rng(3).random(SHAPE) < 0.03).astype(float)
    assert hot_pixels(level(salt), level(salt)) is None


def test_images_of_two_sizes_have_no_hot_pixels_in_common() -> None:
    image = np.random.default_rng(0).normal(size=SHAPE)
    image[20:60:4, 20] = 40
    assert hot_pixels(level(image), level(image)) is not None
    assert hot_pixels(level(image), level(image[:-1])) is None


def test_a_pixel_beside_the_mask_is_not_judged() -> None:
    image, mask = np.full(SHAPE, 9.0), np.ones(SHAPE, bool)
    image += 0.01 * np.random.default_rng(0).normal(size=SHAPE)
    mask[:, 40:] = False
    image[~mask] = 0
    image[10:80:6, 40] = 9
    mask[10:80:6, 40] = True
    assert hot_pixels(level(image, mask), level(image, mask)) is None


def test_without_single_pixels_no_pixel_lies_beyond_all_its_neighbours() -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 20, 30)))
    clamped = without_single_pixels(image)
    inner = image[..., 1:-1, 1:-1]
    around = torch.stack([image[..., 1 + y : 19 + y, 1 + x : 29 + x] for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y])
    torch.testing.assert_close(clamped[..., 1:-1, 1:-1], inner.clamp(around.amin(0), around.amax(0)))
    torch.testing.assert_close(clamped[..., 0, :], image[..., 0, :])
