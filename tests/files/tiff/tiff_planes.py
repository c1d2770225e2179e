"""Planes of small numbers, and what an image that holds them is like."""

import numpy as np

H, W = 37, 53


def pixels(*shape, dtype="u2"):
    return np.random.default_rng(0).integers(0, 250, (*shape, H, W)).astype(dtype)


def assert_same(image, data, axes):
    assert image.axes == axes
    assert image.shape == (H, W)
    assert image.leading == data.shape[: axes.index("YX")]
    np.testing.assert_array_equal(image.data, data)
