"""The pyramid never lets an invalid pixel into a smoothed value."""

from __future__ import annotations

import torch

from zncc_cli.registration.pyramid import Level, count_levels, fill_holes, pyramid, smooth


def test_invalid_pixels_do_not_leak_into_smoothed_ones() -> None:
    torch.manual_seed(0)
    image, mask = torch.randn(1, 1, 40, 50), torch.ones(40, 50, dtype=torch.bool)
    mask[10:15, 20:30] = False
    spoilt = image.clone()
    spoilt[0, 0][~mask] = 1e6
    clean, valid = smooth(torch.where(mask, image, 0), mask, 1.0)
    dirty, _ = smooth(torch.where(mask, spoilt, 0), mask, 1.0)
    torch.testing.assert_close(clean, dirty, rtol=0, atol=0)
    assert not (valid & ~mask).any()


def test_a_constant_stays_constant_up_to_the_border() -> None:
    image, mask = torch.full((1, 1, 30, 30), 7.0), torch.ones(30, 30, dtype=torch.bool)
    out, valid = smooth(image, mask, 1.0)
    torch.testing.assert_close(out[0, 0][valid], torch.full((int(valid.sum()),), 7.0))  # rounding of a mean
    assert valid[2:-2, 2:-2].all()  # two rows are lost, not the kernel's reach of three


def test_level_pixels_lie_on_every_second_pixel() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    levels = pyramid((x + 100 * y)[None, None], torch.ones(64, 80, dtype=torch.bool), 3)
    for level in levels:
        inner = level.image[0, 0][4:-4, 4:-4]
        rows, columns = inner.shape
        expected_x = level.factor * torch.arange(4, 4 + columns, dtype=torch.float32)
        expected_y = level.factor * torch.arange(4, 4 + rows, dtype=torch.float32)
        # A symmetric kernel leaves a ramp where it is: any shift of the grid would show as an offset.
        torch.testing.assert_close(inner, expected_x + 100 * expected_y[:, None], rtol=1e-5, atol=1e-2)


def test_the_coarsest_level_is_no_smaller_than_asked() -> None:
    assert count_levels((512, 700), 64) == 4  # 512, 256, 128, 64
    assert count_levels((511, 700), 64) == 3
    assert count_levels((20, 20), 64) == 1


def test_holes_are_filled_from_their_surroundings() -> None:
    image, mask = torch.full((1, 2, 40, 40), 30000.0), torch.ones(40, 40, dtype=torch.bool)
    image[0, 1] = 7.0
    mask[10:30, 10:30] = False
    spoilt = torch.where(mask, image, torch.nan)
    # float32 means of 30000: a few units in the last place.
    torch.testing.assert_close(fill_holes(spoilt, mask), image, rtol=1e-6, atol=0)


def test_holes_around_a_rectangle_take_its_edge() -> None:
    torch.manual_seed(0)
    image, mask = torch.randn(1, 2, 30, 40), torch.zeros(30, 40, dtype=torch.bool)
    mask[2:25, 5:39] = True
    filled = fill_holes(torch.where(mask, image, torch.nan), mask)
    rows, columns = torch.arange(30).clamp(2, 24), torch.arange(40).clamp(5, 38)
    torch.testing.assert_close(filled, image[..., rows, :][..., columns], rtol=0, atol=0)


def test_noise_is_measured_in_measured_pixels_alone() -> None:
    torch.manual_seed(0)
    image, mask, measured = torch.randn(1, 1, 300, 400), torch.ones(300, 400, dtype=torch.bool), torch.ones(300, 400)
    image[..., 200:, :] = 0
    measured[200:] = 0.4
    image[..., :, 300:] = 7
    mask[:, 300:] = False
    # A fifth of the rows tells it to a few percent.
    assert abs(Level(image, mask, 1, measured).noise_sigma - 1) < 0.05
    assert Level(image, torch.zeros_like(mask), 1).noise_sigma == 0


def test_the_extent_is_that_of_the_valid_pixels() -> None:
    mask = torch.zeros(20, 30, dtype=torch.bool)
    image = torch.zeros(1, 1, 20, 30)
    assert Level(image, mask, 1).extent == ((0, 19), (0, 29))
    mask[3, 7] = mask[11, 4] = True
    assert Level(image, mask, 1).extent == ((3, 11), (4, 7))
