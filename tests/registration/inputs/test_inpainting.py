"""Thin gaps are filled by the line between their ends; all else is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from zncc_cli.registration.inputs.inpainting import inpaint


def ramp(height: int = 24, width: int = 31) -> torch.Tensor:
    """Return a plane: every straight line between two of its pixels lies on it."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return 2 * x - 3 * y + 5


def test_a_ramp_is_continued_through_rows_columns_and_single_pixels() -> None:
    image, mask = ramp(), torch.ones(24, 31, dtype=torch.bool)
    mask[5:8] = mask[:, 20] = mask[12, 3] = mask[15:18, 8:10] = False
    filled, usable = inpaint(torch.where(mask, image, torch.nan), mask, 3)
    assert usable.all()
    torch.testing.assert_close(filled, image, rtol=0, atol=1e-5)  # float32 of numbers up to 100


def test_a_single_pixel_takes_the_mean_of_its_four_neighbours() -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(5, 5)))
    mask = torch.ones(5, 5, dtype=torch.bool)
    mask[2, 2] = False
    filled, _ = inpaint(image, mask, 1)
    torch.testing.assert_close(filled[2, 2], (image[1, 2] + image[3, 2] + image[2, 1] + image[2, 3]) / 4)
    torch.testing.assert_close(filled[mask], image[mask], rtol=0, atol=0)


@pytest.mark.parametrize("wide", [4, 5])
def test_a_gap_is_filled_up_to_the_longest_length(wide: int) -> None:
    mask = torch.ones(24, 31, dtype=torch.bool)
    mask[:, 10 : 10 + wide] = False
    _, usable = inpaint(ramp(), mask, 4)
    assert bool(usable.all()) is (wide == 4)


def test_a_gap_with_one_end_is_not_filled() -> None:
    """Its values would be guesses: beyond the edge of a frame, and inside a hole that is wide both ways."""
    mask = torch.ones(24, 31, dtype=torch.bool)
    mask[:2] = mask[:, -1:] = False
    mask[8:18, 8:18] = False
    _, usable = inpaint(ramp(), mask, 6)
    torch.testing.assert_close(usable, mask)


def test_an_image_without_gaps_is_returned_itself() -> None:
    image, mask = ramp(), torch.ones(24, 31, dtype=torch.bool)
    assert inpaint(image, mask, 5)[0] is image


def test_no_pixel_depends_on_what_is_farther_away_than_two_gaps() -> None:
    random = np.random.default_rng(1)
    image, mask = torch.from_numpy(random.normal(size=(60, 40))), torch.from_numpy(random.random((60, 40)) > 0.3)
    whole = inpaint(image, mask, 6)
    part = inpaint(image[10:50], mask[10:50], 6)
    for of_whole, of_part in zip(whole, part, strict=True):
        torch.testing.assert_close(of_part[13:-13], of_whole[23:37], rtol=0, atol=0)
