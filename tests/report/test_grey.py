"""Values as grey levels."""

import numpy as np

from tests.report.scene import scene
from zncc_cli.report.grey import std_picture


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
