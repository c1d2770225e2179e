"""What becomes of pixel values on their way to the aligned file."""

from __future__ import annotations

import numpy as np
import pytest

from zncc_cli.jobs.pair import to_dtype

ALL = np.ones((1, 4), dtype=bool)


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
def test_integers_are_rounded_and_clipped_never_wrapped(name: str) -> None:
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    beyond = float(limits.max) * 2 + 2
    out, clipped = to_dtype(np.array([[1.4, 1.6, beyond, -beyond]]), ALL, dtype)
    assert out.dtype == dtype
    assert out.tolist() == [[1, 2, limits.max, limits.min]]
    assert clipped == 2


def test_floats_beyond_their_range_are_clipped_and_counted() -> None:
    out, clipped = to_dtype(np.array([[1.5, 70000.0, -70000.0, 0.0]]), ALL, np.dtype(np.float16))
    assert out.tolist() == [[1.5, 65504.0, -65504.0, 0.0]]
    assert clipped == 2


def test_pixels_without_a_value_hold_nodata_or_zero_or_nan() -> None:
    there = np.array([[True, False]])
    values = np.array([[7.0, 0.0]])
    assert to_dtype(values, there, np.dtype(np.int16), -9999.0)[0].tolist() == [[7, -9999]]
    assert to_dtype(values, there, np.dtype(np.uint8), -9999.0)[0].tolist() == [[7, 0]]
    assert np.isnan(to_dtype(values, there, np.dtype(np.float32))[0][0, 1])


def test_bool_images_stay_bool() -> None:
    out, _ = to_dtype(np.array([[0.2, 0.7, 0.5, 0.0]]), ALL, np.dtype(bool))
    assert out.tolist() == [[False, True, True, False]]
