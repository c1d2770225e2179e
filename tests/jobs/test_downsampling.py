"""Images too large to be registered as they are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from tests.registration.spline_fields import random_field
from zncc_cli.config import RegistrationConfig
from zncc_cli.files.images import Image
from zncc_cli.files.lazy import LazyArray
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.channel_view import ChannelView
from zncc_cli.jobs.downsampling import (
    downsampled,
    downsampled_matrix,
    downsampled_transform,
    downsampling_factor,
    full_resolution_field,
    full_resolution_matrix,
    full_resolution_result,
    read_block_means,
)
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import register_images
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.registration.warp import map_points
from zncc_cli.report.grey import reduced_shape


def view(data: np.ndarray) -> ChannelView:
    return ChannelView(Image(data, "YX", Metadata(path=Path("a.tif"), format="TIFF")), ())


def test_blocks_are_means_of_their_pixels_and_cut_blocks_are_left_out() -> None:
    data = np.arange(7 * 11, dtype=np.uint16).reshape(7, 11)
    blocks = downsampled(view(data), 3)
    expected = data[:6, :9].reshape(2, 3, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(blocks.grey, expected, rtol=1e-6)  # float32
    assert blocks.valid.all()


def smooth(height: int, width: int) -> np.ndarray:
    """Return a texture whose blocks of four pixels still have one."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(height, width)), 8)
    return (noise / noise.std() * 300 + 5000).astype(np.uint16)


def levels_of(data: np.ndarray, *steps: int, average: bool = True) -> tuple[tuple[LazyArray, ...], list[int]]:
    """Return levels of an image, and a list that collects the steps of those that are read."""
    read: list[int] = []

    def level(step: int) -> LazyArray:
        height, width = data.shape[0] // step * step, data.shape[1] // step * step
        blocks = data[:height, :width].reshape(height // step, step, width // step, step)
        pixels = (blocks.mean(axis=(1, 3)) if average else blocks[:, 0, :, 0]).astype(data.dtype)

        def part(_: tuple[int, ...], rows: range, columns: range) -> np.ndarray:
            read.append(step)
            return pixels[rows.start : rows.stop, columns.start : columns.stop]

        return LazyArray(pixels.shape, pixels.dtype, 2, part)

    return tuple(map(level, steps)), read


@pytest.mark.parametrize(
    ("steps", "factor", "used"), [((2, 4), 12, 4), ((4, 16), 12, 4), ((2,), 3, None), ((4,), 4, 4)]
)
def test_a_level_of_the_pyramid_is_read_where_blocks_can_be_made_of_it(
    steps: tuple[int, ...], factor: int, used: int | None
) -> None:
    data = smooth(203, 302)
    levels, read = levels_of(data, *steps)
    plain = view(data)
    blocks = downsampled(replace(plain, image=replace(plain.image, levels=levels)), factor)
    assert set(read) == ({used} if used else set())
    assert blocks.factor == factor
    # The level's pixels are rounded to integers.
    np.testing.assert_allclose(blocks.grey, downsampled(plain, factor).grey, atol=1)


def test_a_level_that_shows_other_places_is_not_used() -> None:
    data = smooth(203, 302)
    levels, read = levels_of(data, 4, average=False)  # the first pixel of each block, 1.5 px from its centre
    plain = view(data)
    blocks = downsampled(replace(plain, image=replace(plain.image, levels=levels)), 12)
    assert read == [4]  # the part that was compared
    np.testing.assert_array_equal(blocks.grey, downsampled(plain, 12).grey)


def test_a_block_counts_when_half_of_its_pixels_do_and_is_their_mean() -> None:
    data = np.ones((4, 4), np.float32)
    data[:2, :2] = [[np.nan, np.nan], [np.nan, 5]]
    data[:2, 2:] = [[np.nan, np.nan], [3, 5]]
    blocks = downsampled(view(data), 2)
    assert blocks.valid.tolist() == [[False, True], [True, True]]
    assert blocks.grey[0, 1] == 4


def test_rows_read_in_several_parts_give_the_same_means() -> None:
    data = np.random.default_rng(0).integers(0, 2**16, (1500, 40)).astype(np.uint16)
    np.testing.assert_allclose(
        downsampled(view(data), 4).grey, data.reshape(375, 4, 10, 4).mean(axis=(1, 3)), rtol=1e-6
    )


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_block_centres_are_mapped_like_blocks(factor: int) -> None:
    between_blocks = np.array([[1.1, 0.1, 3.0], [-0.2, 0.9, 1.5], [1e-4, 2e-4, 1]])
    between_pixels = full_resolution_matrix(between_blocks, factor)
    blocks = np.array([[0.0, 0.0], [10.0, 4.0]])
    centres = factor * blocks + (factor - 1) / 2  # of the pixels factor * i to factor * i + factor - 1
    expected = factor * map_points(between_blocks, blocks) + (factor - 1) / 2
    np.testing.assert_allclose(map_points(between_pixels, centres), expected, rtol=1e-12)
    np.testing.assert_allclose(downsampled_matrix(between_pixels, factor), between_blocks, rtol=1e-9, atol=1e-12)


def test_only_large_images_are_downsampled() -> None:
    assert downsampling_factor((4096, 4096), (100, 100)) == 1
    assert downsampling_factor((20000, 20000), (4096, 4096)) == 7
    assert downsampling_factor((4096, 4096), (100, 100), max_pixels=2**22) == 2


@pytest.mark.parametrize("shape", [(1024, 1025), (700, 1101), (1083, 1443), (97, 2600)])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_block_means_cover_the_whole_plane_with_reduced_shape_blocks(shape: tuple[int, int], factor: int) -> None:
    plane = np.ones(shape, np.float32)
    blocks = read_block_means(lambda rows, columns: (plane[rows, columns], plane[rows, columns] > 0), shape, factor)
    assert blocks.grey.shape == blocks.valid.shape == reduced_shape(shape, factor)
    assert blocks.valid.all()  # a block that hangs over the edge counts by the pixels that it has
    assert (blocks.grey == 1).all()


def test_lengths_of_a_downsampled_registration_are_in_pixels_at_full_resolution() -> None:
    """So are the model misfit and all other lengths of the evidence; ratios stay as they are."""
    rng = np.random.default_rng(0)
    noise = rng.random((80, 80))
    scene = sum(np.roll(noise, (i, j), (0, 1)) for i in range(4) for j in range(4)) * 1000
    config = RegistrationConfig(model="translation")  # type: ignore[arg-type]
    small = register_images(scene[4:68, 4:68], scene[2:66, 3:67], config)
    lengths = {
        "motion": 2.0,
        "fold_distance": 0.1,
        "model_misfit": 0.3,
        "round_trip": 0.05,
        "expected_error": 0.02,
        "border_pull": 0.4,
        "distance_beyond_bound": 7.0,
    }
    ratios = {"overlap": 0.9, "fold_distance_ratio": 1.5, "peak_ratio": 3.0, "shear": 1.01}
    small = replace(small, evidence=replace(small.evidence, **lengths, **ratios))
    result = full_resolution_result(small, 3, (192, 192), (193, 194))
    for name, length in lengths.items():
        assert getattr(result.evidence, name) == pytest.approx(3 * length), name
    for name, ratio in ratios.items():
        assert getattr(result.evidence, name) == ratio, name
    np.testing.assert_allclose(result.matrix[:2, 2], 3 * small.matrix[:2, 2])
    assert (result.fixed_shape, result.moving_shape) == ((192, 192), (193, 194))


def test_sentences_on_a_downsampled_registration_say_in_which_unit_their_lengths_are() -> None:
    image = np.random.default_rng(1).random((64, 64))
    config = RegistrationConfig(model="translation")  # type: ignore[arg-type]
    small = replace(register_images(image, image[::-1].copy(), config), status=Status.SUSPECT, reasons=("off by 2 px",))
    result = full_resolution_result(small, 3, (192, 192), (192, 192))
    assert result.reasons == ("on means of 3 x 3 pixels, with lengths in units of these: off by 2 px",)


def test_a_field_of_blocks_and_that_of_pixels_map_the_same_places() -> None:
    blocks = random_field((41, 52), amplitude=0.5, spacing=8.0)
    pixels = full_resolution_field(blocks, 4, (164, 208))
    points = np.random.default_rng(0).uniform([0, 0], [51, 40], (200, 2))
    want = 4 * blocks.map_points(points) + 1.5
    assert np.abs(pixels.map_points(4 * points + 1.5) - want).max() <= 0.005 * 4  # what a fit may be off
    back = downsampled_transform(pixels, 4, (41, 52))
    assert isinstance(back, SplineField)
    assert np.abs(back.map_points(points) - blocks.map_points(points)).max() <= 0.01
