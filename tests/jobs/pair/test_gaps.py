"""Thin gaps are filled, and where there are none nothing is done."""

import numpy as np
import pytest
import torch

from zncc_cli.jobs.pair.gaps import filled_gaps, has_gaps
from zncc_cli.registration.inputs.inpainting import inpaint


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0])
def test_gaps_are_filled_as_for_a_registration(share: float) -> None:
    rng = np.random.default_rng(0)
    grey, valid = rng.normal(size=(40, 50)).astype(np.float32), rng.random((40, 50)) > share
    valid[5:8, 10:20] = False
    expected = inpaint(torch.from_numpy(grey), torch.from_numpy(valid), 5)
    for got, wanted in zip(filled_gaps(grey, valid, 5), expected, strict=True):
        np.testing.assert_array_equal(got, wanted.numpy())


@pytest.mark.parametrize("angle", [0, 10, 45, 100])
def test_the_frame_of_a_moved_image_has_no_gaps_and_stays_as_it_is(angle: float) -> None:
    y, x = np.mgrid[:60, :80] - 30
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    valid = (abs(cos * x - sin * y) <= 20) & (abs(sin * x + cos * y) <= 25)
    grey = np.random.default_rng(0).normal(size=valid.shape).astype(np.float32)
    assert not has_gaps(valid)
    got, usable = filled_gaps(grey, valid, 11)
    assert got is grey
    assert usable is valid
    wanted, still_valid = inpaint(torch.from_numpy(grey), torch.from_numpy(valid), 11)
    np.testing.assert_array_equal(wanted.numpy(), grey)
    np.testing.assert_array_equal(still_valid.numpy(), valid)


def test_a_pixel_left_out_of_a_row_or_a_column_is_a_gap() -> None:
    for place in ((3, slice(None)), (slice(None), 3)):
        valid = np.zeros((7, 7), bool)
        valid[place] = True
        assert not has_gaps(valid)
        valid[3, 3] = False
        assert has_gaps(valid)
    assert not has_gaps(np.zeros((7, 7), bool))
