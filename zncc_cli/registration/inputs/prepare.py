"""Prepare the images and settings of a registration; those that cannot be used are refused with a message."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import AUTO
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.operators.pixels import PIXEL_TYPES, standardized
from zncc_cli.registration.inputs.no_data import no_data_values
from zncc_cli.registration.transforms.matrices import is_mirrored, mirror
from zncc_cli.registration.warp import corners, in_front, map_points

SMALLEST_IMAGE = 16  # pixels on the shorter side; below it no window has room to move
_MIN_INIT_SCALE = 1e-3  # moving pixels per fixed pixel: below it a whole frame falls on a pixel or two
_MAX_COORDINATE = 1e7  # pixels; beyond it float32 cannot tell one pixel from the next


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as it is registered.

    Attributes:
        image: (1, 1, H, W) float32 of mean zero and variance one over the mask, zero outside it.
        mask: (H, W) bool, pixels that count.
        no_data: the values that were taken as no data, in the image's own units.
    """

    image: Tensor
    mask: Tensor
    no_data: tuple[float, ...] = ()


def prepare(
    name: str, image: np.ndarray | Tensor, mask: np.ndarray | Tensor | None, device: torch.device, no_data: str = AUTO
) -> Prepared:
    """Return an image as it is registered: centred and scaled over the pixels that count.

    Args:
        name: of the image, in messages.
        image: (H, W), real. The masked pixels of a masked array do not count.
        mask: (H, W), above zero for pixels that count; None for all. Pixels that are not finite never count.
        device: of the result.
        no_data: pixels of which value do not count: ``auto``, ``none`` or a number, see `no_data_values`.

    Raises:
        OptionError: the image is complex, not two-dimensional, or has not the shape of its mask.
        ContentError: the image is too small, constant, without valid pixels, or beyond the range of float64.
    """
    if image.is_complex() if isinstance(image, Tensor) else np.iscomplexobj(image):
        raise OptionError(f"{name}: expected real numbers, got complex ones; give their abs(), or their real part")
    pixels = image.detach() if isinstance(image, Tensor) else torch.from_numpy(_readable(image))
    if pixels.ndim != 2:
        raise OptionError(f"{name}: expected a grey image (H, W), got an array of shape {tuple(pixels.shape)}")
    if min(pixels.shape) < SMALLEST_IMAGE:
        raise ContentError(
            f"{name}: expected at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, "
            f"found {pixels.shape[1]} x {pixels.shape[0]}; there is nothing to align in so small an image"
        )
    pixels = pixels.to(device)
    counts = None
    if mask is not None:
        above_zero = mask > 0 if isinstance(mask, Tensor) else torch.from_numpy(np.array(_filled(mask) > 0))
        counts = above_zero.to(device)
        if counts.shape != pixels.shape:
            raise OptionError(
                f"{name} mask: expected the image's own {pixels.shape[1]} x {pixels.shape[0]} pixels, "
                f"got {counts.shape[-1]} x {counts.shape[0]}"
            )
    if not isinstance(image, Tensor) and _is_masked(image):
        unmasked = torch.from_numpy(~np.ma.getmaskarray(image)).to(device)
        counts = unmasked if counts is None else counts & unmasked
    return _prepared(name, pixels, counts, no_data)


def _is_masked(image: np.ndarray) -> bool:
    """Tell whether an image is a masked array. There is none without numpy.ma, which is not loaded for the question."""
    return "numpy.ma" in sys.modules and isinstance(image, np.ma.MaskedArray)


def _filled(mask: np.ndarray) -> np.ndarray:
    """Return a mask with masked pixels as those that do not count."""
    return np.ma.filled(mask, 0) if _is_masked(mask) else np.asarray(mask)


def _readable(image: np.ndarray) -> np.ndarray:
    """Return an array as torch can take it, a copy where need be: native numbers in C order that may be written to."""
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "iuf" or pixels.dtype.itemsize > 8:
        pixels = pixels.astype(np.float64)
    return np.require(pixels, pixels.dtype.newbyteorder("="), ["C", "A", "W"])


def _prepared(name: str, pixels: Tensor, mask: Tensor | None, no_data: str) -> Prepared:
    """Return the result of `prepare` for pixels (H, W)."""

    def read(strip: slice) -> tuple[np.ndarray, np.ndarray]:
        values = pixels[strip] if pixels.dtype in PIXEL_TYPES else pixels[strip].double()
        grey = values.cpu().numpy()
        counts = np.isfinite(grey)
        return grey, counts if mask is None else counts & mask[strip].cpu().numpy()

    gaps = no_data_values(read, (int(pixels.shape[0]), int(pixels.shape[1])), no_data)
    if pixels.is_floating_point():  # -3.4028235e38 is what float32 makes of it
        gaps = tuple(float(torch.tensor(value, dtype=torch.float64).to(pixels.dtype)) for value in gaps)
    found = standardized(pixels, mask, gaps)
    if found.count == 0:
        raise ContentError(f"{name}: expected valid pixels, found none that are finite and inside the mask")
    if found.low == found.high:
        raise ContentError(f"{name}: expected texture, found {found.count} valid pixels that are all equal")
    if found.image is None:
        raise ContentError(
            f"{name}: expected values whose sum is a float64 number, found {found.low:g} to {found.high:g}; "
            "scale them down"
        )
    return Prepared(found.image[None, None], found.mask, gaps)


def check_window(window: int, *masks: Tensor) -> None:
    """Raise `WindowError` where the window is larger than half the shorter side of any mask (H, W)."""
    most = min(min(mask.shape) for mask in masks) // 2
    if window > most:
        raise WindowError(
            f"`window`: expected at most {most} pixels, half the shorter side of the smaller image, got {window}"
        )


def checked_init(init: np.ndarray, shape: tuple[int, int], mirror_width: int | None = None) -> np.ndarray:
    """Return the start ``init`` (3, 3), fixed -> moving, with a last entry of one.

    Args:
        init: the start.
        shape: (H, W) of the fixed frame.
        mirror_width: pixels, of the moving image, which the start may mirror; None where it may not.

    Raises:
        OptionError: it is no such matrix, or does not map the fixed frame to a frame of useful size that is near.
    """
    matrix = np.asarray(init, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise OptionError(f"`init`: expected a 3 x 3 matrix, got an array of shape {matrix.shape}")
    with np.errstate(all="ignore"):
        matrix = matrix / matrix[2, 2]
        upright = matrix if mirror_width is None or not is_mirrored(matrix) else mirror(mirror_width) @ matrix
        usable = np.isfinite(matrix).all() and in_front(upright, shape)
        usable = usable and np.abs(map_points(matrix, corners(shape))).max() < _MAX_COORDINATE
        usable = usable and np.linalg.svd(matrix[:2, :2], compute_uv=False).min() > _MIN_INIT_SCALE
    if not usable:
        raise OptionError(
            "`init`: expected an invertible matrix that takes every fixed pixel (x, y) to a moving one"
            f"{', not mirrored with `flip` no' if mirror_width is None else ''}, got {np.asarray(init).tolist()}"
        )
    return np.ascontiguousarray(matrix)
