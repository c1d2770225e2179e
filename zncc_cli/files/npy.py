"""NumPy's own file format, without pickle."""

from __future__ import annotations

import math
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.errors import InputError
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.paths import refusal

_EXPECTED = "an array (H, W), or (H, W, 3 or 4) for RGB and alpha, of integers or floats"


def read_npy(path: Path, name: str, max_bytes: int) -> tuple[NDArray[Any], Metadata]:
    """Read ``path``; bool becomes uint8, 0 and 255, and the fourth sample is taken for alpha.

    Raises:
        InputError: pickled objects, other shapes or dtypes, a damaged file, more than ``max_bytes``.
    """
    try:
        # Mapping reads the header and compares it with the file's size, but takes no memory for the pixels.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except InputError:
        raise
    except (OSError, EOFError, ValueError, TypeError, SyntaxError, OverflowError, TokenError) as error:
        raise refusal(
            path,
            expected="a complete .npy file without pickled objects",
            found=error,
            advice="save the array again with numpy.save",
        ) from error
    shape = mapped.shape[:-1] if mapped.ndim == 3 and mapped.shape[-1] == 1 else mapped.shape
    samples = shape[2] if len(shape) == 3 else 1
    if mapped.dtype.kind not in "buif" or len(shape) not in (2, 3) or samples not in (1, 3, 4) or 0 in shape:
        raise refusal(
            path,
            expected=_EXPECTED,
            found=f"shape {mapped.shape}, dtype {mapped.dtype}",
            advice="save one 2D image as an array of this shape",
        )
    if math.prod(shape) * mapped.dtype.itemsize > max_bytes:
        raise refusal(path, expected=f"at most {max_bytes} bytes", found=mapped.nbytes, advice="crop it or bin it")
    data = np.array(mapped.reshape(shape))
    if data.dtype.kind == "b":
        data = data.astype(np.uint8) * np.uint8(255)
    return data, Metadata(
        path=path, format=name, photometric="minisblack" if samples == 1 else "rgb", alpha=samples == 4
    )
