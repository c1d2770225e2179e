"""The raw transformation of ImageJ's bUnwarpJ: text with the places in the source of all pixels of the target.

The target is the FIXED image, the source the MOVING one: our direction. Places are absolute, in pixels; whole numbers
are the centres of pixels: the plugin samples the source's spline at the place of the target's pixel as it stands.

    Width=W, Height=H, then H lines of W numbers x below "X Trans", and H lines of W numbers y below "Y Trans"

https://imagej.net/plugins/bunwarpj
https://github.com/fiji/bUnwarpJ (MiscTools.java: loadRawTransformation, applyRawTransformationToSource)
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from zncc_cli.files.memory import available_memory
from zncc_cli.files.output_folder import atomic_write
from zncc_cli.files.paths import MismatchError
from zncc_cli.files.transforms.bends import DisplacementImage
from zncc_cli.files.transforms.linear import Linear, Matrix, decode_text, parse_length
from zncc_cli.files.transforms.side_files import whole_strips

MAGIC = b"Width="

_BYTES_PER_PIXEL = 120  # a number as text, which is a Python object, and the places in float64
_EXPECTED = "a raw transformation of bUnwarpJ"
_HEAD = re.compile(r"Width=([0-9]{1,10})\s*\nHeight=([0-9]{1,10})\s*\n\s*X Trans[ -]*\n")
_BETWEEN = re.compile(r"\n\s*Y Trans[ -]*\n")
_NUMBERS = re.compile(r"[0-9eE+.\s-]*")


def parse(content: bytes) -> Linear:
    """Read a raw transformation."""
    text = decode_text(content, _EXPECTED)
    head = _HEAD.match(text)
    between = head and _BETWEEN.search(text, head.end() - 1)
    if head is None or between is None:
        raise MismatchError(_EXPECTED, "no lines Width=, Height=, X Trans and Y Trans")
    width, height = parse_length(head[1]), parse_length(head[2])
    limit = available_memory() // _BYTES_PER_PIXEL
    if height * width > limit:
        raise MismatchError(f"at most {limit} pixels", height * width)
    places = np.stack(
        [_numbers(part, height, width) for part in (text[head.end() : between.start()], text[between.end() :])], axis=-1
    )
    y, x = np.indices((height, width))
    image = DisplacementImage(places - np.stack([x, y], axis=-1))
    return Linear(image.nearest_matrix(), fixed_shape=(height, width), bend=image)


def _numbers(text: str, height: int, width: int) -> Matrix:
    """Return the (H, W) numbers of a part of the file; their count is checked before memory is taken."""
    words = text.split(maxsplit=height * width)  # what is beyond them stays one word
    if len(words) != height * width:
        found = len(words) if len(words) < height * width else "more"
        raise MismatchError(f"{width} x {height} numbers", found)
    if not _NUMBERS.fullmatch(text):
        raise MismatchError("finite numbers", "others")
    try:
        values = np.array(words, dtype=np.float64).reshape(height, width)
    except ValueError as error:
        raise MismatchError("finite numbers", error) from error
    if not np.isfinite(values).all():
        raise MismatchError("finite numbers", "others")
    return values


def write(transform: Linear, path: Path) -> None:
    """Write the places of all pixels of the fixed frame.

    Raises:
        OutputError: the horizon crosses the frame, or the file cannot be written.
    """
    assert transform.fixed_shape is not None
    height, width = transform.fixed_shape
    x, rule = np.arange(width), "-" * 35
    with atomic_write(path) as file:
        file.write(f"Width={width}\nHeight={height}\n".encode())
        for axis, name in enumerate("XY"):
            file.write(f"\n{name} Trans {rule}\n".encode())
            top = 0
            for strip in whole_strips(path, transform.transform, transform.fixed_shape):
                for row, displacements in enumerate(strip[..., axis], start=top):
                    places = displacements + (x if axis == 0 else row)
                    file.write((" ".join(f"{place!r:>21}" for place in places.tolist()) + " \n").encode())
                top += len(strip)
