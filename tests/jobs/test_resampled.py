"""Pixel values of resampled files: rounding, clipping, fill and holes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import Canvas, ResamplingConfig
from zncc_cli.errors import OptionError
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs.resampled import missing_value, to_dtype, write_resampled
from zncc_cli.registration.resampling.canvas import Frame, frame_of

ALL = np.ones((1, 4), dtype=bool)


@pytest.mark.parametrize("name", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"])
def test_integers_are_rounded_and_clipped_never_wrapped(name: str) -> None:
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    beyond = float(limits.max) * 2 + 2
    out, clipped = to_dtype(np.array([[1.4, 1.6, beyond, -beyond]]), ALL, dtype, 0)
    assert out.dtype == dtype
    assert out.tolist() == [[1, 2, limits.max, limits.min]]
    assert clipped == 2


def test_floats_beyond_their_range_are_clipped_and_counted() -> None:
    out, clipped = to_dtype(np.array([[1.5, 70000.0, -70000.0, 0.0]]), ALL, np.dtype(np.float16), 0)
    assert out.tolist() == [[1.5, 65504.0, -65504.0, 0.0]]
    assert clipped == 2


def of(nodata: float | None = None) -> Metadata:
    return Metadata(path=Path("image.tif"), format="TIFF", nodata=nodata)


def test_pixels_without_a_value_hold_the_fill_else_nodata_else_zero_or_nan() -> None:
    asked, default = ResamplingConfig(fill="7"), ResamplingConfig()
    assert missing_value(np.dtype(np.int16), of(-9999.0), asked) == 7
    assert missing_value(np.dtype(np.int16), of(-9999.0), default) == -9999
    assert missing_value(np.dtype(np.uint8), of(-9999.0), default) == 0  # which a uint8 cannot hold
    assert missing_value(np.dtype(np.int16), of(), default) == 0
    assert np.isnan(missing_value(np.dtype(np.float32), of(), default))
    out, _ = to_dtype(np.array([[7.0, 0.0]]), np.array([[True, False]]), np.dtype(np.int16), -9999)
    assert out.tolist() == [[7, -9999]]


@pytest.mark.parametrize(
    ("fill", "dtype"), [("nan", np.uint16), ("-1", np.uint8), ("0.5", np.int32), ("1e6", np.float16)]
)
def test_a_fill_that_the_dtype_cannot_hold_is_refused(fill: str, dtype: type) -> None:
    with pytest.raises(OptionError, match=f"--fill: expected .* {np.dtype(dtype)} image, got {fill}"):
        missing_value(np.dtype(dtype), of(), ResamplingConfig(fill=fill))


SHIFT = np.array([[1, 0, 5], [0, 1, -3], [0, 0, 1.0]])


def frame_like(image: np.ndarray) -> Frame:
    return Frame(0, 0, image.shape[1], image.shape[0])


@pytest.mark.parametrize("dtype", [np.uint16, np.int64, np.uint64, np.float64])
def test_a_shift_by_whole_pixels_copies_every_bit(tmp_path: Path, dtype: type) -> None:
    rng = np.random.default_rng(0)
    data = (rng.random((40, 50)) if dtype is np.float64 else rng.integers(0, 2**16, (40, 50))).astype(dtype)
    if data.dtype.itemsize == 8:
        data += 2**62 if data.dtype.kind in "iu" else 1 / 3  # beyond what a smaller float holds
    tifffile.imwrite(tmp_path / "a.tif", data)
    image = read_image(tmp_path / "a.tif")
    written = write_resampled(
        tmp_path / "b.tif", image, SHIFT, frame_like(data), ResamplingConfig(fill="0"), image.metadata
    )
    expected = np.zeros_like(data)
    expected[3:, :-5] = data[:-3, 5:]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), expected)
    assert written.clipped == 0


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize(("largest", "noted"), [(2**53 - 1, False), (2**62, True)])
def test_integers_that_interpolation_rounds_are_noted(tmp_path: Path, dtype: type, largest: int, noted: bool) -> None:
    """A turn computes in float64, where integers have 53 bits; pixels that are copied keep all of theirs."""
    data = np.full((40, 50), largest, dtype)
    data[::2] = 0
    tifffile.imwrite(tmp_path / "a.tif", data)
    image, half = read_image(tmp_path / "a.tif"), np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    said = {}
    for interpolation in ("linear", "nearest"):
        settings = ResamplingConfig(interpolation=interpolation)  # type: ignore[arg-type]
        written = write_resampled(tmp_path / "b.tif", image, half, frame_like(data), settings, image.metadata)
        said[interpolation] = written.notes
    note = "b.tif: integers beyond 2^53 are rounded to 53 bits; --interpolation nearest copies them"
    assert said == {"linear": (note,) if noted else (), "nearest": ()}


def test_nearest_interpolation_gives_only_labels_of_the_image(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).choice(np.array([0, 7, 65535], np.uint16), (60, 60))
    tifffile.imwrite(tmp_path / "a.tif", labels)
    turn = np.array([[0.96, -0.28, 4.3], [0.28, 0.96, -2.1], [0, 0, 1]])
    settings = ResamplingConfig(interpolation="nearest", fill="edge")  # type: ignore[arg-type]
    write_resampled(tmp_path / "b.tif", read_image(tmp_path / "a.tif"), turn, frame_like(labels), settings, None)
    assert set(np.unique(tifffile.imread(tmp_path / "b.tif"))) <= {0, 7, 65535}


def test_fill_edge_repeats_the_nearest_pixel_beyond_the_edge(tmp_path: Path) -> None:
    data = np.arange(12, dtype=np.uint8).reshape(3, 4)
    tifffile.imwrite(tmp_path / "a.tif", data)
    shift = np.array([[1, 0, -2.0], [0, 1, -1.0], [0, 0, 1]])
    settings = ResamplingConfig(fill="edge")
    write_resampled(tmp_path / "b.tif", read_image(tmp_path / "a.tif"), shift, frame_like(data), settings, None)
    assert tifffile.imread(tmp_path / "b.tif").tolist() == [[0, 0, 0, 1], [0, 0, 0, 1], [4, 4, 4, 5]]


def test_all_planes_are_resampled_also_on_a_canvas_beyond_the_image(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 2**16, (3, 20, 30)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    image = read_image(tmp_path / "a.tif")
    write_resampled(tmp_path / "b.tif", image, np.eye(3), Frame(-2, -1, 34, 24), ResamplingConfig(), image.metadata)
    out = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_array_equal(out[:, 1:21, 2:32], stack)
    assert out.sum() == stack.sum()


IDENTITY, DOWN = np.eye(3), np.array([[1, 0, 0], [0, 1, -600.0], [0, 0, 1]])


def through(
    tmp_path: Path, data: np.ndarray, matrix: np.ndarray = IDENTITY, *, rows: int = 0, **options: Any
) -> np.ndarray:
    """Write ``data``, read it, put it on its own frame (or one of ``rows``) and read that."""
    settings = {key: options.pop(key) for key in ("fill", "interpolation") if key in options}
    tifffile.imwrite(tmp_path / "a.tif", data, **options)
    image = read_image(tmp_path / "a.tif")
    frame = Frame(0, 0, data.shape[1], rows or data.shape[0])
    write_resampled(tmp_path / "b.tif", image, matrix, frame, ResamplingConfig(**settings), image.metadata)
    return np.asarray(tifffile.imread(tmp_path / "b.tif"))


@pytest.mark.parametrize("interpolation", ["cubic", "nearest"])
def test_the_identity_copies_every_value(tmp_path: Path, interpolation: str) -> None:
    """No number, an infinity, more than float32 holds; a colour that nobody sees."""
    odd = np.random.default_rng(0).normal(size=(20, 30))
    odd[3, 4:7] = np.nan, np.inf, 1e300
    np.testing.assert_array_equal(through(tmp_path, odd, interpolation=interpolation), odd)
    hidden = np.random.default_rng(1).integers(0, 256, (20, 30, 4)).astype(np.uint8)
    hidden[:10, :, 3] = 0
    options = {"photometric": "rgb", "extrasamples": ["unassalpha"], "interpolation": interpolation}
    np.testing.assert_array_equal(through(tmp_path, hidden, **options), hidden)
    colours = np.random.default_rng(2).random((20, 30, 3)).astype(np.float32)
    colours[5, 5, 1] = np.nan
    options = {"photometric": "rgb", "interpolation": interpolation}
    np.testing.assert_array_equal(through(tmp_path, colours, **options), colours)


def test_a_nan_in_one_sample_leaves_the_other_samples_as_they_are(tmp_path: Path) -> None:
    colours = np.ones((20, 30, 3), np.float32)
    colours[5, 5, 1] = np.nan
    half = np.array([[1, 0, 0.5], [0, 1, 0], [0, 0, 1]])
    out = through(tmp_path, colours, half, photometric="rgb")
    np.testing.assert_array_equal(np.isnan(out[:, :-1]).sum(axis=(0, 1)), [0, 2, 0])


def test_strips_that_the_image_does_not_reach_are_filled(tmp_path: Path) -> None:
    """The first of three strips of 512 rows shows nothing of the image."""
    data = np.random.default_rng(0).integers(1, 256, (700, 20)).astype(np.uint8)
    for interpolation in ("cubic", "nearest"):
        out = through(tmp_path, data, DOWN, rows=1200, fill="9", interpolation=interpolation)
        assert (out[:600] == 9).all()
        np.testing.assert_array_equal(out[600:], data[:600])
    turned = DOWN @ np.array([[1, 0.01, 0], [-0.01, 1, 0], [0, 0, 1]])
    assert (through(tmp_path, data, turned, rows=1200)[:512] == 0).all()


@pytest.mark.parametrize("shift", [3.0, 3.25])
def test_fill_is_used_beyond_the_image_and_not_in_its_holes(tmp_path: Path, shift: float) -> None:
    data = np.full((20, 30), 50, np.uint8)
    data[8:12, 8:12] = 0
    matrix = np.array([[1, 0, shift], [0, 1, 0], [0, 0, 1]])
    out = through(tmp_path, data, matrix, fill="7", extratags=[(42113, 2, 0, "0", True)])
    assert (out[:, -3:] == 7).all()
    assert (out[8:12, 5:8] == 0).all()
    assert set(np.unique(out)) == {0, 7, 50}


@pytest.mark.parametrize("shift", [3.0, 3.25])
def test_pixels_that_the_files_own_mask_leaves_out_are_not_covered(tmp_path: Path, shift: float) -> None:
    mask = np.ones((32, 40), np.uint8)
    mask[10:14, 20:24] = 0
    image = Image(np.full((32, 40), 7, np.uint16), "YX", Metadata(path=Path("a.tif"), format="TIFF"), mask=mask)
    matrix, strips = np.eye(3), []
    matrix[0, 2] = shift
    canvas = frame_of(Canvas.FIXED, matrix, (32, 40), (32, 40))
    write_resampled(tmp_path / "b.tif", image, matrix, canvas, ResamplingConfig(), None, strips.append)
    (strip,) = strips
    assert not strip.covered[10:14, 17:20].any()
    assert strip.covered[:6].sum() == 6 * (37 if shift == 3 else 36)
