"""The overlay: grey where both images agree, magenta and green where they do not."""

import numpy as np

from tests.report.scene import scene
from zncc_cli.report.layers import Layers
from zncc_cli.report.overlay import overlay


def drawn(fixed, before, after, valid_before=None, valid_after=None, **options):
    """The overlay of images that have a value everywhere, unless they are given where they have one."""
    valid_before, valid_after = (
        np.ones(fixed.shape, bool) if valid is None else valid for valid in (valid_before, valid_after)
    )
    layers = Layers(
        fixed=fixed, before=before, after=after, valid_before=valid_before, valid_after=valid_after, **options
    )
    return overlay(layers)


def colourfulness(panel):
    return float(np.abs(panel[..., 0].astype(int) - panel[..., 1]).mean())


def panels(picture, height, width):
    """(before, after) without the band of labels and the gap."""
    return picture[-height:, :width], picture[-height:, -width:]


def test_images_that_agree_are_grey_and_a_shift_is_coloured():
    fixed = scene()
    picture = drawn(fixed, np.roll(fixed, 9, axis=1), 3 * fixed + 1000)
    before, after = panels(picture, *fixed.shape)
    assert picture.dtype == np.uint8
    assert colourfulness(before) > 20
    assert np.abs(after[..., 0].astype(int) - after[..., 1]).max() <= 1
    np.testing.assert_array_equal(picture[..., 0], picture[..., 2])


def test_fixed_is_magenta_and_moving_is_green():
    fixed, moving = np.zeros((40, 60)), np.zeros((40, 60))
    fixed[10:20, 10:20] = 1
    moving[10:20, 30:40] = 1
    before, _ = panels(drawn(fixed, moving, moving), *fixed.shape)
    assert before[15, 15].tolist() == [255, 0, 255]
    assert before[15, 35].tolist() == [0, 255, 0]


def test_pixels_without_a_value_are_dark_grey_and_do_not_move_the_contrast():
    fixed = scene()
    moving = fixed.copy()
    moving[:, :40] = np.nan
    valid = np.ones(fixed.shape, bool)
    valid[:30] = False
    moving[:30] = 1e6
    _, after = panels(drawn(fixed, moving, moving, valid, valid), *fixed.shape)
    assert (after[:30] == after[0, 0]).all()
    assert (after[:, :40] == after[0, 0]).all()
    assert len(set(after[0, 0].tolist())) == 1
    assert after[0, 0, 0] < 64
    assert colourfulness(after) == 0


def test_with_alone_pixels_of_one_image_only_are_shown_in_its_colour():
    fixed = np.full((20, 1190), np.nan)
    fixed[:, :595] = np.arange(20)[:, None]
    moving, there = np.nan_to_num(fixed, nan=20.0), np.zeros(fixed.shape, bool)
    there[:, 297:892] = True
    _, after = panels(drawn(fixed, moving, moving, there, there, alone=True), 20, 1190)
    magenta, grey, green, nothing = (after[:, at].astype(int) for at in (100, 400, 700, 1100))
    assert (magenta[:, 1] == 0).all()
    assert (magenta[1:, 0] > 0).all()
    assert np.ptp(grey, axis=-1).max() <= 1
    np.testing.assert_array_equal(magenta[:, 0], grey[:, 0])  # the contrast of what both have
    assert (green == [0, 255, 0]).all()
    assert len(set(nothing.ravel().tolist())) == 1


def test_an_image_has_the_same_contrast_before_and_after():
    fixed = scene()
    brighter = np.where(np.indices(fixed.shape)[1] < 40, 10 * fixed, fixed)
    before, after = panels(drawn(fixed, fixed, brighter), *fixed.shape)
    np.testing.assert_array_equal(before[..., 0], after[..., 0])
    np.testing.assert_array_equal(before[:, 40:, 1], after[:, 40:, 1])


def test_a_panel_without_overlap_is_uniform():
    image = scene()
    picture = drawn(image, image, image, np.zeros(image.shape, bool))
    before, _ = panels(picture, *image.shape)
    assert (before == before[0, 0]).all()


def test_overlay_of_constant_images_is_mid_grey():
    image = np.full((20, 30), 7, dtype=np.uint16)
    before, _ = panels(drawn(image, image, image), 20, 30)
    assert (before == 128).all()


def test_labels_stand_above_the_panels():
    image = np.zeros((100, 300))
    picture = drawn(image, image, image)
    band = picture[:-100]
    assert band[:, :60].max() > 150
    assert band[:, 308:368].max() > 150
