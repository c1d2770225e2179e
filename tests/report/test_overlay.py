"""The overlay: grey where both images agree, magenta and green where they do not."""

import numpy as np
import pytest

from tests.report.scene import scene
from zncc_cli.report.overlay import overlay


def colourfulness(panel):
    return float(np.abs(panel[..., 0].astype(int) - panel[..., 1]).mean())


def panels(picture, height, width):
    """(before, after) without the band of labels and the gap."""
    return picture[-height:, :width], picture[-height:, -width:]


def test_images_that_agree_are_grey_and_a_shift_is_coloured():
    fixed = scene()
    everywhere = np.ones(fixed.shape, bool)
    picture = overlay(fixed, np.roll(fixed, 9, axis=1), 3 * fixed + 1000, everywhere, everywhere)
    before, after = panels(picture, *fixed.shape)
    assert picture.dtype == np.uint8
    assert colourfulness(before) > 20
    assert np.abs(after[..., 0].astype(int) - after[..., 1]).max() <= 1
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])


def test_fixed_is_magenta_and_moving_is_green():
    fixed, moving = np.zeros((40, 60)), np.zeros((40, 60))
    fixed[10:20, 10:20] = 1
    moving[10:20, 30:40] = 1
    everywhere = np.ones(fixed.shape, bool)
    before, _ = panels(overlay(fixed, moving, moving, everywhere, everywhere), *fixed.shape)
    assert before[15, 15].tolist() == [255, 0, 255]
    assert before[15, 35].tolist() == [0, 255, 0]


def test_pixels_without_a_value_are_dark_grey_and_do_not_move_the_contrast():
    fixed = scene()
    moving = fixed.copy()
    moving[:, :40] = np.nan
    valid = np.ones(fixed.shape, bool)
    valid[:30] = False
    moving[:30] = 1e6
    _, after = panels(overlay(fixed, moving, moving, valid, valid), *fixed.shape)
    assert (after[:30] == after[0, 0]).all()
    assert (after[:, :40] == after[0, 0]).all()
    assert len(set(after[0, 0].tolist())) == 1
    assert after[0, 0, 0] < 64
    assert colourfulness(after) == 0


@pytest.mark.parametrize("factor", [1, 3])
def test_with_alone_pixels_of_one_image_only_are_shown_in_its_colour(factor):
    side = 1190 * factor
    fixed = np.full((20 * factor, side), np.nan)
    fixed[:, : side // 2] = np.arange(20 * factor)[:, None]
    moving, there = np.nan_to_num(fixed, nan=20.0 * factor), np.zeros(fixed.shape, bool)
    there[:, side // 4 : 3 * side // 4] = True
    _, after = panels(overlay(fixed, moving, moving, there, there, alone=True), 20, 1190)
    magenta, grey, green, nothing = (after[:, at].astype(int) for at in (100, 400, 700, 1100))
    assert (magenta[:, 1] == 0).all()
    assert (magenta[1:, 0] > 0).all()
    assert np.ptp(grey, axis=-1).max() <= 1
    np.testing.assert_array_equal(magenta[:, 0], grey[:, 0])  # the contrast of what both have
    assert (green == [0, 255, 0]).all()
    assert len(set(nothing.ravel().tolist())) == 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3), (2500, 3100), (1190, 1190), (1191, 1191)])
def test_picture_is_small_enough_to_look_at(shape):
    image = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    everywhere = np.ones(shape, bool)
    picture = overlay(image, image, image, everywhere, everywhere)
    assert picture.shape[1] <= 2400
    assert picture.shape[0] <= 1300
    factor = -(-max(shape) // 1190)
    assert picture.shape[1] == 2 * -(-shape[1] // factor) + 8


def test_reduction_averages_areas():
    fine = np.indices((2400, 2400)).sum(axis=0) % 2
    everywhere = np.ones(fine.shape, bool)
    before, _ = panels(overlay(fine, fine, fine, everywhere, everywhere), 800, 800)
    assert np.abs(before.astype(int) - 128).max() <= 16  # blocks of 3 x 3 hold 4 or 5 white pixels


def test_a_panel_without_overlap_is_uniform():
    image = scene()
    picture = overlay(image, image, image, np.zeros(image.shape, bool), np.ones(image.shape, bool))
    before, _ = panels(picture, *image.shape)
    assert (before == before[0, 0]).all()


def test_overlay_of_constant_images_is_mid_grey():
    image = np.full((20, 30), 7, dtype=np.uint16)
    everywhere = np.ones(image.shape, bool)
    before, _ = panels(overlay(image, image, image, everywhere, everywhere), 20, 30)
    assert (before == 128).all()


def test_labels_stand_above_the_panels():
    image = np.zeros((100, 300))
    everywhere = np.ones(image.shape, bool)
    picture = overlay(image, image, image, everywhere, everywhere)
    band = picture[:-100]
    assert band[:, :60].max() > 150
    assert band[:, 308:368].max() > 150
