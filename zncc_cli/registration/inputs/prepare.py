"""What a registration is given: images put in order, and what cannot be used refused in words."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import AUTO
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.registration.inputs.no_data import no_data_values
from zncc_cli.registration.warp import corners, in_front, map_points

SMALLEST_IMAGE = 16  # pixels on the shorter side; below it no window has room to move
_SMALLEST_SCALE = 1e-3  # of --init: below it a whole frame falls on a pixel or two
_AT_ONCE = 2**17  # pixels of a strip, which stays in the cache
_FARTHEST = 1e7  # pixels; float32 knows no coordinate beyond to a pixel


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
    """Return the image made ready; pixels do not count that are not finite, masked, or of a value that is no data.

    What a masked array masks does not count either.
    """
    if image.is_complex() if isinstance(image, Tensor) else np.iscomplexobj(image):
        raise OptionError(f"{name}: expected real numbers, got complex ones; give their abs(), or their real part")
    # A copy of its own, in native byte order and without negative strides, is what torch takes.
    pixels = image.detach() if isinstance(image, Tensor) else torch.from_numpy(_readable(image))
    if pixels.ndim != 2:
        raise OptionError(f"{name}: expected a grey image (H, W), got an array of shape {tuple(pixels.shape)}")
    if min(pixels.shape) < SMALLEST_IMAGE:
        raise ContentError(
            f"{name}: expected at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, "
            f"found {pixels.shape[1]} x {pixels.shape[0]}; there is nothing to align in so small an image"
        )
    pixels = pixels.to(device)
    given = None
    if mask is not None:
        counts = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(np.ma.filled(mask, 0) > 0))
        given = counts.to(device) > 0
        if given.shape != pixels.shape:
            raise OptionError(
                f"{name} mask: expected the image's own {pixels.shape[1]} x {pixels.shape[0]} pixels, "
                f"got {given.shape[-1]} x {given.shape[0]}"
            )
    if isinstance(image, np.ma.MaskedArray):
        unmasked = torch.from_numpy(~np.ma.getmaskarray(image)).to(device)
        given = unmasked if given is None else given & unmasked
    return _standardized(name, pixels, given, no_data)


def _readable(image: np.ndarray) -> np.ndarray:
    pixels = np.asarray(image)
    if pixels.dtype.kind not in "iuf" or pixels.dtype.itemsize > 8:
        pixels = pixels.astype(np.float64)
    return np.array(pixels, dtype=pixels.dtype.newbyteorder("="), order="C")


def _standardized(name: str, pixels: Tensor, given: Tensor | None, no_data: str) -> Prepared:
    """Return what `prepare` does; a strip of rows at a time, in float64 whatever the image's range."""

    def read(strip: slice) -> tuple[np.ndarray, np.ndarray]:
        values = pixels[strip].double()
        counts = values.isfinite() if given is None else values.isfinite() & given[strip]
        return values.cpu().numpy(), counts.cpu().numpy()

    gaps = no_data_values(read, (int(pixels.shape[0]), int(pixels.shape[1])), no_data)
    if pixels.is_floating_point():  # -3.4028235e38 is what float32 makes of it
        gaps = tuple(float(torch.tensor(value, dtype=torch.float64).to(pixels.dtype)) for value in gaps)
    valid = torch.ones(pixels.shape, dtype=torch.bool, device=pixels.device) if given is None else given.clone()
    out = torch.empty(pixels.shape, dtype=torch.float32, device=pixels.device)
    rows = max(1, _AT_ONCE // pixels.shape[1])
    strips = [slice(row, row + rows) for row in range(0, pixels.shape[0], rows)]
    total, least, most = 0.0, math.inf, -math.inf
    for strip in strips:
        values = pixels[strip].double()
        valid[strip] &= values.isfinite()
        for value in gaps:
            valid[strip] &= values != value
        total += float(torch.where(valid[strip], values, 0).sum())
        least = min(least, float(torch.where(valid[strip], values, math.inf).min()))
        most = max(most, float(torch.where(valid[strip], values, -math.inf).max()))
    count = int(valid.sum())
    if count == 0:
        raise ContentError(f"{name}: expected valid pixels, found none that are finite and inside the mask")
    if least == most:
        raise ContentError(f"{name}: expected texture, found {count} valid pixels that are all equal")
    squares, scale = 0.0, most - least  # squares of numbers up to one do not overflow
    if not math.isfinite(scale + total):
        raise ContentError(f"{name}: expected values that float64 can add up, found {least:g} to {most:g}")
    for strip in strips:
        values = torch.where(valid[strip], (pixels[strip].double() - total / count) / scale, 0)
        squares += float(values.square().sum())
        out[strip] = values
    return Prepared(out.mul_(math.sqrt(count / squares))[None, None], valid, gaps)


def check_window(window: int, *masks: Tensor) -> None:
    """Raise `WindowError` where the window is larger than half the shorter side of any mask (H, W)."""
    most = min(min(mask.shape) for mask in masks) // 2
    if window > most:
        raise WindowError(
            f"--window: expected at most {most} pixels, half the shorter side of the smaller image, got {window}"
        )


def checked_init(init: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return ``init`` with a last entry of one, or raise `OptionError` where no fixed frame (H, W) can be mapped."""
    matrix = np.asarray(init, dtype=np.float64)
    if matrix.shape != (3, 3):
        raise OptionError(f"--init: expected a 3 x 3 matrix, got an array of shape {matrix.shape}")
    with np.errstate(all="ignore"):
        matrix = matrix / matrix[2, 2]
        usable = np.isfinite(matrix).all() and in_front(matrix, shape)
        usable = usable and np.abs(map_points(matrix, corners(shape))).max() < _FARTHEST
        usable = usable and np.linalg.svd(matrix[:2, :2], compute_uv=False).min() > _SMALLEST_SCALE
    if not usable:
        raise OptionError(
            "--init: expected an invertible matrix that takes every fixed pixel (x, y) to a moving one, not mirrored, "
            f"got {np.asarray(init).tolist()}"
        )
    return np.ascontiguousarray(matrix)
