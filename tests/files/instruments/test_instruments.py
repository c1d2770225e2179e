"""Files of instruments are read with their pixels, axes, sizes and channels; each is written by its own library."""

from __future__ import annotations

import gzip
import os
import threading
import time
import tracemalloc
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.files.instruments.instrument_files import H, W, assert_is, metaimage, pixels, refused
from zncc_cli.files.array_image import frames_image
from zncc_cli.files.images import read_image
from zncc_cli.files.metadata import PixelSize
from zncc_cli.files.options import ReadOptions

# MRC


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4"])
def test_mrc(tmp_path: Path, dtype: str) -> None:
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(pixels(3, dtype=dtype) if dtype != "i1" else (pixels(3) // 2).astype("i1"))
        file.voxel_size = (2.5, 2.5, 4.0)
        data = np.array(file.data)
    image = read_image(tmp_path / "a.mrc")
    assert_is(image, data, "ZYX", PixelSize(x=2.5, y=2.5, unit="Å"), PhysicalSizeZ=4.0, PhysicalSizeZUnit="Å")


def test_an_mrc_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(pixels(3))
    content = (tmp_path / "a.mrc").read_bytes()
    (tmp_path / "a.mrc").write_bytes(content[:3000])
    refused(tmp_path / "a.mrc", "a complete, readable MRC")


@pytest.mark.parametrize(("place", "value"), [(92, 2**31 - 1), (92, -5), (0, 2**20), (8, -1), (12, 4)])
def test_an_mrc_that_claims_more_than_it_holds_is_refused_before_memory_is_taken(
    tmp_path: Path, place: int, value: int
) -> None:
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(pixels(3))
    content = bytearray((tmp_path / "a.mrc").read_bytes())
    content[place : place + 4] = value.to_bytes(4, "little", signed=True)
    (tmp_path / "a.mrc").write_bytes(content)
    tracemalloc.start()
    refused(tmp_path / "a.mrc", "a complete, readable MRC")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6  # the file has 14 kB


def test_metaimage(tmp_path: Path) -> None:
    data = pixels(3, dtype="i2")
    path = metaimage(tmp_path / "a.mha", data, "ElementSpacing = 0.25 0.5 2", "ElementType = MET_SHORT")
    size = PixelSize(x=0.25, y=0.5, unit="mm")
    assert_is(read_image(path), data, "ZYX", size, PhysicalSizeZ=2.0, PhysicalSizeZUnit="mm")
    small = ("ElementType = MET_SHORT", "CompressedData = True")
    packed = metaimage(tmp_path / "b.mha", data, *small, content=zlib.compress(data.tobytes()))
    assert_is(read_image(packed), data, "ZYX", None)
    refused(packed, "at most 1000 bytes", max_bytes=1000)
    for true in ("True", "true", "TRUE"):
        lines = ("ElementType = MET_SHORT", f"BinaryData = {true}", f"BinaryDataByteOrderMSB = {true}")
        assert_is(read_image(metaimage(tmp_path / "c.mha", data.astype(">i2"), *lines)), data, "ZYX", None)
        lines = ("ElementType = MET_SHORT", f"CompressedData = {true}")
        packed = metaimage(tmp_path / "d.mha", data, *lines, content=zlib.compress(data.tobytes()))
        assert_is(read_image(packed), data, "ZYX", None)


def test_metaimage_of_itk(tmp_path: Path) -> None:
    itk = pytest.importorskip("SimpleITK")
    for compressed in (False, True):
        written = itk.GetImageFromArray(pixels(dtype="f4"))
        written.SetSpacing((0.25, 0.5))
        itk.WriteImage(written, str(tmp_path / "a.mha"), compressed)
        assert_is(read_image(tmp_path / "a.mha"), pixels(dtype="f4"), "YX", PixelSize(x=0.25, y=0.5, unit="mm"))
    colours = np.stack([pixels(dtype="u1")] * 3, axis=-1)
    itk.WriteImage(itk.GetImageFromArray(colours, isVector=True), str(tmp_path / "b.mha"))
    image = read_image(tmp_path / "b.mha")
    assert image.metadata.photometric == "rgb"
    np.testing.assert_array_equal(image.data, colours)


@pytest.mark.parametrize(
    ("lines", "content", "words"),
    [
        (["ElementType = MET_SHORT"], bytes(100), ["a complete, readable MetaImage"]),
        (["ElementType = MET_LONG_DOUBLE"], bytes(100), ["numbers of 2 to 4 dimensions"]),
        (["ElementType = MET_SHORT", "CompressedData = True"], zlib.compress(bytes(10)), ["10 of"]),
        (["ElementType = MET_SHORT", "DimSize = 100000 100000 2", "CompressedData = True"], b"", ["bytes"]),
        (["ElementType = MET_SHORT", "DimSize = -4 2 2"], bytes(100), ["-4 2 2"]),
        (["ElementType = MET_UCHAR", "BinaryData = False"], b"10 20 " * H * W, ["BinaryData = False", "binary"]),
        (["ElementType = MET_UCHAR", "BinaryData = false"], b"10 20 " * H * W, ["BinaryData = false", "binary"]),
    ],
)
def test_a_damaged_metaimage_is_refused(tmp_path: Path, lines: list[str], content: bytes, words: list[str]) -> None:
    refused(metaimage(tmp_path / "a.mha", pixels(3), *lines, content=content), *words)


# NIfTI


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path: Path, suffix: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    data = pixels(5, 3, dtype="i2")
    volume = nibabel.Nifti1Image(data.transpose(3, 2, 1, 0), np.diag([0.25, 0.5, 2, 1]))
    volume.header.set_xyzt_units("mm", "sec")
    volume.header.set_zooms((0.25, 0.5, 2, 1.5))
    nibabel.save(volume, tmp_path / f"a{suffix}")
    size = PixelSize(x=0.25, y=0.5, unit="mm")
    # nibabel keeps the letters in the order of the file, x, y, z, t.
    image = read_image(tmp_path / f"a{suffix}")
    assert image.axes == "ZTYX"
    assert_is(image, data.swapaxes(0, 1), "ZTYX", size, PhysicalSizeZ=2.0, TimeIncrement=1.5, TimeIncrementUnit="s")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_the_second_version_of_nifti_is_read_and_its_scaling_noted(tmp_path: Path, suffix: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = nibabel.Nifti2Image(pixels(3, dtype="i2").T, np.eye(4))
    volume.header.set_xyzt_units("mm")
    volume.header.set_slope_inter(0.5, -20)
    nibabel.save(volume, tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert image.axes == "ZYX"
    stored = np.asarray(nibabel.load(tmp_path / f"a{suffix}").dataobj.get_unscaled()).T
    np.testing.assert_array_equal(image.data, stored)
    assert "values are 0.5 times these plus -20" in image.notes[0]


def test_colours_of_a_nifti_are_samples(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    data = np.random.default_rng(0).integers(0, 250, (3, H, W, 3)).astype("u1")
    stored = np.ascontiguousarray(data).view([(name, "u1") for name in "RGB"])[..., 0]
    nibabel.save(nibabel.Nifti1Image(stored.T, np.eye(4)), tmp_path / "a.nii")
    assert_is(read_image(tmp_path / "a.nii"), data, "ZYXS", None)


def test_a_compressed_nifti_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    nibabel.save(nibabel.Nifti1Image(pixels(3, dtype="i2").T, np.eye(4)), tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[42:48] = np.array([30000, 30000, 30000], "<i2").tobytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(bytes(content)))
    refused(tmp_path / "b.nii.gz", "bytes")
    content[42:48] = np.array([3000, 300, 300], "<i2").tobytes()  # half a gigabyte
    (tmp_path / "c.nii").write_bytes(content)
    tracemalloc.start()
    refused(tmp_path / "c.nii", "shape (3000, 300, 300)")
    assert tracemalloc.get_traced_memory()[1] < 10e6
    tracemalloc.stop()


# HDF5


def test_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = pixels(2, 3)
        file["entry/name"] = "a scan"
    assert_is(read_image(tmp_path / "a.h5"), pixels(2, 3), "QQYX", None)
    assert_is(read_image(f"{tmp_path}/a.h5:/entry/data"), pixels(2, 3), "QQYX", None)
    part = read_image(f"{tmp_path}/a.h5:/entry/data", page=4)
    assert_is(part, pixels(2, 3)[1, 1], "YX", None)
    refused(Path(f"{tmp_path}/a.h5:/entry/nothing"), "name one of: /entry/data")
    refused(Path(f"{tmp_path}/none.h5:/entry"), "nothing there")


def test_an_hdf5_of_several_data_sets_asks_for_one(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("one", data=pixels(), chunks=(16, 16), compression="gzip")
        file["two"] = np.stack([pixels(dtype="u1")] * 3, axis=-1)
    refused(tmp_path / "a.h5", "2 data sets", "/one, /two")
    assert_is(read_image(f"{tmp_path}/a.h5:one"), pixels(), "YX", None)
    assert read_image(f"{tmp_path}/a.h5:two").axes == "YXS"


def test_an_hdf5_that_links_to_another_file_is_refused(tmp_path: Path) -> None:
    """Else a file could have any other file of the user's read, and its pixels put out as if they were its own."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["group/data"] = pixels()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["linked"] = h5py.ExternalLink("b.h5", "/group/data")
        file["folder"] = h5py.ExternalLink("b.h5", "/group")
        file["soft"] = h5py.SoftLink("/folder/data")
        file["round"] = h5py.SoftLink("/round")
        file["fifo"] = h5py.ExternalLink("fifo", "/data")
        file["own/data"] = pixels(2)
        file["own/absolute"], file["own/relative"] = h5py.SoftLink("/own/data"), h5py.SoftLink("data")
    os.mkfifo(tmp_path / "fifo")  # to open it waits for ever
    for name in ("/linked", "/folder/data", "/soft", "/round", "/fifo"):
        refused(Path(f"{tmp_path}/a.h5:{name}"), "in the file itself", "data in other files")
    for name in ("", ":/own/data", ":/own/absolute", ":own/relative"):
        assert_is(read_image(f"{tmp_path}/a.h5{name}"), pixels(2), "QYX", None)


# FITS


def test_fits(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    header = fits.Header({"OBSERVER": "somebody", "CRPIX1": 20.5, "CDELT1": -0.01, "CTYPE1": "RA---TAN"})
    first, second = fits.PrimaryHDU(pixels(3, dtype="f4"), header), fits.ImageHDU(pixels(), name="ERR")
    fits.HDUList([first, second]).writeto(tmp_path / "a.fits")
    image = read_image(tmp_path / "a.fits")
    assert_is(image, pixels(3, dtype="f4"), "ZYX", None)
    assert image.notes == ("a.fits: series 0 (of 0 to 1), PRIMARY, was read; `series` chooses",)
    assert "OBSERVER= 'somebody'" in image.metadata.description
    assert "CDELT1" not in image.metadata.description
    # 16-bit numbers without a sign are stored with an offset, BZERO.
    assert_is(read_image(tmp_path / "a.fits", series=1), pixels(), "YX", None)


@pytest.mark.parametrize("dtype", ["u1", "i2", "i4"])
@pytest.mark.parametrize("is_compressed", [False, True])
def test_blank_pixels_of_a_fits_do_not_count(tmp_path: Path, dtype: str, is_compressed: bool) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    data = pixels(dtype=dtype)
    header = fits.Header({"BLANK": 7})
    unit = fits.CompImageHDU(data, header) if is_compressed else fits.PrimaryHDU(data, header)
    unit.header["BLANK"] = 7
    unit.writeto(tmp_path / "a.fits")
    image = read_image(tmp_path / "a.fits")
    counts = image.read().valid()
    np.testing.assert_array_equal(counts, data != 7)
    np.testing.assert_array_equal(np.asarray(image.data)[counts], data[data != 7])


def test_a_fits_whose_keyword_blank_belongs_to_no_pixel_is_read(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    unit = fits.PrimaryHDU(pixels(dtype="f4"))
    unit.header["BLANK"] = 7  # of integers alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # astropy says that it means nothing
        unit.writeto(tmp_path / "a.fits", output_verify="silentfix")
    image = read_image(tmp_path / "a.fits")
    np.testing.assert_array_equal(image.data, pixels(dtype="f4"))
    assert image.read().valid().all()


def test_a_compressed_fits_is_read_and_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    fits = pytest.importorskip("astropy.io.fits")
    units = [fits.PrimaryHDU(pixels(3, dtype="f4")), fits.ImageHDU(pixels(), name="ERR")]
    fits.HDUList(units).writeto(tmp_path / "a.fits.gz")
    assert_is(read_image(tmp_path / "a.fits.gz"), pixels(3, dtype="f4"), "ZYX", None)
    assert_is(read_image(tmp_path / "a.fits.gz", series=1), pixels(), "YX", None)
    refused(tmp_path / "a.fits.gz", "at most 1000 bytes", max_bytes=1000)


# CZI


def test_czi(tmp_path: Path) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    data = pixels(2, 3)
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        for t, z in np.ndindex(2, 3):
            file.write(data[t, z][..., None], plane={"T": t, "Z": z, "C": 0}, location=(-20, 30))
        file.write_metadata("cells", channel_names={0: "DAPI"}, scale_x=2.5e-7, scale_y=5e-7, scale_z=2e-6)
    image = read_image(tmp_path / "a.czi")
    size = PixelSize(x=0.25, y=0.5, unit="µm")
    assert_is(image, data, "TZYX", size, PhysicalSizeZ=2.0, Channel={"Name": ["DAPI"]})
    np.testing.assert_array_equal(image.data[1, 2], data[1, 2])


def test_colours_of_a_czi_are_rgb(tmp_path: Path) -> None:
    czi = pytest.importorskip("pylibCZIrw.czi")
    data = np.random.default_rng(0).integers(0, 250, (H, W, 3)).astype(np.uint8)
    with czi.create_czi(str(tmp_path / "a.czi")) as file:
        file.write(data[..., ::-1].copy())  # CZI stores blue, green, red
    assert_is(read_image(tmp_path / "a.czi"), data, "YXS", None)


# OIF


OIF = """[ProfileSaveInfo]\r\nName="FLUOVIEW Multi Data File"\r\nVersion="2.0.0.0"\r\n
[Axis Parameter Common]\r\nAxisOrder="XYCZ"\r\n
[Axis 3 Parameters Common]\r\nAxisCode="Z"\r\nInterval=500.0\r\nMaxSize=3\r\nUnitName="nm"\r\n
[Axis 4 Parameters Common]\r\nAxisCode="T"\r\nInterval=250.0\r\nMaxSize=1\r\nUnitName="ms"\r\n
[Reference Image Parameter]\r\nWidthConvertValue=0.25\r\nWidthUnit="um"\r\nHeightConvertValue=0.5\r\nHeightUnit="um"\r\n
[GUI Channel 1 Parameters]\r\nDyeName="DAPI"\r\n[GUI Channel 2 Parameters]\r\nDyeName="GFP"\r\n"""


def oif(folder: Path, data: np.ndarray) -> Path:
    """Write an OIF of planes (C, Z, H, W): a text in UTF-16, and a folder of TIFFs."""
    (folder / "a.oif").write_bytes(b"\xff\xfe" + OIF.encode("utf-16-le"))
    (folder / "a.oif.files").mkdir()
    for channel, slices in enumerate(data, 1):
        for number, plane in enumerate(slices, 1):
            tifffile.imwrite(folder / "a.oif.files" / f"s_C{channel:03}Z{number:03}.tif", plane, metadata=None)
    return folder / "a.oif"


def test_oif(tmp_path: Path) -> None:
    pytest.importorskip("oiffile")
    data = pixels(2, 3)
    image = read_image(oif(tmp_path, data))
    assert_is(image, data, "CZYX", PixelSize(x=0.25, y=0.5, unit="µm"), PhysicalSizeZ=0.5, TimeIncrement=0.25)
    assert image.metadata.properties["Channel"] == {"Name": ["DAPI", "GFP"]}
    (tmp_path / "a.oif.files" / "s_C002Z003.tif").write_bytes(b"II*\0")
    refused(tmp_path / "a.oif", "OIF")
    (tmp_path / "a.oif.files" / "s_C002Z003.tif").unlink()
    refused(tmp_path / "a.oif", "OIF")
    refused(oif_without_planes(tmp_path), "OIF")


def oif_without_planes(folder: Path) -> Path:
    (folder / "b.oif").write_bytes((folder / "a.oif").read_bytes())
    (folder / "b.oif.files").mkdir()
    return folder / "b.oif"


# Whole slides


def test_a_slide_that_openslide_reads(tmp_path: Path) -> None:
    """A tiled TIFF with a level is one of the formats that OpenSlide tells by their content."""
    pytest.importorskip("openslide")
    data = np.random.default_rng(0).integers(0, 250, (300, 420, 3)).astype(np.uint8)
    with tifffile.TiffWriter(tmp_path / "a.bif") as file:
        how = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
        file.write(data, **how, resolution=(40000, 20000), resolutionunit="CENTIMETER")
        file.write(data[::2, ::2], **how, subfiletype=1)
    image = read_image(tmp_path / "a.bif")
    assert image.metadata.format == "BIF (Ventana)"
    assert_is(image, data, "YXS", PixelSize(x=0.25, y=0.5, unit="µm"))
    np.testing.assert_array_equal(image.read((), slice(70, 150), slice(3, 90)).data, data[70:150, 3:90])
    (level,) = image.levels
    np.testing.assert_array_equal(np.asarray(level), data[::2, ::2])
    (tmp_path / "b.ndpi").write_bytes((tmp_path / "a.bif").read_bytes()[:999])
    refused(tmp_path / "b.ndpi", "NDPI (Hamamatsu)")


def test_a_slide_whose_tiles_fill_the_memory_is_refused(tmp_path: Path) -> None:
    """OpenSlide ends the process where it gets no memory for a tile."""
    pytest.importorskip("openslide")
    tifffile.imwrite(tmp_path / "a.bif", np.zeros((40, 56, 3), "u1"), photometric="rgb", tile=(16, 16), metadata=None)
    with tifffile.TiffFile(tmp_path / "a.bif", mode="r+b") as file:
        file.pages.first.tags["TileWidth"].overwrite(2**31 - 16, dtype="I")
    refused(tmp_path / "a.bif", "tiles of at most", "2147483632 x 16 pixels")


def test_planes_are_read_by_one_thread_at_a_time(tmp_path: Path) -> None:
    """Libraries of instruments read by one file handle, whose place one thread would take from another."""
    busy = threading.Lock()

    def frame(index: tuple[int, ...]) -> np.ndarray:
        assert busy.acquire(blocking=False)
        time.sleep(0.001)
        busy.release()
        return np.full((H, W), index[0], np.uint8)

    options = ReadOptions(name="made", max_bytes=2**20)
    image = frames_image(tmp_path / "a.any", options, frame, (24, H, W), np.dtype(np.uint8), "ZYX", {})
    with ThreadPoolExecutor(8) as pool:
        planes = list(pool.map(lambda number: np.asarray(image.data[number]), range(24)))
    assert [int(plane.max()) for plane in planes] == list(range(24))


def test_labels_and_sizes_of_an_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        data = file.create_dataset("a", data=pixels(1, 3, 2))
        data.attrs["element_size_um"] = (2.0, 0.5, 0.25)
        for axis, label in enumerate("tzcyx"):
            data.dims[axis].label = label
    image = read_image(tmp_path / "a.h5")
    assert_is(image, pixels(3, 2), "ZCYX", PixelSize(x=0.25, y=0.5, unit="µm"), PhysicalSizeZ=2.0)


def test_sizes_of_a_nifti_without_a_unit_are_named(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = nibabel.Nifti1Image(pixels(3, dtype="i2").T, np.diag([0.25, 0.5, 2, 1]))
    nibabel.save(volume, tmp_path / "a.nii")
    assert "no unit of length" in read_image(tmp_path / "a.nii").notes[0]
