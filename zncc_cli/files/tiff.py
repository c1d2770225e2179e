"""TIFF, written through tifffile."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray

from zncc_cli.files.folder import beside
from zncc_cli.files.metadata import Metadata

_GDAL_NODATA = 42113


def write_tiff(path: Path, data: NDArray[Any], *, like: Metadata | None, frame: Metadata | None) -> None:
    """Write ``data``, (H, W) or (H, W, S), uncompressed: samples tagged as in ``like``, pixel grid as in ``frame``.

    Raises:
        OutputError: the file cannot be written; nothing is left behind.
    """
    samples = data.shape[2] if data.ndim == 3 else 1
    colour = like.photometric == "rgb" if like else samples in (3, 4)
    if like and like.photometric == "miniswhite":
        photometric = "miniswhite"
    else:
        photometric = "rgb" if colour and samples >= 3 else "minisblack"
    extra = samples - (3 if photometric == "rgb" else 1)
    kind = "unspecified"
    if like and like.alpha:
        kind = "assocalpha" if like.premultiplied else "unassalpha"
    georeference = list(frame.georeference) if frame else []
    extratags: list[tuple[Any, ...]] = [(*tag, True) for tag in georeference]
    if like and like.nodata is not None:
        extratags.append((_GDAL_NODATA, 2, 0, f"{like.nodata:.17g}", True))
    resolution = frame.resolution if frame else None
    unit = frame.pixel_size.unit if frame and frame.pixel_size else ""
    with beside(path) as file:
        place = tifffile.imwrite(
            file,
            data,
            photometric=photometric,
            planarconfig="contig" if samples > 1 else None,
            extrasamples=[kind] * extra if extra else None,
            resolution=(resolution.x, resolution.y) if resolution else None,
            resolutionunit=resolution.unit if resolution else None,
            # ImageJ takes the unit of the resolution from this text alone.
            description=f"ImageJ=1.54f\nunit={_imagej_text(unit)}\n" if unit else None,
            extratags=extratags,
            software="zncc-cli",
            metadata=None,
            returnoffset=True,
        )
        assert place is not None
        # On a full disk numpy.ndarray.tofile, which tifffile uses, can lose the last bytes without a word.
        if file.seek(0, os.SEEK_END) < sum(place):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _imagej_text(text: str) -> str:
    """``text`` in ASCII on one line, other letters spelt as ImageJ spells them: a micron is ``\\u00B5m``."""
    return "".join(letter if " " <= letter <= "~" else f"\\u{ord(letter) & 0xFFFF:04X}" for letter in text)
