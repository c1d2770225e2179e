"""The blocks of an image, each compared with another image at all shifts around the place where a transform puts it.

A block decides for its best shift where no other shift is nearly as good: an edge, which looks alike all along, decides
nothing, nor does flat ground. An image may have several channels; the ZNCC is that of all of them together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.registration.metric.windows import window_variance
from zncc_cli.registration.warp import Sampler, coordinates, inside

BLOCK_PX = 32  # side of a block, pixels of a level
_OTHER_PX, _MAX_OTHER_SHARE = 4.0, 0.9  # a shift that differs by more may agree by this share of the best, not by more
# Of the images' variance, added to that of a block: a block that varies by less is flat.
_FLOOR = 0.02


@dataclass(frozen=True, eq=False)
class BlockShifts:
    """What blocks decide for.

    Attributes:
        centres: (N, 2), (x, y) pixels of the fixed image, of the blocks that decide.
        shifts: (N, 2), (dx, dy): where the aligned image shows a block best, less where the block lies.
    """

    centres: Tensor
    shifts: Tensor


@dataclass(frozen=True, eq=False)
class Channels:
    """An image of one or more channels.

    Attributes:
        image: (1, C, H, W) float.
        mask: (H, W) bool, valid pixels.
    """

    image: Tensor
    mask: Tensor


def block_shifts(fixed: Channels, moving: Channels, matrix: np.ndarray, reach: int, step: int) -> BlockShifts:
    """Return what the blocks decide for that lie with all their surroundings of ``reach`` pixels in both images.

    Args:
        fixed, moving: the images.
        matrix: (3, 3), fixed -> moving, pixels of these images.
        reach: the largest shift along an axis, pixels.
        step: blocks begin every so many pixels.
    """
    surfaces, centres = _surfaces(fixed, moving, matrix, reach, step)
    shift = torch.arange(-reach, reach + 1, dtype=surfaces.dtype, device=surfaces.device)
    y, x = (each.flatten() for each in torch.meshgrid(shift, shift, indexing="ij"))
    if not len(surfaces):
        return BlockShifts(centres, centres)
    best, index = surfaces.flatten(1).max(dim=1)
    far = torch.hypot(y - y[index][:, None], x - x[index][:, None]) > _OTHER_PX
    other = surfaces.flatten(1).masked_fill(~far, -1).amax(dim=1)
    decides = (best > 0) & (other <= _MAX_OTHER_SHARE * best)
    index = index[decides]
    return BlockShifts(centres[decides], torch.stack([x[index], y[index]], dim=1))


def _surfaces(fixed: Channels, moving: Channels, matrix: np.ndarray, reach: int, step: int) -> tuple[Tensor, Tensor]:
    """Return the ZNCC of every block at all shifts, (N, 2 r + 1, 2 r + 1) by y and x, and their centres (N, 2)."""
    shape, side, count = (fixed.mask.shape[0], fixed.mask.shape[1]), BLOCK_PX + 2 * reach, 2 * reach + 1
    pull = torch.from_numpy(matrix)
    warped, _ = Sampler(moving.image, Interpolation.LINEAR).warped(pull, shape)
    x, y = coordinates(pull.to(warped), shape)
    of_moving = None if bool(moving.mask.all()) else moving.mask
    valid = fixed.mask & inside(of_moving, (moving.mask.shape[0], moving.mask.shape[1]), x, y)
    rows, columns = (axis.nonzero()[:, 0].tolist() or [0] for axis in (valid.any(dim=1), valid.any(dim=0)))
    part = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    f, m, outside = fixed.image[0][:, *part], warped[:, *part], (~valid)[part].to(warped)
    nothing = f.new_empty(0, count, count), f.new_empty(0, 2)
    if min(outside.shape) < side:
        return nothing
    whole = _parts(outside[None], side, step)[0].amax(dim=(-2, -1)) == 0
    places = whole.nonzero()
    if not len(places):
        return nothing
    # The variance of the images: of one alone it would follow what the other one does not show.
    floor = _FLOOR * fixed.image[0][:, fixed.mask].var(dim=1).sum()
    blocks = _parts(f[:, reach:-reach, reach:-reach], BLOCK_PX, step)[:, whole]
    regions = _parts(m, side, step)[:, whole]
    variance = _parts(window_variance(m, BLOCK_PX) / BLOCK_PX**2, count, step)[:, whole].clamp_min(0).sum(dim=0)
    blocks = blocks - blocks.mean(dim=(-2, -1), keepdim=True)
    regions = regions - regions.mean(dim=(-2, -1), keepdim=True)
    spectra = (torch.fft.rfft2(regions) * torch.fft.rfft2(blocks, s=(side, side)).conj()).sum(dim=0)
    covariance = torch.fft.irfft2(spectra, s=(side, side))[:, :count, :count] / BLOCK_PX**2
    own = blocks.square().mean(dim=(-2, -1)).sum(dim=0)[:, None, None]
    first = torch.tensor([columns[0], rows[0]], device=f.device)
    centres = first + places.flip(1) * step + reach + (BLOCK_PX - 1) / 2
    return covariance / ((own + floor) * (variance + floor)).sqrt(), centres


def _parts(planes: Tensor, side: int, step: int) -> Tensor:
    """Return the squares (C, rows, columns, side, side) of planes (C, H, W) that begin every ``step`` pixels."""
    return planes.unfold(-2, side, step).unfold(-2, side, step)
