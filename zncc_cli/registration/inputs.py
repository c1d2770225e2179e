"""What a registration is given: images put in order, and what cannot be used refused in words."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.registration.warp import corners, in_front, map_points

SMALLEST_IMAGE = 16  # pixels on the shorter side; below it no window has room to move
_SMALLEST_SCALE = 1e-3  # of --init: below it a whole frame falls on a pixel or two
_FARTHEST = 1e7  # pixels; float32 knows no coordinate beyond to a pixel


def prepare(
    name: str, image: np.ndarray | Tensor, mask: np.ndarray | Tensor | None, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the image as (1, 1, H, W) float32 of mean zero and variance one over its (H, W) bool mask."""
    # A copy of its own, in native byte order and without negative strides, is what torch takes.
    pixels = image if isinstance(image, Tensor) else torch.from_numpy(np.array(image, dtype=np.float64))
    if pixels.ndim != 2:
        raise OptionError(f"{name}: expected a grey image (H, W), got an array of shape {tuple(pixels.shape)}")
    if min(pixels.shape) < SMALLEST_IMAGE:
        raise ContentError(
            f"{name}: expected at least {SMALLEST_IMAGE} x {SMALLEST_IMAGE} pixels, "
            f"found {pixels.shape[1]} x {pixels.shape[0]}; there is nothing to align in so small an image"
        )
    pixels = pixels.to(device, torch.float64)
    valid = pixels.isfinite()
    if mask is not None:
        given = (mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(np.asarray(mask) > 0))).to(device) > 0
        if given.shape != valid.shape:
            raise OptionError(
                f"{name} mask: expected the image's own {valid.shape[1]} x {valid.shape[0]} pixels, "
                f"got {given.shape[-1]} x {given.shape[0]}"
            )
        valid &= given
    count = int(valid.sum())
    if count == 0:
        raise ContentError(f"{name}: expected valid pixels, found none that are finite and inside the mask")
    if bool(pixels[valid].min() == pixels[valid].max()):
        raise ContentError(f"{name}: expected texture, found {count} valid pixels that are all equal")
    pixels = torch.where(valid, pixels, 0)
    pixels = torch.where(valid, pixels - pixels.sum() / count, 0)
    return (pixels / (pixels.square().sum() / count).sqrt()).float()[None, None], valid


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
