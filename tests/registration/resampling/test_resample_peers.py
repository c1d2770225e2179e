"""The values of other tools, on the same pixels by the same transform, in float64.

Compared where all of them are defined and none has met the frame's edge, which each treats in its own way: at least 30
pixels inside, where what a spline filter brings in from the edge has shrunk by 0.268^30 = 1e-17.
"""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from zncc_cli.config import Interpolation
from zncc_cli.registration.resampling.resample import array_reader, resample
from zncc_cli.registration.warp import map_points

SHAPE, FRAME = (150, 170), (140, 160)
AFFINE = np.array([[0.93, 0.21, 6.30123], [-0.17, 1.05, 14.90456], [0, 0, 1]])
IMAGE = np.random.default_rng(0).random(SHAPE) * 1000  # noise: the hardest to interpolate alike
INSIDE = 30


def ours(interpolation: Interpolation) -> np.ndarray:
    read = array_reader(IMAGE, np.ones(SHAPE, bool))
    return resample(read, SHAPE, AFFINE, range(FRAME[0]), range(FRAME[1]), interpolation)[0]


def deep() -> np.ndarray:
    """Return the (H, W) mask of fixed pixels that lie deep inside the moving frame."""
    x, y = points()
    return (x >= INSIDE) & (x <= SHAPE[1] - 1 - INSIDE) & (y >= INSIDE) & (y <= SHAPE[0] - 1 - INSIDE)


def points() -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: FRAME[0], : FRAME[1]].astype(float)
    at = map_points(AFFINE, np.stack([x, y], axis=-1))
    return at[..., 0], at[..., 1]


def largest_difference(interpolation: Interpolation, theirs: np.ndarray) -> float:
    where = deep()
    assert where.sum() > 5000
    return float(np.abs(ours(interpolation) - theirs)[where].max() / np.ptp(IMAGE))


def by_scipy(order: int) -> np.ndarray:
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is not here to compare with")
    x, y = points()
    return np.asarray(ndimage.map_coordinates(IMAGE, [y, x], order=order, mode="mirror"))


def by_skimage(order: int) -> np.ndarray:
    transform = pytest.importorskip("skimage.transform", reason="scikit-image is not here to compare with")
    return np.asarray(transform.warp(IMAGE, AFFINE, output_shape=FRAME, order=order, preserve_range=True))


def by_itk(interpolator: str) -> np.ndarray:
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not here to compare with")
    transform = sitk.AffineTransform(2)
    transform.SetMatrix(AFFINE[:2, :2].ravel().tolist())
    transform.SetTranslation(AFFINE[:2, 2].tolist())
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(FRAME[::-1])
    resampler.SetTransform(transform)
    resampler.SetInterpolator(getattr(sitk, interpolator))
    return np.asarray(sitk.GetArrayFromImage(resampler.Execute(sitk.GetImageFromArray(IMAGE))))


# In parts of the range. Coordinates up to 170 pixels are rounded to 3e-14, each tool in its own order of operations,
# and the image changes by its whole range from one pixel to the next: 3e-14 is what is found.
SAME = 1e-12


def test_linear_is_that_of_scipy() -> None:
    assert largest_difference(Interpolation.LINEAR, by_scipy(1)) < SAME


def test_linear_is_that_of_scikit_image() -> None:
    assert largest_difference(Interpolation.LINEAR, by_skimage(1)) < SAME


def test_linear_is_that_of_itk() -> None:
    assert largest_difference(Interpolation.LINEAR, by_itk("sitkLinear")) < SAME


def test_cubic_is_the_spline_of_scipy() -> None:
    # Ours cuts the filter where 1e-11 of the range is left in each direction.
    assert largest_difference(Interpolation.CUBIC, by_scipy(3)) < 2e-11


def test_cubic_is_the_spline_of_itk() -> None:
    # As SciPy's. ITK begins its filter 1e-10 from what the mirrored image comes to; deep inside nothing of it is left.
    assert largest_difference(Interpolation.CUBIC, by_itk("sitkBSpline")) < 2e-11


def test_nearest_is_that_of_itk_and_scipy() -> None:
    # Exactly, but for points on the border of two pixels, of which this transform has none.
    x, y = points()
    assert min(np.abs(place - np.floor(place) - 0.5).min() for place in (x, y)) > 1e-9
    assert largest_difference(Interpolation.NEAREST, by_itk("sitkNearestNeighbor")) == 0
    assert largest_difference(Interpolation.NEAREST, by_scipy(0)) == 0


def test_lanczos_is_that_of_pillow() -> None:
    # Pillow only enlarges, by weights of the same formula, and rounds to float32 after each of its two passes. ITK's
    # reaches five pixels and its weights do not sum to one, OpenCV's reaches four: other values by intention.
    height, width = 371, 403
    across, down = SHAPE[1] / width, SHAPE[0] / height
    matrix = np.array([[across, 0, across / 2 - 0.5], [0, down, down / 2 - 0.5], [0, 0, 1]])
    read = array_reader(IMAGE, np.ones(SHAPE, bool))
    out, _ = resample(read, SHAPE, matrix, range(height), range(width), Interpolation.LANCZOS)
    theirs = np.asarray(Image.fromarray(IMAGE.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS))
    inner = slice(10, -10), slice(10, -10)  # three moving pixels and more from the edge
    assert np.abs(out - theirs)[inner].max() / np.ptp(IMAGE) < 3e-7
