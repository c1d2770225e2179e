"""Calibration of LSM (Zeiss) and STK (MetaMorph): sizes, distances, times, channels, in the words of OME.

Both hold it in tags of their own, which no other format has. A file that is written from one is an OME-TIFF.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import tifffile

from zncc_cli.files.metadata import PixelSize
from zncc_cli.files.tiff.calibration import length_unit
from zncc_cli.files.tiff.ome_xml import OmeImage

_MICRON = "µm"
_MAX_CHANNELS = 256
_OME_AXES = "TZCYXS"


def confocal_image(
    file: tifffile.TiffFile, series: tifffile.TiffPageSeries, leading: Sequence[tuple[str, int]]
) -> OmeImage | None:
    """Return what an LSM or STK says of a series, in OME's words; None for files of other kinds.

    ``leading``: letter and length of each axis before the plane.
    """
    content: Mapping[str, Any] | None = None
    if series.kind == "lsm":
        content = file.lsm_metadata
        read = _lsm
    elif series.kind == "stk":
        content = file.stk_metadata
        read = _stk
    return read(content, leading) if content is not None else None


def _lsm(content: Mapping[str, Any], leading: Sequence[tuple[str, int]]) -> OmeImage:
    """Return the content of CZ_LSMINFO; lengths are in metres, times in seconds."""
    x, y, z = (_number(content.get(f"VoxelSize{axis}")) * 1e6 for axis in "XYZ")
    properties: dict[str, Any] = {}
    if _is_positive(z):
        properties |= {"PhysicalSizeZ": _rounded(z), "PhysicalSizeZUnit": _MICRON}
    properties |= _times(content.get("TimeStamps"), leading)
    count = dict(leading).get("C", 1)
    if channels := _lsm_channels(content, count):
        properties["Channel"] = channels
    size = PixelSize(x=_rounded(x), y=_rounded(y), unit=_MICRON) if _is_positive(x) and _is_positive(y) else None
    return OmeImage(name=str(content.get("Name") or ""), pixel_size=size, properties=properties, left_out=())


def _lsm_channels(content: Mapping[str, Any], count: int) -> dict[str, list[Any]]:
    """Return names, colours and wavelengths of ``count`` channels, each where the file has it for all of them."""
    columns: dict[str, list[Any]] = {}
    colours = content.get("ChannelColors")
    colours = colours if isinstance(colours, dict) else {}
    names = [str(name) for name in colours.get("ColorNames", ())]
    if len(names) == count and any(names):
        columns["Name"] = names
    values = colours.get("Colors", ())
    if len(values) == count:
        columns["Color"] = [int.from_bytes(bytes((*value[:3], 255)), "big", signed=True) for value in values]
    ranges = content.get("ChannelWavelength")
    if isinstance(ranges, np.ndarray) and ranges.shape == (count, 2) and (ranges > 0).all():
        _add_wavelengths(columns, "Emission", ranges.mean(axis=1) * 1e9)
    excitation = _lsm_excitation(content.get("ScanInformation"))
    if len(excitation) == count:
        _add_wavelengths(columns, "Excitation", excitation)
    return columns


def _lsm_excitation(information: Any) -> list[float]:
    """Return the laser line, nm, of each channel; empty where a track has several lines."""
    lines: list[float] = []
    tracks = information.get("Tracks") if isinstance(information, dict) else None
    for track in _dicts(tracks):
        used = [_number(line.get("Wavelength")) for line in _dicts(track.get("IlluminationChannels")) if _is_on(line)]
        channels = [channel for channel in _dicts(track.get("DetectionChannels")) if _is_on(channel)]
        if len(used) != 1 or not _is_positive(used[0]) or len(channels) > _MAX_CHANNELS:
            return []
        lines += used * len(channels)
    return lines


def _stk(content: Mapping[str, Any], leading: Sequence[tuple[str, int]]) -> OmeImage:
    """Return the content of MetaMorph's UIC tags; distances are in the unit of the calibration, times in ms."""
    unit = length_unit(str(content.get("CalibrationUnits", "")).strip()) if content.get("SpatialCalibration") else None
    properties: dict[str, Any] = {}
    size = None
    if unit is not None:
        x, y = _number(content.get("XCalibration")), _number(content.get("YCalibration"))
        size = PixelSize(x=x, y=y, unit=unit.name) if _is_positive(x) and _is_positive(y) else None
    axes = "".join(axis for axis, _ in leading)
    distances = _positive_numbers(content.get("ZDistance"))
    if "Z" in axes and len(distances):
        z_unit = _MICRON if unit is None else unit.name
        properties |= {"PhysicalSizeZ": float(np.median(distances)), "PhysicalSizeZUnit": z_unit}
    times = content.get("TimeCreated")
    if isinstance(times, np.ndarray) and "T" in axes:
        properties |= _times(times / 1000, leading)
    wavelengths = _positive_numbers(content.get("Wavelengths"))
    if len(wavelengths) and (wavelengths == wavelengths[0]).all():
        columns: dict[str, list[Any]] = {}
        _add_wavelengths(columns, "Emission", wavelengths[:1])
        properties["Channel"] = columns
    texts = content.get("PlaneDescriptions")
    if isinstance(texts, list) and texts and str(texts[0]).strip():
        properties["Description"] = str(texts[0]).strip()
    return OmeImage(name=str(content.get("Name") or ""), pixel_size=size, properties=properties, left_out=())


def _times(stamps: Any, leading: Sequence[tuple[str, int]]) -> dict[str, Any]:
    """Return the interval of frames and the time of each plane, in seconds, from a time stamp for each frame."""
    lengths = dict(leading)
    frames = lengths.get("T", 1)
    is_complete = isinstance(stamps, np.ndarray) and stamps.shape == (frames,) and bool(np.isfinite(stamps).all())
    if frames < 2 or not is_complete or not set(lengths) <= set(_OME_AXES):
        return {}
    since_first = stamps.astype(np.float64) - float(stamps[0])
    interval = float(since_first[-1]) / (frames - 1)
    position = [axis for axis, _ in leading].index("T")
    shape = [length for _, length in leading]
    grid = since_first.reshape([-1 if axis == position else 1 for axis in range(len(shape))])
    planes = [round(float(time), 9) for time in np.broadcast_to(grid, shape).ravel()]
    result: dict[str, Any] = {"Plane": {"DeltaT": planes, "DeltaTUnit": ["s"] * len(planes)}}
    if _is_positive(interval):
        result |= {"TimeIncrement": _rounded(interval), "TimeIncrementUnit": "s"}
    return result


def _add_wavelengths(columns: dict[str, list[Any]], kind: str, nanometres: Iterable[float]) -> None:
    values = [_rounded(float(value)) for value in nanometres]
    columns[f"{kind}Wavelength"] = values
    columns[f"{kind}WavelengthUnit"] = ["nm"] * len(values)


def _positive_numbers(values: Any) -> np.ndarray:
    """Return an array of numbers; empty where it is none, or one of them is not above zero."""
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iuf":
        return np.empty(0)
    good = np.isfinite(values) & (values > 0)
    return values if good.all() else np.empty(0)


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _is_on(channel: Mapping[str, Any]) -> bool:
    return bool(channel.get("Acquire"))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float | np.number) else math.nan


def _is_positive(value: float) -> bool:
    return 0 < value < math.inf


def _rounded(value: float) -> float:
    """Return a value without the digits that a conversion of units adds."""
    return float(f"{value:.12g}")
