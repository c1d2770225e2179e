"""PNG files: other programs read the pixels that were written."""

import io

import numpy as np
import pytest
from PIL import Image as PillowImage

from zncc_cli.files.png import png_bytes


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (31, 17), (31, 17, 3), (1, 1, 3)])
@pytest.mark.parametrize("flat", [False, True])
def test_grey_and_rgb_pixels_are_read_as_they_were_written(shape: tuple[int, ...], flat: bool) -> None:
    pixels = np.full(shape, 7, np.uint8) if flat else random(*shape)
    with PillowImage.open(io.BytesIO(png_bytes(pixels))) as picture:
        picture.verify()  # checksums
    np.testing.assert_array_equal(np.asarray(PillowImage.open(io.BytesIO(png_bytes(pixels)))), pixels)


def test_pixels_in_another_order_in_memory_are_read_as_they_were_written() -> None:
    pixels = random(40, 30, 3)[::2, ::-1]
    np.testing.assert_array_equal(np.asarray(PillowImage.open(io.BytesIO(png_bytes(pixels)))), pixels)


def test_a_palette_gives_the_colours_and_its_first_entry_is_transparent() -> None:
    numbers, palette = random(20, 30), random(256, 3)
    numbers[0, 0] = 0
    rgba = np.asarray(PillowImage.open(io.BytesIO(png_bytes(numbers, palette))).convert("RGBA"))
    np.testing.assert_array_equal(rgba[..., :3], palette[numbers])
    np.testing.assert_array_equal(rgba[..., 3], np.where(numbers == 0, 0, 255))
