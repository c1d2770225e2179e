"""Large images are written with smaller copies, by which programs show them at any zoom."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import Interpolation, ResamplingConfig
from zncc_cli.files import pyramid
from zncc_cli.files.image_output import write_strips
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import Metadata, PixelSize
from zncc_cli.files.palette import Palette
from zncc_cli.files.pyramid import halved, level_shapes
from zncc_cli.files.tiff import write as tiff_write
from zncc_cli.files.tiff.layout import STRIP_ROWS
from zncc_cli.jobs.resampled import write_resampled
from zncc_cli.registration.resampling.canvas import Frame

PLAIN = Metadata(path=Path("a.tif"), format="TIFF", compression=8, pixel_size=PixelSize(x=0.25, y=0.25, unit="µm"))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let images of more than 100 pixels a side have a pyramid, down to 100 pixels."""
    monkeypatch.setattr(tiff_write, "MIN_SIDE", 100)
    monkeypatch.setattr(pyramid, "_SMALLEST_SIDE", 100)


def written(folder: Path, data: np.ndarray, axes: str, like: Metadata = PLAIN, **options: Any) -> Path:
    leading = data.shape[: axes.index("Y")]
    height = data.shape[len(leading)]
    strips = (
        data[(*index, slice(top, top + STRIP_ROWS))]
        for index in np.ndindex(*leading)
        for top in range(0, height, STRIP_ROWS)
    )
    how = {"shape": data.shape, "dtype": data.dtype, "axes": axes, "like": like, "frame": like, "pyramid": True}
    write_strips(folder / "b.tif", strips, **{**how, **options})
    return folder / "b.tif"


def means(data: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels of (..., H, W), the last row and column repeated where they are odd."""
    data = np.pad(data, [(0, 0)] * (data.ndim - 2) + [(0, size % 2) for size in data.shape[-2:]], mode="edge")
    blocks = data.reshape(*data.shape[:-2], data.shape[-2] // 2, 2, data.shape[-1] // 2, 2).astype(np.float64)
    return np.floor(blocks.mean(axis=(-3, -1)) + 0.5).astype(data.dtype)


@pytest.mark.parametrize(("leading", "axes"), [((), "YX"), ((2, 3), "TCYX")])
@pytest.mark.parametrize("compression", [1, 8])
def test_each_level_is_the_mean_of_the_one_before(
    tmp_path: Path, small: None, leading: tuple[int, ...], axes: str, compression: int
) -> None:
    data = np.random.default_rng(0).integers(0, 60000, (*leading, 1100, 701)).astype(np.uint16)
    like = Metadata(path=Path("a.tif"), format="TIFF", compression=compression, pixel_size=PLAIN.pixel_size)
    with tifffile.TiffFile(written(tmp_path, data, axes, like)) as file:
        assert file.is_ome
        (series,) = file.series
        assert series.axes == axes
        expected = data
        for level, shape in zip(series.levels, [(1100, 701), *level_shapes(1100, 701)], strict=True):
            assert level.shape[-2:] == shape
            assert level.keyframe.is_tiled
            np.testing.assert_array_equal(level.asarray(), expected)
            expected = means(expected)
    image = read_image(tmp_path / "b.tif")
    np.testing.assert_array_equal(np.asarray(image.data), data)
    assert [level.shape for level in image.levels] == [(*leading, *shape) for shape in level_shapes(1100, 701)]
    np.testing.assert_array_equal(np.asarray(image.levels[0]), means(data))
    assert image.metadata.pixel_size == PLAIN.pixel_size


def test_colours_have_a_pyramid(tmp_path: Path, small: None) -> None:
    data = np.random.default_rng(0).integers(0, 250, (600, 300, 3)).astype(np.uint8)
    like = Metadata(path=Path("a.svs"), format="TIFF", photometric="rgb", compression=8, description="a slide")
    with tifffile.TiffFile(written(tmp_path, data, "YXS", like)) as file:
        np.testing.assert_array_equal(file.series[0].asarray(), data)
        second = file.series[0].levels[1].asarray()
        np.testing.assert_array_equal(second, np.moveaxis(means(np.moveaxis(data, -1, 0)), 0, -1))
        assert file.pages.first.photometric == tifffile.PHOTOMETRIC.RGB
    assert read_image(tmp_path / "b.tif").metadata.properties["Description"] == "a slide"


@pytest.mark.parametrize(("leading", "axes"), [((), "YX"), ((3,), "CYX")])
def test_a_geotiff_stays_one_and_has_overviews(
    tmp_path: Path, small: None, leading: tuple[int, ...], axes: str
) -> None:
    data = np.random.default_rng(0).integers(0, 60000, (*leading, 600, 301)).astype(np.uint16)
    place = ((33550, 12, 3, (10.0, 10.0, 0.0)), (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4e6, 0.0)))
    like = Metadata(path=Path("a.tif"), format="TIFF", georeference=place, compression=8, bands=axes == "CYX")
    path = written(tmp_path, data, axes, like)
    image = read_image(path)
    assert image.axes == axes
    assert image.metadata.georeference == place
    np.testing.assert_array_equal(image.data, data)
    rasterio = pytest.importorskip("rasterio")
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(), data if leading else data[None])
        assert file.overviews(1) == [2, 4, 8]
        half = file.read(1, out_shape=(300, 151))
    np.testing.assert_array_equal(half, means(data[0] if leading else data))


def test_what_ome_cannot_hold_is_written_plain_without_a_pyramid(tmp_path: Path, small: None) -> None:
    like = Metadata(path=Path("a.tif"), format="TIFF", description="a lamp")
    path = written(tmp_path, np.zeros((300, 200), np.float16), "YX", like)
    with tifffile.TiffFile(path) as file:
        assert (file.is_ome, file.pages.first.description) == (False, "a lamp")


def test_a_file_that_may_pass_4_gb_with_its_levels_is_a_bigtiff(
    tmp_path: Path, small: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.zeros((300, 200), np.uint8)
    for limit, big in ((70_000, True), (90_000, False)):
        monkeypatch.setattr(tiff_write, "_MAX_CLASSIC_TIFF_BYTES", limit)
        with tifffile.TiffFile(written(tmp_path, data, "YX")) as file:
            assert file.is_bigtiff == big


def test_labels_are_not_averaged(tmp_path: Path, small: None) -> None:
    labels = np.random.default_rng(0).integers(0, 200, (300, 301)).astype(np.uint8)
    palette = Palette(np.random.default_rng(1).integers(0, 65536, (256, 3)).astype(np.uint16))
    like = Metadata(path=Path("a.tif"), format="TIFF", photometric="palette", palette=palette)
    with tifffile.TiffFile(written(tmp_path, labels, "YX", like)) as file:
        np.testing.assert_array_equal(file.series[0].levels[1].asarray(), labels[::2, ::2])


def test_labels_without_a_palette_are_not_averaged(tmp_path: Path, small: None) -> None:
    """As they are moved with --interpolation nearest: the mean of two numbers of cells is another cell."""
    tifffile.imwrite(tmp_path / "a.tif", np.random.default_rng(0).integers(0, 5000, (300, 301)).astype(np.uint16))
    image, canvas = read_image(tmp_path / "a.tif"), Frame(0, 0, 301, 300)
    settings = ResamplingConfig(interpolation=Interpolation.NEAREST)
    write_resampled(tmp_path / "b.tif", image, np.eye(3), canvas, settings, image.metadata)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        np.testing.assert_array_equal(file.series[0].levels[1].asarray(), np.asarray(image.data)[::2, ::2])


@pytest.mark.parametrize("dtype", ["u1", "i2", "u4", "u8", "i8", "f2", "f4", "f8"])
def test_means_stay_in_the_range_of_the_dtype(dtype: str) -> None:
    kind = np.dtype(dtype)
    limits = np.iinfo(kind) if kind.kind != "f" else np.finfo(kind)
    for value in (limits.min, limits.max):
        pixels = np.full((4, 6, 1), value, kind)
        assert (halved(pixels, is_labels=False) == value).all()


def test_a_pixel_that_is_nan_leaves_the_mean_of_the_others() -> None:
    pixels = np.array([[1, 3, np.nan, np.nan], [5, np.nan, np.nan, np.nan]], np.float32)[..., None]
    np.testing.assert_array_equal(halved(pixels, is_labels=False)[0, :, 0], [3, np.nan])


def test_small_images_and_those_of_imagej_have_none(tmp_path: Path, small: None) -> None:
    with tifffile.TiffFile(written(tmp_path, np.zeros((90, 100), np.uint8), "YX")) as file:
        assert not file.is_ome
        assert len(file.series[0].levels) == 1
    like = Metadata(path=Path("a.tif"), format="TIFF", flavor="imagej")
    with tifffile.TiffFile(written(tmp_path, np.zeros((300, 300), np.uint8), "YX", like)) as file:
        assert file.is_imagej
        assert not file.pages.first.is_tiled
    with tifffile.TiffFile(written(tmp_path, np.zeros((300, 300), np.uint8), "YX", pyramid=False)) as file:
        assert not file.is_ome


def test_few_strips_are_in_memory(tmp_path: Path) -> None:
    rows, width = 9000, 4000
    like = Metadata(path=Path("a.tif"), format="TIFF", compression=8)
    strip = np.zeros((STRIP_ROWS, width), np.uint8)
    strips = (strip[: min(STRIP_ROWS, rows - top)] for top in range(0, rows, STRIP_ROWS))
    tracemalloc.start()
    write_strips(
        *(tmp_path / "b.tif", strips),
        **{"shape": (rows, width), "dtype": np.uint8, "axes": "YX", "like": like, "frame": None, "pyramid": True},
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A strip has 2 MB, and its quarters, rests and tiles as much again; the image has 36 MB.
    assert peak < 20e6
