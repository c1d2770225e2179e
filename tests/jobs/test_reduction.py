"""Images too large to be registered as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.reduction import block_means, full_matrix, reduced, reduced_matrix, reduction_factor
from zncc_cli.jobs.views import ChannelView
from zncc_cli.registration.warp import map_points
from zncc_cli.report.grey import reduced_shape


def view(data: np.ndarray) -> ChannelView:
    return ChannelView(Image(data, "YX", Metadata(path=Path("a.tif"), format="TIFF")), ())


def test_blocks_are_means_of_their_pixels_and_cut_blocks_are_left_out() -> None:
    data = np.arange(7 * 11, dtype=np.uint16).reshape(7, 11)
    got = reduced(view(data), 3)
    expected = data[:6, :9].reshape(2, 3, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(got.grey, expected, rtol=1e-6)  # float32
    assert got.valid.all()


def test_a_block_counts_when_half_of_its_pixels_do_and_is_their_mean() -> None:
    data = np.ones((4, 4), np.float32)
    data[:2, :2] = [[np.nan, np.nan], [np.nan, 5]]
    data[:2, 2:] = [[np.nan, np.nan], [3, 5]]
    got = reduced(view(data), 2)
    assert got.valid.tolist() == [[False, True], [True, True]]
    assert got.grey[0, 1] == 4


def test_many_rows_are_the_same_as_few() -> None:
    data = np.random.default_rng(0).integers(0, 2**16, (1500, 40)).astype(np.uint16)
    np.testing.assert_allclose(reduced(view(data), 4).grey, data.reshape(375, 4, 10, 4).mean(axis=(1, 3)), rtol=1e-6)


@pytest.mark.parametrize("factor", [1, 2, 5])
def test_the_centre_of_a_block_goes_to_the_centre_of_a_block(factor: int) -> None:
    between_blocks = np.array([[1.1, 0.1, 3.0], [-0.2, 0.9, 1.5], [1e-4, 2e-4, 1]])
    between_pixels = full_matrix(between_blocks, factor)
    blocks = np.array([[0.0, 0.0], [10.0, 4.0]])
    centres = factor * blocks + (factor - 1) / 2  # of the pixels factor * i to factor * i + factor - 1
    expected = factor * map_points(between_blocks, blocks) + (factor - 1) / 2
    np.testing.assert_allclose(map_points(between_pixels, centres), expected, rtol=1e-12)
    np.testing.assert_allclose(reduced_matrix(between_pixels, factor), between_blocks, rtol=1e-9, atol=1e-12)


def test_only_large_images_are_reduced() -> None:
    assert reduction_factor((4096, 4096), (100, 100)) == 1
    assert reduction_factor((20000, 20000), (4096, 4096)) == 7
    assert reduction_factor((4096, 4096), (100, 100), most=2**22) == 2


@pytest.mark.parametrize("shape", [(1024, 1025), (700, 1101), (1083, 1443), (97, 2600)])
@pytest.mark.parametrize("factor", [1, 2, 3, 7])
def test_means_of_blocks_cover_the_whole_plane_with_as_many_blocks_as_the_one_rule_says(
    shape: tuple[int, int], factor: int
) -> None:
    plane = np.ones(shape, np.float32)
    got = block_means(lambda rows, columns: (plane[rows, columns], plane[rows, columns] > 0), shape, factor)
    assert got.grey.shape == got.valid.shape == reduced_shape(shape, factor)
    assert got.valid.all()  # a block that hangs over the edge counts by the pixels that it has
    assert (got.grey == 1).all()
