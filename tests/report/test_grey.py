"""Values as grey levels."""

import numpy as np
import pytest

from tests.report.scene import scene
from zncc_cli.report.grey import BlockMeans, block_means, robust_limits, sample, std_picture


def test_std_picture_keeps_0_for_nan():
    values = scene()
    values[:10] = np.nan
    values[20, 20] = 1e9
    picture = std_picture(values)
    assert picture.dtype == np.uint8
    assert (picture[:10] == 0).all()
    assert picture[10:].min() == 1
    assert picture[20, 20] == 255
    assert 60 < np.median(picture[10:]) < 200


def test_the_std_picture_of_a_map_without_values_is_zero():
    assert (std_picture(np.full((4, 5), np.nan)) == 0).all()


@pytest.mark.parametrize("shape", [(1, 1), (181, 181), (512, 512), (1000, 1024), (3, 70_000)])
def test_a_sample_is_small_and_has_pixels_of_every_column_where_there_are_few(shape):
    columns = np.broadcast_to(np.arange(shape[1]), shape)
    drawn = sample(columns, np.ones(shape, bool))
    assert min(columns.size, 2**13) <= drawn.size <= 2**15
    if shape[1] < 2**13:
        # Each column has its share, to a tenth, or to a pixel where it has fewer than ten.
        count, share = np.bincount(drawn, minlength=shape[1]), drawn.size / shape[1]
        assert np.abs(count - share).max() <= max(1, share / 10)


def test_a_few_known_values_are_all_in_the_sample():
    values, known = np.arange(10**6).reshape(1000, 1000), np.zeros((1000, 1000), bool)
    known[500, 300:400] = True
    np.testing.assert_array_equal(sample(values, known), values[known])


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("period", [2, 3, 4, 5, 8])
def test_the_limits_of_stripes_are_those_of_all_values(axis, period):
    places = np.indices((1024, 1024))[axis] % period
    everywhere = np.ones(places.shape, bool)
    assert robust_limits(places, everywhere) == (0, period - 1)


@pytest.mark.parametrize("factor", [1, 3, 7])
def test_block_means_of_parts_are_those_of_the_whole(factor):
    rng = np.random.default_rng(0)
    values, known = rng.normal(size=(50, 41)), rng.random((50, 41)) < 0.6
    blocks = BlockMeans(values.shape, factor)
    # The parts are those of a larger plane, which begins at (-4, -2) and ends beyond the values.
    canvas, there = np.pad(values, ((4, 9), (2, 6)), constant_values=1e9), np.pad(known, ((4, 9), (2, 6)), "edge")
    for top in range(0, len(canvas), 11):
        blocks.add(canvas[top : top + 11], there[top : top + 11], top - 4, -2)
    means, counts = block_means(values, known, factor)
    np.testing.assert_array_equal(blocks.means()[1], counts)
    np.testing.assert_allclose(blocks.means()[0], means, rtol=1e-6)  # float64 sums in another order, as float32
