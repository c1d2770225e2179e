"""The table of docs/formats.md: which files are read, what `aligned.tif` then holds, and which programs open it.

    python -m tests.files.formats_table > docs/formats.md

Every cell is the result of a trial: a file of each kind is made, read, moved by whole pixels, written like
`aligned.tif`, and opened by other programs. The column of a program that is not installed is None.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import tifffile

from tests.files.imagej import RefusedError, open_imagej
from zncc_cli.files.formats import INSTRUMENTS, FileFormat
from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import Image, read_image

COLUMNS = ("source", "pixels read", "aligned.tif", "kept", "tifffile", "OpenCV", "ImageJ", "rasterio")
H, W = 40, 56


def _by_extra() -> dict[str, list[FileFormat]]:
    """Return the formats of instruments by the extra, or the name, of their reader."""
    found: dict[str, list[FileFormat]] = {}
    for entry in INSTRUMENTS:
        found.setdefault(entry.extra or entry.name, []).append(entry)
    return found


def _instrument_line(extra: str, entries: list[FileFormat]) -> str:
    names = ", ".join(entry.name for entry in entries)
    suffixes = ", ".join(dict.fromkeys(suffix for each in entries for suffix in each.suffixes or (each.name_end,)))
    needs = f'`pip install "{extra}"` ({entries[0].module})' if entries[0].module else "nothing further is needed"
    return f"- {names} ({suffixes}): {needs}"


HEADER = """# Formats

Which files are read, what `aligned.tif` holds then, and which programs open it. "yes" means that the program reads
every plane and sample with the values that were written; otherwise the table says what it reads. OpenCV reads by
`imreadmulti(IMREAD_UNCHANGED)`, rasterio page by page; for ImageJ the rules of `ij.io.TiffDecoder` were applied (its
Bio-Formats plugin opens more). OpenCV multiplies 8-bit samples by their alpha, and inverts white-is-zero.

An orientation tag (TIFF 274, EXIF) is obeyed, and a note says so: the output, and every coordinate, is of the pixels as
viewers show them, and the output has no such tag. tifffile and scikit-image read the pixels as they are stored.

`python -m tests.files.formats_table > docs/formats.md` makes this file from files of each kind; a test compares it.

Formats of instruments, each with the extra that reads it; `pip install "zncc-cli[instruments]"` installs all of them.
`aligned.tif` is an OME-TIFF with their pixel size, distance of slices, interval of frames and names of channels, as far
as the file has them. Of HDF5, `file.h5:/path` names the data set. Where `bioio` is installed, with plug-ins of its own
for further formats, it reads every other file.

{instruments}

"""
HEADER = HEADER.format(instruments="\n".join(_instrument_line(name, entries) for name, entries in _by_extra().items()))


@dataclass(frozen=True)
class Source:
    """A kind of file, and the function that makes one at a path."""

    name: str
    make: Callable[[Path], None]
    suffix: str = ".tif"


def pixels(*shape: int, dtype: str = "u2") -> np.ndarray:
    """Return values over most of the range of ``dtype``, negative ones and fractions included."""
    kind = np.dtype(dtype)
    values = np.random.default_rng(0).integers(0, 120, shape)
    if kind.kind == "f":
        return ((values - 60) * 1.37).astype(kind)
    scale = np.iinfo(kind).max // 120
    return (values if kind.kind == "u" else values - 60).astype(kind) * kind.type(scale)


def tiff(name: str, data: np.ndarray, **options: Any) -> Source:
    if data.ndim == 3 and data.shape[-1] in (3, 4) and not options.keys() & {"imagej", "ome"}:
        options = {"photometric": "rgb", **options}
    return Source(name, lambda path: tifffile.imwrite(path, data, **{"metadata": None, **options}))


def ome_zarr(path: Path) -> None:
    import zarr

    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    group.create_array("0", data=pixels(3, 2, 2, H, W), chunks=(1, 1, 1, 16, 16))
    units = {"t": "second", "z": "micrometer", "y": "micrometer", "x": "micrometer"}
    axes = [{"name": name, **({"unit": units[name]} if name in units else {})} for name in "tczyx"]
    scale = [{"type": "scale", "scale": [1, 1, 1, 0.25, 0.25]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]


def picture(name: str, data: np.ndarray, suffix: str) -> Source:
    return Source(name, lambda path: iio.imwrite(path, data, plugin="pillow"), suffix)


UNIT = {"unit": "um", "spacing": 0.5, "finterval": 2.0}
OME_SIZE = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm"}
CM = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
GEO = [
    (33550, 12, 3, (10.0, 10.0, 0.0), True),
    (33922, 12, 6, (0.0, 0.0, 0.0, 5e5, 4.2e6, 0.0), True),
    (34735, 3, 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32633), True),
    (42113, 2, 0, "0", True),
]
PALETTE = np.random.default_rng(1).integers(0, 256, (3, 256)).astype("u2") * np.uint16(257)

SOURCES = (
    *(tiff(f"TIFF {np.dtype(d).name}", pixels(H, W, dtype=d), **CM) for d in ("u1", "u2", "u4", "u8")),
    *(tiff(f"TIFF {np.dtype(d).name}", pixels(H, W, dtype=d), **CM) for d in ("i1", "i2", "i4", "f2", "f4", "f8")),
    *(tiff(f"TIFF RGB {np.dtype(d).name}", pixels(H, W, 3, dtype=d), **CM) for d in ("u1", "u2", "f4")),
    *(
        tiff(f"TIFF RGBA {np.dtype(d).name}", pixels(H, W, 4, dtype=d), extrasamples=["unassalpha"])
        for d in ("u1", "u2")
    ),
    tiff("TIFF grey and alpha", pixels(H, W, 2, dtype="u1"), extrasamples=["unassalpha"], planarconfig="contig"),
    tiff("TIFF planar RGB", pixels(3, H, W, dtype="u1"), photometric="rgb", planarconfig="separate"),
    tiff("TIFF palette", pixels(H, W, dtype="u1"), photometric="palette", colormap=PALETTE),
    tiff("TIFF 1 bit", pixels(H, W, dtype="u1") > 120, photometric="minisblack"),
    tiff("TIFF white is zero", pixels(H, W, dtype="u1"), photometric="miniswhite"),
    tiff("TIFF big-endian", pixels(H, W), byteorder=">"),
    tiff("TIFF tiled", pixels(H, W), tile=(16, 16)),
    tiff("TIFF BigTIFF", pixels(H, W), bigtiff=True),
    *(tiff(f"TIFF {name}", pixels(H, W), compression=code) for name, code in (("LZW", 5), ("deflate", 8))),
    *(tiff(f"TIFF {name}", pixels(H, W), compression=code) for name, code in (("PackBits", 32773), ("LZMA", 34925))),
    *(tiff(f"TIFF {name}", pixels(H, W), compression=code) for name, code in (("Zstandard", 50000), ("LERC", 34887))),
    tiff("TIFF LZW, predictor", pixels(H, W), compression=5, predictor=2),
    tiff("TIFF deflate, predictor", pixels(H, W), compression=8, predictor=2),
    tiff("TIFF deflate, predictor, float32", pixels(H, W, dtype="f4"), compression=8, predictor=3),
    tiff("TIFF JPEG", pixels(H, W, dtype="u1"), compression=7),
    tiff("TIFF JPEG RGB", pixels(H, W, 3, dtype="u1"), compression=7),
    tiff("TIFF WebP", pixels(H, W, 3, dtype="u1"), compression=50001),
    tiff("TIFF JPEG 2000", pixels(H, W), compression=34712),
    tiff("TIFF of pages", pixels(3, H, W), photometric="minisblack"),
    tiff("TIFF of RGB pages", pixels(3, H, W, 3, dtype="u1"), photometric="rgb"),
    tiff("TIFF with axes (tifffile)", pixels(3, 2, H, W), photometric="minisblack", metadata={"axes": "TZYX"}),
    tiff("TIFF of 5 bands", pixels(5, H, W), photometric="minisblack", planarconfig="separate"),
    tiff("GeoTIFF", pixels(H, W), extratags=GEO),
    tiff("GeoTIFF of 4 bands", pixels(4, H, W), photometric="minisblack", planarconfig="separate", extratags=GEO),
    tiff("ImageJ uint8", pixels(H, W, dtype="u1"), imagej=True, resolution=(4, 4), metadata=UNIT),
    tiff("ImageJ uint16", pixels(H, W), imagej=True, resolution=(4, 4), metadata=UNIT),
    tiff("ImageJ float32", pixels(H, W, dtype="f4"), imagej=True, resolution=(4, 4), metadata=UNIT),
    tiff("ImageJ RGB", pixels(H, W, 3, dtype="u1"), imagej=True, resolution=(4, 4), metadata=UNIT),
    tiff(
        *("ImageJ hyperstack", pixels(3, 2, 2, H, W)),
        **{"imagej": True, "resolution": (4, 4), "metadata": {"axes": "TZCYX", **UNIT}},
    ),
    tiff("OME-TIFF", pixels(H, W), ome=True, metadata={"axes": "YX", **OME_SIZE}),
    tiff(
        "OME-TIFF RGB", pixels(H, W, 3, dtype="u1"), ome=True, photometric="rgb", metadata={"axes": "YXS", **OME_SIZE}
    ),
    tiff(
        *("OME-TIFF TZCYX", pixels(3, 2, 2, H, W)),
        **{"ome": True, "photometric": "minisblack"},
        metadata={"axes": "TZCYX", "Channel": {"Name": ["a", "b"]}, **OME_SIZE},
    ),
    Source("OME-Zarr TCZYX", ome_zarr, ".zarr"),
    picture("PNG", pixels(H, W, dtype="u1"), ".png"),
    picture("PNG 16 bits", pixels(H, W), ".png"),
    picture("PNG RGB", pixels(H, W, 3, dtype="u1"), ".png"),
    picture("PNG RGBA", pixels(H, W, 4, dtype="u1"), ".png"),
    picture("JPEG", pixels(H, W, dtype="u1"), ".jpg"),
    picture("JPEG RGB", pixels(H, W, 3, dtype="u1"), ".jpg"),
    picture("BMP", pixels(H, W, 3, dtype="u1"), ".bmp"),
    picture("GIF", pixels(H, W, dtype="u1"), ".gif"),
    picture("WebP", pixels(H, W, 3, dtype="u1"), ".webp"),
    picture("PGM 16 bits", pixels(H, W), ".pgm"),
    Source("NPY float64", lambda path: np.save(path, pixels(H, W, dtype="f8")), ".npy"),
    Source("NPY RGB", lambda path: np.save(path, pixels(H, W, 3, dtype="u1")), ".npy"),
)


def row(source: Source, folder: Path) -> tuple[str | None, ...]:
    """Return a cell for each of `COLUMNS`; None where the program is not installed."""
    path = folder / f"source{source.suffix}"
    source.make(path)
    image = read_image(path)
    moved = np.roll(np.asarray(image.data), (2, 1), (image.axes.index("Y"), image.axes.index("X")))
    aligned = folder / "aligned.tif"
    notes = write_image(aligned, moved, like=image, frame=image)
    with tifffile.TiffFile(aligned) as file:
        page, series = file.pages.first, file.series[0]
        predictor = "" if page.predictor == 1 else ", predictor"
        compression = "" if page.compression == 1 else f", {page.compression.name.lower()}{predictor}"
        flavor = "ImageJ" if file.is_imagej else "OME-TIFF" if file.is_ome else "TIFF"
        same = flavor, f"{flavor} {series.dtype.name} {series.axes}{compression}"
        opened = np.array_equal(series.asarray(), moved) and series.dtype == moved.dtype
    kept = ", ".join((*_kept(image, aligned), *(f"*{note}*" for note in notes)))
    described = f"{image.data.dtype.name} {image.axes}"
    programs = (_opencv(aligned, moved, image.axes), _imagej(aligned, moved), _rasterio(aligned, moved, image.axes))
    return (source.name, described, same[1], kept, "yes" if opened else "no", *programs)


def _kept(image: Image, aligned: Path) -> list[str]:
    """Name the metadata of the grid that both files have."""
    kept = []
    with tifffile.TiffFile(aligned) as file:
        tags = {tag.code: tag.value for tag in file.pages.first.tags}
        if file.is_ome:
            pixels_of = ElementTree.fromstring(file.ome_metadata)[0].find("./{*}Pixels")
            assert pixels_of is not None
            size = pixels_of.get("PhysicalSizeX"), pixels_of.get("PhysicalSizeXUnit")
            kept += ["pixel size"] if size == ("0.25", "µm") else []
        elif image.metadata.pixel_size or (image.metadata.resolution and int(tags[296]) != 1):
            metres = {1: 1e-6, 2: 0.0254, 3: 0.01}[int(tags[296])]
            kept += ["pixel size"] if np.isclose(tags[282][1] / tags[282][0] * metres, 0.25e-6, rtol=1e-9) else []
        if file.is_imagej:
            kept += [key for key in ("spacing", "finterval") if file.imagej_metadata.get(key) == UNIT[key]]
    kept += ["georeference"] if tags.get(33922) == GEO[1][3] and tags.get(34735) == GEO[2][3] else []
    return kept + (["missing value"] if image.metadata.nodata is not None and 42113 in tags else [])


def _opencv(path: Path, data: np.ndarray, axes: str) -> str | None:
    try:
        import cv2
    except ImportError:
        return None
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    with contextlib.suppress(cv2.error):
        good, pages = cv2.imreadmulti(str(path), flags=cv2.IMREAD_UNCHANGED)
        if good and pages:
            order = {3: [2, 1, 0], 4: [2, 1, 0, 3]}.get(data.shape[-1] if axes.endswith("S") else 1)
            opened = np.stack([page if order is None or page.ndim == 2 else page[..., order] for page in pages])
            return _verdict(opened, data)
    return "no"


def _imagej(path: Path, data: np.ndarray) -> str:
    try:
        return _verdict(open_imagej(path).planes, data)
    except RefusedError as error:
        return f"no ({error})"


def _rasterio(path: Path, data: np.ndarray, axes: str) -> str | None:
    try:
        import rasterio
    except ImportError:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.getLogger("rasterio").setLevel(logging.CRITICAL)
        try:
            with rasterio.open(path) as file:
                count = len(file.subdatasets)
                names = [f"GTIFF_DIR:{page + 1}:{path}" for page in range(count)] or [str(path)]
            pages = []
            for name in names:
                with rasterio.open(name) as file:
                    bands = file.read()
                    pages.append(np.moveaxis(bands, 0, -1) if axes.endswith("S") else bands)
        except rasterio.errors.RasterioError:
            return "no"
    return _verdict(np.stack(pages), data)


def _verdict(pixels: np.ndarray, data: np.ndarray) -> str:
    if pixels.size == data.size and np.array_equal(pixels.reshape(data.shape), data):
        return "yes" if pixels.dtype == data.dtype else f"as {pixels.dtype.name}"
    if pixels.size < data.size and np.array_equal(
        pixels.reshape(pixels.shape[-data.ndim :]), data[..., : pixels.shape[-1]]
    ):
        return "without alpha"
    return f"other values ({pixels.dtype.name}, {' x '.join(map(str, pixels.shape))})"


def table() -> list[tuple[str | None, ...]]:
    rows = []
    for source in SOURCES:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(row(source, Path(folder)))
    return rows


def markdown(rows: list[tuple[str | None, ...]]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(cell or "" for cell in cells) + " |" for cells in rows]
    return HEADER + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown(table()))
