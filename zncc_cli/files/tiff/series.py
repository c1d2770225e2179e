"""The series of a TIFF: which is read, and the smaller copies and masks among the others."""

from __future__ import annotations

from pathlib import Path

import tifffile

from zncc_cli.files.pages import no_such_number, numbered
from zncc_cli.files.paths import refusal
from zncc_cli.files.tiff.input_errors import UNCLEAR_ERRORS

# The first level of a pyramid is a half or a quarter as wide as the image. A smaller copy is a thumbnail.
_MAX_PYRAMID_STEP = 4


def all_series_of(file: tifffile.TiffFile) -> tuple[list[tifffile.TiffPageSeries], tuple[str, ...]]:
    """Return the series of a file; of one that names its kind wrongly those of plain pages, with a note."""
    try:
        return file.series, ()
    except (ValueError, *UNCLEAR_ERRORS):
        for flag in tifffile.TIFF.FILE_FLAGS:
            if getattr(file, f"is_{flag}", False):
                setattr(file, f"is_{flag}", False)
        return file.series, ("its description is not that of the kind of file that it names: its pages were read",)


def choose_series(
    path: Path, all_series: list[tifffile.TiffPageSeries], series: int | None, log: list[str]
) -> tuple[tifffile.TiffPageSeries, tuple[str, ...]]:
    """Return the series of number ``series``, by default the first, and notes of the choice."""

    def is_image(candidate: tifffile.TiffPageSeries) -> bool:
        page = candidate.keyframe
        return not (page.is_reduced or page.is_mask or candidate.name == "Thumbnail")

    images = [candidate for candidate in all_series if is_image(candidate)] or all_series
    if not images:
        found = log[0] if log else "no image at all"
        raise refusal(path, expected="a TIFF with an image", found=found, advice="copy or export the file again")
    number = series or 0
    if not 0 <= number < len(images):
        raise no_such_number(path, "series", number, len(images))
    note = f"{numbered('series', 0, len(images))} was read; `series` chooses"
    return images[number], (note,) if series is None and len(images) > 1 else ()


def left_out_series(chosen: tifffile.TiffPageSeries, all_series: list[tifffile.TiffPageSeries]) -> tuple[str, ...]:
    """Name the pyramid levels and masks of the file, which are not read; thumbnails are not worth a name."""
    further_pages = [series.keyframe for series in all_series if series is not chosen]
    reduced = [page for page in further_pages if page.is_reduced]
    is_pyramid = any(_MAX_PYRAMID_STEP * page.imagewidth >= chosen.keyframe.imagewidth for page in reduced)
    levels = len(chosen.levels) - 1 + (len(reduced) if is_pyramid else 0)
    copies = [f"{levels} smaller copies"] if levels > 1 else ["a smaller copy"] if levels else []
    return (*copies, *(["the mask"] if any(page.is_mask for page in further_pages) else []))
