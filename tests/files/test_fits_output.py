"""What is aligned lies where the fixed image does: a FITS, or a TIFF, has the coordinate system of its grid."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import ImageFormat
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import read_image
from zncc_cli.files.output_formats import check_output

H, W = 24, 31
WCS = {
    **{"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 83.6, "CRVAL2": 22.0, "CRPIX1": 12.5, "CRPIX2": 7.25},
    **{"CD1_1": -2e-4, "CD1_2": 1e-5, "CD2_1": 1e-5, "CD2_2": 2e-4},
}


def pixels(*leading: int, dtype: str = "f4") -> np.ndarray:
    kind = np.dtype(dtype)
    random = np.random.default_rng(0)
    if kind.kind == "f":
        return random.normal(0, 100, (*leading, H, W)).astype(kind)
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max, (*leading, H, W), endpoint=True, dtype=kind)


def fits_file(path: Path, data: np.ndarray, **header: Any) -> Path:
    fits = pytest.importorskip("astropy.io.fits")
    fits.PrimaryHDU(data, fits.Header(header)).writeto(path)
    return path


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"])
def test_astropy_reads_the_pixels_that_were_written(tmp_path: Path, dtype: str) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    data = pixels(3, dtype=dtype)
    assert write_image(tmp_path / "a.fits", data, axes="ZYX") == ()
    with fits.open(tmp_path / "a.fits") as units:
        units.verify("exception")
        np.testing.assert_array_equal(units[0].data, data)
    image = read_image(tmp_path / "a.fits")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data, data)


@pytest.mark.parametrize("offset", [(0, 0), (-3, 2)])
@pytest.mark.parametrize("suffix", [".fits", ".tif"])
def test_the_grid_lies_where_the_fixed_image_does(tmp_path: Path, suffix: str, offset: tuple[int, int]) -> None:
    """The header of the moving image stays, but for its own coordinate system, which its pixels have left."""
    fits = pytest.importorskip("astropy.io.fits")
    wcs = pytest.importorskip("astropy.wcs")
    fixed = read_image(fits_file(tmp_path / "fixed.fits", pixels(), **WCS, OBJECT="M1"))
    moving = read_image(fits_file(tmp_path / "moving.fits", pixels(), **{**WCS, "CRVAL1": 10.0}, OBSERVER="somebody"))
    out = tmp_path / f"out{suffix}"
    assert write_image(out, np.asarray(moving.data), like=moving, frame=fixed, offset=offset) == ()
    if suffix == ".fits":
        header = fits.getheader(out)
    else:
        with tifffile.TiffFile(out) as file:
            header = fits.Header.fromstring(file.pages.first.description, sep="\n")
    assert header["OBSERVER"] == "somebody"
    assert "OBJECT" not in header
    places = np.array([[0.0, 0.0], [20.0, 5.0]])
    expected = wcs.WCS(fits.getheader(tmp_path / "fixed.fits")).wcs_pix2world(places + offset, 0)
    np.testing.assert_allclose(wcs.WCS(header).wcs_pix2world(places, 0), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", ["u2", "i4"])
def test_missing_pixels_of_integers_stay_missing(tmp_path: Path, dtype: str) -> None:
    data = pixels(dtype=dtype)
    data[3:6] = 7
    fill = {"extratags": [(42113, 2, 0, "7", True)], "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", data, **fill)
    pytest.importorskip("astropy")
    write_image(tmp_path / "b.fits", data, like=read_image(tmp_path / "a.tif"))
    valid = read_image(tmp_path / "b.fits").read().valid()
    np.testing.assert_array_equal(valid, data != 7)


@pytest.mark.parametrize("suffix", [".fits", ".tif"])
def test_a_tiff_that_was_aligned_lies_where_its_grid_does(tmp_path: Path, suffix: str) -> None:
    """As the fixed image it gives its coordinate system; as the moving one it loses its own, which was kept once."""
    pytest.importorskip("astropy.io.fits")
    data = pixels()
    for name, place in (("first", 10.0), ("second", 20.0)):
        fits_file(tmp_path / f"{name}.fits", data, **{**WCS, "CRVAL1": place}, OBSERVER=name)
    first, second = (read_image(tmp_path / f"{name}.fits") for name in ("first", "second"))
    write_image(tmp_path / "a.tif", data, like=second, frame=first)
    aligned = read_image(tmp_path / "a.tif")
    assert aligned.metadata.sky == first.metadata.sky
    assert aligned.metadata.description == second.metadata.description

    def places(image: Path) -> list[str]:
        cards = (*(read := read_image(image).metadata).description.splitlines(), *read.sky)
        return [card for card in cards if "CRVAL1" in card]

    write_image(tmp_path / f"b{suffix}", data, like=aligned, frame=second)
    assert [float(card.split("=")[1]) for card in places(tmp_path / f"b{suffix}")] == [20.0]
    write_image(tmp_path / f"c{suffix}", data, like=second, frame=aligned)
    assert [float(card.split("=")[1]) for card in places(tmp_path / f"c{suffix}")] == [10.0]


def test_cards_without_a_keyword_stay_as_they_are(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    heading = "          / OBSERVATION"
    header = fits.Header.fromstring("\n".join([heading, "OBSERVER= 'somebody'"]), sep="\n")
    fits.PrimaryHDU(pixels(), header).writeto(tmp_path / "a.fits")
    write_image(tmp_path / "b.fits", pixels(), like=read_image(tmp_path / "a.fits"))
    header = fits.getheader(tmp_path / "b.fits")
    assert [str(card).rstrip() for card in header.cards][5:] == [heading, "OBSERVER= 'somebody'"]


@pytest.mark.parametrize("blank", ["'abc'", "1E400", ""])
def test_a_damaged_value_of_missing_pixels_is_refused(tmp_path: Path, blank: str) -> None:
    path = fits_file(tmp_path / "a.fits", pixels(dtype="u2"), BLANK=5)
    content = path.read_bytes()
    path.write_bytes(content.replace(f"{'BLANK   =':9}{5:>21}".encode(), f"{'BLANK   =':9}{blank:>21}".encode()))
    assert path.read_bytes() != content
    with pytest.raises(InputError, match="expected a complete, readable FITS"):
        read_image(path)


def test_a_coordinate_system_that_no_output_holds_is_named(tmp_path: Path) -> None:
    fixed = read_image(fits_file(tmp_path / "fixed.fits", pixels(dtype="u1"), **WCS))
    tifffile.imwrite(tmp_path / "moving.tif", pixels(dtype="u1"), metadata=None)
    moving = read_image(tmp_path / "moving.tif")
    data = np.asarray(moving.data)
    for out in ("a.png", "a.ome.zarr"):
        assert "left out: the coordinate system (WCS)" in write_image(tmp_path / out, data, like=moving, frame=fixed)
    notes = write_image(tmp_path / "b.fits", data, like=fixed, frame=moving)
    assert notes == ("left out: the coordinate system (WCS)",)


def test_tables_of_distortions_are_named(tmp_path: Path) -> None:
    header = {**WCS, "A_ORDER": 2, "A_2_0": 1e-6, "CPDIS1": "LOOKUP"}
    image = read_image(fits_file(tmp_path / "a.fits", pixels(), **header))
    assert any(card.startswith("A_2_0") for card in image.metadata.sky)
    assert image.metadata.left_out == ("the tables of distortions of the coordinate system (WCS)",)


def test_what_fits_cannot_hold_is_refused_before_any_work() -> None:
    for dtype, axes, words in ((np.uint8, "YXS", "colours"), (np.float16, "YX", "float16")):
        with pytest.raises(OptionError, match=words):
            check_output(ImageFormat.FITS, np.dtype(dtype), (H, W, 3)[: len(axes)], axes)


def test_descriptions_of_other_formats_are_comments(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    text = "x" * 100 + "\nnaïve"
    tifffile.imwrite(tmp_path / "a.tif", pixels(), description=text.encode(), metadata=None)
    write_image(tmp_path / "a.fits", pixels(), like=read_image(tmp_path / "a.tif"))
    assert list(fits.getheader(tmp_path / "a.fits")["COMMENT"]) == ["x" * 72, "x" * 28, "na?ve"]
