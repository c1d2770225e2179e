"""Resampling: exact copies, the four interpolations, what is defined, and that no pixel depends on its piece."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.registration.analytic import Scene, about_centre
from tests.registration.spline_fields import random_field
from zncc_cli.config import Interpolation
from zncc_cli.operators import native
from zncc_cli.registration.resampling import resample as module
from zncc_cli.registration.resampling.interpolators import INTERPOLATORS
from zncc_cli.registration.resampling.resample import Read, array_reader, resample
from zncc_cli.registration.warp import map_points

SHAPE = (40, 50)
ALL = np.ones(SHAPE, dtype=bool)
BETWEEN = tuple(INTERPOLATORS)
AFFINE = np.array([[0.93, 0.21, -6.3], [-0.17, 1.05, 4.9], [0, 0, 1]])
HOMOGRAPHY = np.array([[0.95, 0.1, -3.3], [-0.08, 1.02, 2.2], [4e-3, -2e-3, 1.0]])
STEEP = np.array([[1.0, 0.0, 0.0], [0.1, 1.0, 0.0], [-0.03, 0.004, 1.0]])  # the horizon crosses the frame
TURNED = np.array([[0.02, -0.98, 45.0], [1.01, 0.03, -3.0], [0, 0, 1]])
SHRUNK = np.array([[9.0, 2.0, -30.0], [-1.0, 11.0, 5.0], [0, 0, 1]])
MOTIONS = [AFFINE, HOMOGRAPHY, STEEP, TURNED, SHRUNK]


def shift(dx: float, dy: float) -> np.ndarray:
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=float)


def resampled(
    image: np.ndarray,
    mask: np.ndarray,
    matrix: np.ndarray,
    interpolation: Interpolation,
    rows: range | None = None,
    columns: range | None = None,
    *,
    edge: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Resample an image in memory, onto a frame of its own shape by default."""
    height, width = image.shape[:2]
    frame = rows or range(height), columns or range(width)
    return resample(array_reader(image, mask), (height, width), matrix, *frame, interpolation, edge=edge)


class RecordingReader:
    """Reads like `array_reader`, and keeps the regions that were read."""

    def __init__(self, pixels: np.ndarray, valid: np.ndarray) -> None:
        self._read: Read = array_reader(pixels, valid)
        self.regions: list[tuple[slice, slice]] = []

    def __call__(self, rows: slice, columns: slice) -> tuple[np.ndarray, np.ndarray]:
        assert 0 <= rows.start <= rows.stop
        assert 0 <= columns.start <= columns.stop
        pixels, valid = self._read(rows, columns)
        assert pixels.shape[:2] == (rows.stop - rows.start, columns.stop - columns.start), "beyond the frame"
        self.regions.append((rows, columns))
        return pixels, valid

    @property
    def sizes(self) -> list[int]:
        return [(r.stop - r.start) * (c.stop - c.start) for r, c in self.regions]


# Exact copies


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64, np.uint64, np.float32, np.float64])
def test_the_identity_reproduces_the_image_bit_for_bit(interpolation: Interpolation, dtype: type) -> None:
    image = (np.random.default_rng(0).random(SHAPE) * 200).astype(dtype)
    out, valid = resampled(image, ALL, np.eye(3), interpolation)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, image)
    assert valid.all()


@pytest.mark.parametrize("matrix", [shift(2, 1), 3.0 * shift(2, 1), -shift(2, 1), AFFINE])
def test_64_bit_integers_are_copied_whole(matrix: np.ndarray) -> None:
    image = np.random.default_rng(0).integers(2**63, 2**64 - 1, SHAPE, dtype=np.uint64)
    out, valid = resampled(image, ALL, matrix, Interpolation.NEAREST)
    assert out.dtype == np.uint64
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    column, row = np.floor(map_points(matrix / matrix[2, 2], np.stack([x, y], -1)) + 0.5).astype(int).transpose(2, 0, 1)
    np.testing.assert_array_equal(valid, (column >= 0) & (column < SHAPE[1]) & (row >= 0) & (row < SHAPE[0]))
    np.testing.assert_array_equal(out[valid], image[row[valid], column[valid]])


@pytest.mark.parametrize("interpolation", Interpolation)
def test_a_whole_shift_copies_values_and_marks_the_rest(interpolation: Interpolation) -> None:
    image = np.random.default_rng(1).integers(1, 2**16, (*SHAPE, 3), dtype=np.uint16)
    mask, before = ALL.copy(), image.copy()
    mask[20, 20] = False
    out, valid = resampled(image, mask, shift(3, -2), interpolation)
    assert out.dtype == np.uint16
    expected = mask[:-2, 3:]
    np.testing.assert_array_equal(valid[2:, :-3], expected)
    np.testing.assert_array_equal(out[2:, :-3][expected], image[:-2, 3:][expected])  # out(x, y) = moving(x + 3, y - 2)
    assert not valid[:2].any()
    assert not valid[:, -3:].any()
    assert not out[~valid].any()
    np.testing.assert_array_equal(image, before)


def test_nearest_rounds_half_pixels_up() -> None:
    image = np.arange(1, 11)[None]
    out, valid = resampled(image, np.ones((1, 10), bool), shift(0.5, 0), Interpolation.NEAREST, columns=range(-2, 10))
    # Column x lies at x + 0.5 and takes pixel x + 1; a pixel reaches from half a pixel before its centre to just
    # before half a pixel after it, so that column -1 is pixel 0 and column 9 is none.
    np.testing.assert_array_equal(out[0], [0, *image[0], 0])
    np.testing.assert_array_equal(valid[0], out[0] > 0)


def test_nearest_is_valid_where_the_nearest_pixel_is() -> None:
    mask = ALL.copy()
    mask[10, 10] = False
    _, valid = resampled(np.ones(SHAPE), mask, shift(0.3, -0.4), Interpolation.NEAREST)
    assert np.argwhere(~valid[2:, :-2]).tolist() == [[8, 10]]


# Values between pixels


def test_resampling_agrees_with_the_scene() -> None:
    shape = (120, 140)
    truth = about_centre([[1.02, 0.04], [-0.03, 0.97]], (2.3, -1.7), shape)
    fixed, moving = Scene(seed=2).pair(truth, shape)
    errors = {}
    for interpolation in Interpolation:
        out, valid = resampled(moving, np.ones(shape, bool), truth, interpolation)
        errors[interpolation] = np.abs(out - fixed)[12:-12, 12:-12][valid[12:-12, 12:-12]].max()
    # The image's std is 0.1, its waves are 7 pixels and longer: inside, where the mirrored frame no longer matters, a
    # cubic spline is good to 1e-5, Lanczos to 1e-3, linear weights to 1e-2.
    assert errors[Interpolation.CUBIC] < 5e-5
    assert 1e-4 < errors[Interpolation.LANCZOS] < 2e-3
    assert 1e-3 < errors[Interpolation.LINEAR] < 1e-2
    assert errors[Interpolation.NEAREST] > 1e-2


def test_lanczos_is_its_formula() -> None:
    image = np.random.default_rng(3).random(SHAPE)
    out, _ = resampled(image, ALL, shift(0.3, 0.85), Interpolation.LANCZOS)
    weights = []
    for t in (0.85, 0.3):
        away = t - np.arange(-2, 4)
        window = np.sinc(away) * np.sinc(away / 3)
        weights.append(window / window.sum())
    expected = weights[0] @ image[10 - 2 : 10 + 4, 20 - 2 : 20 + 4] @ weights[1]
    assert out[10, 20] == pytest.approx(expected, abs=1e-14)  # the weights are polynomials, good to 1e-15
    # At the frame's corner the pixels beyond are mirrored about the outermost ones.
    mirrored = np.pad(image, 2, mode="reflect")[:6, :6]
    assert out[0, 0] == pytest.approx(weights[0] @ mirrored @ weights[1], abs=1e-14)


@pytest.mark.parametrize("backend", ["auto", "reference"])
@pytest.mark.parametrize("interpolation", BETWEEN)
@pytest.mark.parametrize("dx", [-1e-17, -1e-200, 1e-200, 1e-17])
def test_a_point_less_than_a_rounding_from_a_pixel_is_on_it(
    dx: float, interpolation: Interpolation, backend: str
) -> None:
    """The distance to the pixel before is one then: its Lanczos weights were no numbers."""
    image = np.random.default_rng(3).random(SHAPE)
    nearly = np.array([[1, 0, dx], [0, 1, -dx], [0, 0, 1]])
    with native.selected(backend):
        out, valid = resampled(image, ALL, nearly, interpolation)
    assert valid.all()
    np.testing.assert_allclose(out, image, rtol=0, atol=1e-10)  # a cubic spline is cut off at 1e-11 of the range


@pytest.mark.parametrize("interpolation", BETWEEN)
def test_a_constant_stays_constant_even_beside_a_hole(interpolation: Interpolation) -> None:
    mask = np.random.default_rng(4).random(SHAPE) > 0.02
    out, valid = resampled(np.where(mask, 7e4, np.nan), mask, AFFINE, interpolation)
    assert 200 < valid.sum() < valid.size
    np.testing.assert_allclose(out[valid], 7e4, rtol=1e-11)  # 4e-12 of a hole's inside reaches out of it
    assert not out[~valid].any()


@pytest.mark.parametrize("interpolation", BETWEEN)
def test_pixels_outside_the_mask_are_never_used(interpolation: Interpolation) -> None:
    image, mask = Scene(seed=1).image(SHAPE), ALL.copy()
    mask[10, 10] = False
    results = []
    for value in (np.nan, 1e30):
        image[10, 10] = value
        out, valid = resampled(image, mask, shift(0.5, 0.5), interpolation)
        assert np.argwhere(~valid[:-1, :-1]).tolist() == [[9, 9], [9, 10], [10, 9], [10, 10]]
        results.append(out)
    np.testing.assert_array_equal(*results)


@pytest.mark.parametrize("interpolation", [Interpolation.CUBIC, Interpolation.LANCZOS])
def test_a_hole_does_not_ring(interpolation: Interpolation) -> None:
    mask = ALL.copy()
    mask[:, 20:] = False  # deeper than what is filled reaches
    image = Scene(seed=5).image(SHAPE) + 1e4
    whole, _ = resampled(image, ALL, shift(0.5, 0.5), interpolation)
    out, valid = resampled(np.where(mask, image, 0), mask, shift(0.5, 0.5), interpolation)
    # Beside the hole values depend on what it is filled with, by a part of the image's contrast (a std of 0.1), not of
    # its mean.
    assert valid[:, :18].sum() == 18 * 39
    assert np.abs(out - whole)[valid].max() < 0.05


# Tiles


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("matrix", MOTIONS)
def test_no_bit_of_a_pixel_depends_on_its_tile_or_on_the_rows_and_columns(
    matrix: np.ndarray, interpolation: Interpolation, edge: bool, masked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(6)
    image, mask = rng.random((130, 110, 2)), np.ones((130, 110), bool)
    if masked:
        mask = rng.random(mask.shape) > 0.01
        mask[40:100, 30:90] = False  # larger than any reach
    rows, columns = range(-9, 40), range(-14, 55)
    whole = resampled(image, mask, matrix, interpolation, rows, columns, edge=edge)
    part = resampled(image, mask, matrix, interpolation, range(5, 23), range(-3, 40), edge=edge)
    for a, b in zip(whole, part, strict=True):
        np.testing.assert_array_equal(a[14:32, 11:54], b)
    monkeypatch.setattr(module, "_MAX_TILE_PIXELS", 1000)
    monkeypatch.setattr(module, "_MAX_READ_PIXELS", 110**2)
    for a, b in zip(whole, resampled(image, mask, matrix, interpolation, rows, columns, edge=edge), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("interpolation", BETWEEN)
def test_native_kernels_and_plain_torch_agree(interpolation: Interpolation) -> None:
    image = np.random.default_rng(7).random(SHAPE)
    expected, there = resampled(image, ALL, AFFINE, interpolation)
    with native.selected("reference"):
        out, valid = resampled(image, ALL, AFFINE, interpolation)
        part, _ = resampled(image, ALL, AFFINE, interpolation, range(3, 20), range(5, 18))
    np.testing.assert_array_equal(valid, there)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-13)  # roundings of coordinates up to 50 pixels
    np.testing.assert_array_equal(part, out[3:20, 5:18])  # bit for bit here as well


def test_results_do_not_depend_on_threads() -> None:
    image, before = np.random.default_rng(8).random((300, 310)), torch.get_num_threads()
    results = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        results.append([resampled(image, image > 0.01, AFFINE, way)[0] for way in Interpolation])
    torch.set_num_threads(before)
    np.testing.assert_array_equal(*results)


# What is read


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("matrix", [shift(-500, 3), shift(-500.5, 3), STEEP @ shift(200, 0)])
def test_nothing_is_read_for_pixels_outside_the_moving_image(interpolation: Interpolation, matrix: np.ndarray) -> None:
    read = RecordingReader(np.ones((*SHAPE, 3), np.uint16), ALL)
    out, valid = resample(read, SHAPE, matrix, range(40), range(50), interpolation)
    assert sum(read.sizes) == 0
    assert out.shape == (40, 50, 3)
    assert not out.any()
    assert not valid.any()


@pytest.mark.parametrize(("interpolation", "reach"), list(zip(Interpolation, (2, 3, 44, 8), strict=True)))
def test_only_the_region_needed_is_read(interpolation: Interpolation, reach: int) -> None:
    image = np.random.default_rng(9).random((400, 500))
    read = RecordingReader(image, np.ones(image.shape, bool))
    resample(read, image.shape, shift(100.5, 150.25), range(10, 30), range(20, 60), interpolation)
    ((rows, columns),) = read.regions
    # One pixel either side beside what the weights, the knots (20) and the filling of holes (20) reach.
    assert 160 - reach <= rows.start
    assert rows.stop <= 180 + reach
    assert 120 - reach <= columns.start
    assert columns.stop <= 160 + reach


@pytest.mark.parametrize("edge", [False, True])
@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize(
    "matrix", [SHRUNK @ SHRUNK, np.diag([20.0, 20.0, 1.0]) @ STEEP, np.diag([12.0, 12.0, 1.0]) @ TURNED]
)
def test_a_tile_reads_a_bounded_number_of_pixels(
    matrix: np.ndarray, interpolation: Interpolation, edge: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_READ_PIXELS", 150**2)
    image = np.random.default_rng(10).random((700, 600))
    read = RecordingReader(image, image > 0.01)
    _, valid = resample(read, image.shape, matrix, range(-10, 40), range(-10, 40), interpolation, edge=edge)
    assert max(read.sizes) <= 150**2
    y, x = np.mgrid[-10:40, -10:40]
    points = map_points(matrix, np.stack([x, y], -1))
    inside = ((points >= 0) & (points <= (599, 699))).all(axis=-1)
    assert (valid & inside).any()
    if interpolation is not Interpolation.NEAREST and not edge:
        assert not (valid & ~inside).any()


# Beyond the frame


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("matrix", [shift(2, -3), shift(2.25, -3.25), AFFINE, HOMOGRAPHY])
def test_edge_repeats_the_nearest_value_of_the_frame(matrix: np.ndarray, interpolation: Interpolation) -> None:
    image = Scene(seed=11).image(SHAPE)
    frame = range(-20, 60), range(-25, 75)
    plain, there = resampled(image, ALL, matrix, interpolation, *frame)
    out, valid = resampled(image, ALL, matrix, interpolation, *frame, edge=True)
    assert valid.all()
    np.testing.assert_array_equal(out[there], plain[there])
    y, x = np.mgrid[-20:60, -25:75]
    points = np.clip(map_points(matrix, np.stack([x, y], -1)), 0, (SHAPE[1] - 1, SHAPE[0] - 1))
    # An image's own edge pixels, wherever the point falls on one; what lies between is between its neighbours.
    corner = (points == 0).all(axis=-1)
    assert corner.any()
    np.testing.assert_allclose(out[corner], image[0, 0], rtol=0, atol=1e-11)  # what the spline filter cuts off
    assert (np.abs(out) > 0).all()


def test_edge_leaves_holes_and_points_behind_the_horizon_undefined() -> None:
    mask = ALL.copy()
    mask[0, :10] = False
    out, valid = resampled(np.ones(SHAPE), mask, shift(0, -5), Interpolation.LINEAR, edge=True)
    assert not out[:6, :10].any()
    assert out[:6, 10:].all()
    np.testing.assert_array_equal(valid, out != 0)
    out, valid = resampled(np.ones(SHAPE), ALL, STEEP, Interpolation.LINEAR, edge=True)
    assert out[:, :33].all()
    assert not out[0, 34:].any()
    np.testing.assert_array_equal(valid, out != 0)


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (2, 2), (9, 1)])
def test_images_of_a_few_pixels(interpolation: Interpolation, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(12).random(shape)
    out, valid = resampled(image, np.ones(shape, bool), shift(1e-12, 0), interpolation)
    assert valid.all()
    np.testing.assert_allclose(out, image, atol=1e-10)


@pytest.mark.parametrize("interpolation", Interpolation)
def test_a_frame_without_pixels_is_no_error(interpolation: Interpolation) -> None:
    out, valid = resample(array_reader(np.ones(SHAPE), ALL), SHAPE, AFFINE, range(3, 3), range(5), interpolation)
    assert out.shape == valid.shape == (0, 5)


# Fields

FIELD = random_field(SHAPE, amplitude=1.0, spacing=9.0)


@pytest.mark.parametrize("interpolation", Interpolation)
@pytest.mark.parametrize("edge", [False, True])
def test_a_field_of_equal_coefficients_resamples_as_its_shifted_matrix(
    interpolation: Interpolation, edge: bool
) -> None:
    image = np.random.default_rng(0).random(SHAPE)
    field = random_field(SHAPE, amplitude=0.0, matrix=AFFINE)
    field.coefficients[:] = np.array([1.5, -0.75])[:, None, None]
    got, defined = resampled(image, ALL, field, interpolation, edge=edge)
    want, there = resampled(image, ALL, shift(1.5, -0.75) @ AFFINE, interpolation, edge=edge)
    # Places differ by 1e-14 px; a pixel right on the border of two, or of the frame, would be another one.
    np.testing.assert_array_equal(defined, there)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("interpolation", [Interpolation.LINEAR, Interpolation.CUBIC])
def test_a_field_takes_a_plane_of_grey_to_its_coordinates(interpolation: Interpolation) -> None:
    """A slope is reproduced away from the edge, at which the image is mirrored; Lanczos's kernel reproduces none."""
    rows, columns = np.indices((140, 150))
    reach = slice(50, 90), slice(50, 100)
    field = random_field((140, 150), amplitude=1.0, spacing=9.0, matrix=np.eye(3))
    got, _ = resampled(2.0 * columns - rows, np.ones((140, 150), bool), field, interpolation)
    x, y = field.coordinates(range(140), range(150))
    np.testing.assert_allclose(got[reach], (2 * x - y)[reach], rtol=0, atol=1e-8)


@pytest.mark.parametrize("interpolation", Interpolation)
def test_pixels_of_a_field_have_the_same_bits_in_every_tile(
    interpolation: Interpolation, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    image, mask = rng.random((*SHAPE, 2)), rng.random(SHAPE) > 0.02
    whole = resampled(image, mask, FIELD, interpolation, range(-5, 45), range(-5, 55))
    monkeypatch.setattr(module, "_MAX_TILE_PIXELS", 70)
    tiled = resampled(image, mask, FIELD, interpolation, range(-5, 45), range(-5, 55))
    part = resampled(image, mask, FIELD, interpolation, range(7, 31), range(3, 54))
    for a, b, c in zip(whole, tiled, part, strict=True):
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(a[12:36, 8:59], c)


def test_a_tile_of_a_field_reads_only_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MAX_TILE_PIXELS", 70)
    reader = RecordingReader(np.random.default_rng(0).random(SHAPE), ALL)
    resample(reader, SHAPE, FIELD, range(SHAPE[0]), range(SHAPE[1]), Interpolation.LINEAR)
    assert max(reader.sizes) < 20 * 20  # 70 pixels, and a bend of at most three pixels around them
