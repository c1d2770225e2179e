"""DICOM: images of medicine, read through pydicom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zncc_cli.files.array_image import array_image, calibration, check_bytes, library_errors
from zncc_cli.files.image import Image
from zncc_cli.files.options import ReadOptions
from zncc_cli.files.paths import refusal

_SECONDS = 1e-3  # of a millisecond
_PALETTE = "PALETTE COLOR"
_MAX_COLOUR_BYTES = 6  # of the colour of a byte: three samples of 16 bits
_GREY = {"MONOCHROME1": "miniswhite", "MONOCHROME2": "minisblack"}


def read_dicom(path: Path, options: ReadOptions) -> Image:
    """Read the stored numbers of ``path``; frames are "T", or "Z" where slices have a distance.

    A rescale slope and intercept are noted. YCbCr and numbers of colours become RGB. Pixels that hold the padding
    value, or one of the range of padding values, are missing.

    Raises:
        InputError: there are no pixels, their compression needs a further library, or they do not fit into memory.
    """
    import pydicom
    from pydicom.pixels import apply_color_lut, pixel_array

    with library_errors(path, options.name):
        said: Any = pydicom.dcmread(path, defer_size=2**16)
        if "Rows" not in said or "PixelData" not in said:
            raise refusal(path, expected="a DICOM with pixels", found="none", advice="name another file of the series")
        photometric = str(said.get("PhotometricInterpretation"))
        frames, samples = int(said.get("NumberOfFrames") or 1), int(said.get("SamplesPerPixel") or 1)
        size = int(said.Rows) * int(said.Columns) * frames * samples * max(1, int(said.BitsAllocated) // 8)
        is_coloured = photometric == _PALETTE and not options.indices
        check_bytes(path, size * _MAX_COLOUR_BYTES if is_coloured else size, options)
        _check_compression(path, said)
        data = pixel_array(said)
        if is_coloured:
            data, samples = apply_color_lut(data, said), 3
        meaning = _GREY.get(photometric, "rgb" if samples >= 3 else "palette")
        measures = _measures(said)
        spacing = measures.get("PixelSpacing") or said.get("PixelSpacing") or said.get("ImagerPixelSpacing")
        distance = measures.get("SpacingBetweenSlices") or said.get("SpacingBetweenSlices")
        y, x = (float(side) for side in spacing) if spacing else (None, None)
        interval = said.get("FrameTime") if frames > 1 and distance is None else None
        times = None if interval is None else float(interval) * _SECONDS
        fields = calibration(x, y, "mm", None if distance is None else float(distance), times)
        padding = said.get("PixelPaddingValue")
        if padding is not None:
            limit = said.get("PixelPaddingRangeLimit")
            fields["nodata"], fields["nodata_limit"] = float(padding), None if limit is None else float(limit)
        slope, intercept = float(said.get("RescaleSlope") or 1), float(said.get("RescaleIntercept") or 0)
    axes = ("Z" if distance is not None else "T") * (frames > 1) + "YX" + "S" * (samples > 1)
    is_scaled = (slope, intercept) != (1, 0)
    notes = (f"the stored numbers were read; values are {slope:g} times these plus {intercept:g}",) if is_scaled else ()
    fields["left_out"] = ("DICOM's data elements",)
    return array_image(path, options, data, axes, {**fields, "photometric": meaning}, notes)


def _check_compression(path: Path, said: Any) -> None:
    """Raise `InputError` where no library is installed that reads the compression of the pixels."""
    from pydicom.pixels import get_decoder

    syntax = said.file_meta.TransferSyntaxUID
    if syntax.is_compressed and not get_decoder(syntax).is_available:
        advice = "run: pip install python-gdcm"
        raise refusal(path, expected=f"a library that reads {syntax.name}", found="none", advice=advice)


def _measures(said: Any) -> Any:
    """Return what an enhanced DICOM says of the pixels of all its frames; an empty dict where it says nothing."""
    shared = said.get("SharedFunctionalGroupsSequence")
    measures = shared[0].get("PixelMeasuresSequence") if shared else None
    return measures[0] if measures else {}
