"""What LSM (Zeiss) and STK (MetaMorph) say of sizes, distances, times and channels is read and written."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.files.image_output import write_image
from zncc_cli.files.images import Image, read_image
from zncc_cli.files.metadata import PixelSize

H, W = 24, 32
INFO = np.dtype(tifffile.TIFF.CZ_LSMINFO).newbyteorder("<")


def patched(path: Path, code: int, kind: int, count: int) -> None:
    """Change type and count of a tag in a little-endian TIFF; its value stays where it is."""
    with tifffile.TiffFile(path) as file:
        offset = file.pages.first.tags[code].offset
    content = bytearray(path.read_bytes())
    struct.pack_into("<HI", content, offset + 2, kind, count)
    path.write_bytes(content)


def lsm(path: Path, frames: int, slices: int, channels: int) -> np.ndarray:
    """Write an LSM of (T, Z, C, H, W) with planar channels, thumbnails, time stamps, colours, wavelengths."""
    data = np.random.default_rng(0).integers(0, 4000, (frames, slices, channels, H, W)).astype(np.uint16)
    info = np.zeros(1, INFO)[0]
    info["MagicNumber"], info["StructureSize"], info["DataType"] = 67127628, INFO.itemsize, 2
    for axis, length in (("X", W), ("Y", H), ("Z", slices), ("Channels", channels), ("Time", frames)):
        info[f"Dimension{axis}"] = length
    info["ScanType"] = 6  # a time series of stacks
    info["VoxelSizeX"], info["VoxelSizeY"], info["VoxelSizeZ"] = 1e-7, 2e-7, 5e-7
    with tifffile.TiffWriter(path) as file:
        for number, planes in enumerate(data.reshape(-1, channels, H, W)):
            tags = [(34412, 1, INFO.itemsize, info.tobytes(), True)] if number == 0 else []
            options: dict[str, Any] = {"metadata": None, "software": False, "photometric": "minisblack"}
            options |= {"planarconfig": "separate"} if channels > 1 else {}
            page = planes if channels > 1 else planes[0]
            file.write(page, **options, extratags=tags)
            file.write(page[..., ::8, ::8].copy(), **options, subfiletype=1)
    stamps = struct.pack("<ii", 8 + 8 * frames, frames) + struct.pack(f"<{frames}d", *(100 + 2.5 * np.arange(frames)))
    names = b"".join(struct.pack("<I", 4) + f"Ch{number}\0".encode() for number in range(channels))
    colours = b"".join(bytes([255, number, 0, 0]) for number in range(channels))
    header = (24 + len(colours) + len(names), channels, channels, 24, 24 + len(colours), 0)
    waves = struct.pack("<i", channels) + b"".join(
        struct.pack("<2d", 5e-7 + n * 1e-7, 5.2e-7 + n * 1e-7) for n in range(channels)
    )
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags[34412].valueoffset
    blocks = {"TimeStamps": stamps, "ChannelWavelength": waves}
    blocks["ChannelColors"] = struct.pack("<6I", *header) + colours + names
    for name, block in blocks.items():
        struct.pack_into("<I", content, place + INFO.fields[f"Offset{name}"][1], len(content))
        content += block
    path.write_bytes(content)
    return data


def stk(path: Path, distances: list[float], times: list[int], calibration: tuple[float, float] | None) -> np.ndarray:
    """Write an STK, of which one page describes all planes; ``times`` in ms."""
    count = len(times)
    data = np.random.default_rng(0).integers(0, 4000, (count, H, W)).astype(np.uint16)
    second = b"".join(
        struct.pack("<6I", round(z * 1000), 1000, 2450000, time, 2450000, time)
        for z, time in zip(distances, times, strict=True)
    )
    third = struct.pack("<2I", 525, 1) * count
    entries = 4 if calibration else 1
    tags = [(33628, 7, 8 * entries, bytes(8 * entries), True), (33629, 7, len(second), second, True)]
    tags += [(33630, 7, len(third), third, True)]
    options: dict[str, Any] = {"metadata": None, "software": False, "description": "Exposure: 100 ms"}
    tifffile.imwrite(path, data, photometric="minisblack", **options, extratags=tags, truncate=True)
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags[33628].valueoffset
    first = [(3, 1)]
    if calibration:
        for tag, side in zip((4, 5), calibration, strict=True):
            first.append((tag, len(content)))
            content += struct.pack("<2I", round(side * 10000), 10000)
        first.append((6, len(content)))
        content += struct.pack("<I", 3) + b"um\0"
    content[place : place + 8 * entries] = b"".join(struct.pack("<2I", *entry) for entry in first)
    path.write_bytes(content)
    for code, kind, values in ((33628, 4, entries), (33629, 5, count), (33630, 5, count)):
        patched(path, code, kind, values)
    return data


def written(image: Image, folder: Path) -> Image:
    """Write the image, and read what was written; it must say the same."""
    write_image(folder / "out.tif", np.asarray(image.data), like=image)
    again = read_image(folder / "out.tif")
    np.testing.assert_array_equal(again.data, image.data)
    assert again.axes == image.axes
    return again


def test_an_lsm_keeps_its_sizes_times_and_channels(tmp_path: Path) -> None:
    data = lsm(tmp_path / "a.lsm", frames=3, slices=2, channels=3)
    image = read_image(tmp_path / "a.lsm")
    assert image.axes == "TZCYX"
    np.testing.assert_array_equal(image.data, data)
    for metadata in (image.metadata, written(image, tmp_path).metadata):
        assert metadata.pixel_size == PixelSize(x=0.1, y=0.2, unit="µm")
        properties = metadata.properties
        assert (properties["PhysicalSizeZ"], properties["PhysicalSizeZUnit"]) == (0.5, "µm")
        assert (properties["TimeIncrement"], properties["TimeIncrementUnit"]) == (2.5, "s")
        assert properties["Plane"]["DeltaT"] == [0] * 6 + [2.5] * 6 + [5] * 6
        assert properties["Channel"]["Name"] == ["Ch0", "Ch1", "Ch2"]
        assert [float(length) for length in properties["Channel"]["EmissionWavelength"]] == [510, 610, 710]
        assert [int(colour) >> 8 & 0xFFFFFF for colour in properties["Channel"]["Color"]] == [
            0xFF0000,
            0xFF0100,
            0xFF0200,
        ]


def test_an_lsm_of_one_plane_keeps_its_sizes(tmp_path: Path) -> None:
    lsm(tmp_path / "a.lsm", frames=1, slices=1, channels=1)
    image = read_image(tmp_path / "a.lsm")
    assert image.axes == "YX"
    assert written(image, tmp_path).metadata.pixel_size == PixelSize(x=0.1, y=0.2, unit="µm")


def test_slices_of_an_stk_keep_their_distance(tmp_path: Path) -> None:
    data = stk(tmp_path / "a.stk", [0.3] * 4, [0] * 4, (0.1613, 0.1613))
    image = read_image(tmp_path / "a.stk")
    assert image.axes == "ZYX"
    np.testing.assert_array_equal(image.data, data)
    for metadata in (image.metadata, written(image, tmp_path).metadata):
        assert metadata.pixel_size == PixelSize(x=0.1613, y=0.1613, unit="µm")
        assert (metadata.properties["PhysicalSizeZ"], metadata.properties["PhysicalSizeZUnit"]) == (0.3, "µm")
        assert float(metadata.properties["Channel"]["EmissionWavelength"][0]) == 525
        assert metadata.properties["Description"] == "Exposure: 100 ms"


def test_frames_of_an_stk_keep_their_times(tmp_path: Path) -> None:
    stk(tmp_path / "a.stk", [0] * 4, [1000, 3000, 5000, 7500], (0.1613, 0.1613))
    image = read_image(tmp_path / "a.stk")
    assert image.axes == "TYX"
    for metadata in (image.metadata, written(image, tmp_path).metadata):
        assert metadata.properties["Plane"]["DeltaT"] == [0, 2, 4, 6.5]
        # The mean of the intervals, 6.5 s over three.
        assert metadata.properties["TimeIncrement"] == pytest.approx(6.5 / 3)


def test_an_stk_without_a_calibration_has_no_size(tmp_path: Path) -> None:
    stk(tmp_path / "a.stk", [0.3] * 3, [0] * 3, None)
    assert read_image(tmp_path / "a.stk").metadata.pixel_size is None
