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
from zncc_cli.operators.fft import good_size
from zncc_cli.registration.metric.windows import window_variance
from zncc_cli.registration.warp import Sampler, coordinates, inside

# Side of a block, pixels of a level. Of 24, 32 and 48 pixels fewer decide and are independent: on 23 real pairs
# of different sensors small blocks told the place more surely.
BLOCK_PX = 16
_OTHER_PX, _MAX_OTHER_SHARE = 4.0, 0.9  # a shift that differs by more may agree by this share of the best, not by more
# Of the images' variance, added to that of a block: a block that varies by less is flat.
_FLOOR = 0.02
_BATCH = 512  # blocks at a time, which bounds memory


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


@dataclass(frozen=True, eq=False)
class BlockAgreement:
    """How well the blocks of a pair agree, whether they decide for a shift or not.

    Attributes:
        zncc: (N,), the best one in reach.
        contents: (N,), variance of what a block shows, summed over the channels: of the image that shows less there.
    """

    zncc: Tensor
    contents: Tensor


def block_shifts(fixed: Channels, moving: Channels, matrix: np.ndarray, reach: int, step: int) -> BlockShifts:
    """Return what the blocks decide for that lie with all their surroundings of ``reach`` pixels in both images.

    Args:
        fixed, moving: the images.
        matrix: (3, 3), fixed -> moving, pixels of these images.
        reach: the largest shift along an axis, pixels.
        step: blocks begin every so many pixels.
    """
    cut = _cut(fixed, moving, matrix, reach, step)
    if not len(cut.places):
        return BlockShifts(cut.blocks.new_empty(0, 2), cut.blocks.new_empty(0, 2))
    decided = [_decided(_surfaces(*cut.some(part)), reach) for part in cut.batches]
    decides, shifts = (torch.cat(parts) for parts in zip(*decided, strict=True))
    centres = cut.places.flip(1) * step + reach + (BLOCK_PX - 1) / 2
    return BlockShifts(centres.to(shifts)[decides], shifts[decides])


def block_agreement(fixed: Channels, moving: Channels, matrix: np.ndarray, reach: int, step: int) -> BlockAgreement:
    """Return how well the blocks agree at their best shift in reach; arguments as for `block_shifts`."""
    cut, best, contents = _cut(fixed, moving, matrix, reach, step), list[Tensor](), list[Tensor]()
    if not len(cut.places):
        return BlockAgreement(cut.blocks.new_empty(0), cut.blocks.new_empty(0))
    for part in cut.batches:
        blocks, regions, variance, floor = cut.some(part)
        best.append(_surfaces(blocks, regions, variance, floor).flatten(1).amax(dim=1))
        own = blocks.var(dim=(-2, -1), correction=0).sum(dim=0)
        contents.append(torch.minimum(own, variance[:, reach, reach]))
    return BlockAgreement(torch.cat(best), torch.cat(contents))


@dataclass(frozen=True, eq=False)
class _Cut:
    """Two images in blocks.

    Attributes:
        blocks: of the fixed image, (C, rows, columns, w, w).
        regions: of the aligned moving one, (C, rows, columns, w + 2 r, w + 2 r): what lies around each block.
        variances: (rows, columns, 2 r + 1, 2 r + 1), of the regions' parts, summed over the channels.
        floor: of a variance.
        places: (N, 2), row and column of the blocks whose surroundings lie in both images.
    """

    blocks: Tensor
    regions: Tensor
    variances: Tensor
    floor: float
    places: Tensor

    @property
    def batches(self) -> tuple[Tensor, ...]:
        """The places, some at a time."""
        batches: tuple[Tensor, ...] = self.places.split(_BATCH)
        return batches

    def some(self, places: Tensor) -> tuple[Tensor, Tensor, Tensor, float]:
        """Return what `_surfaces` takes, of some blocks."""
        row, column = places.unbind(dim=1)
        return self.blocks[:, row, column], self.regions[:, row, column], self.variances[row, column], self.floor


def _cut(fixed: Channels, moving: Channels, matrix: np.ndarray, reach: int, step: int) -> _Cut:
    shape, side = (fixed.mask.shape[0], fixed.mask.shape[1]), BLOCK_PX + 2 * reach
    pull = torch.from_numpy(matrix)
    warped, _ = Sampler(moving.image, Interpolation.LINEAR).warped(pull, shape)
    if min(shape) < side:
        empty = warped.new_empty(len(warped), 0, 0, side, side)
        windows = warped.new_empty(0, 0, 2 * reach + 1, 2 * reach + 1)
        nowhere = torch.empty(0, 2, dtype=torch.long, device=warped.device)
        return _Cut(empty[..., :BLOCK_PX, :BLOCK_PX], empty, windows, 0.0, nowhere)
    x, y = coordinates(pull.to(warped), shape)
    of_moving = None if bool(moving.mask.all()) else moving.mask
    valid = fixed.mask & inside(of_moving, (moving.mask.shape[0], moving.mask.shape[1]), x, y)
    places = (_parts((~valid).to(warped), side, step).amax(dim=(-2, -1)) == 0).nonzero()
    # Of the image: of a block alone it would follow what the image does not show.
    floor = float(_FLOOR * fixed.image[0][:, fixed.mask].var(dim=1).sum()) if len(places) else 0.0
    inner = fixed.image[0][:, reach : shape[0] - reach, reach : shape[1] - reach]
    variances = _parts(window_variance(warped, BLOCK_PX).clamp_min(0).sum(dim=0) / BLOCK_PX**2, 2 * reach + 1, step)
    return _Cut(_parts(inner, BLOCK_PX, step), _parts(warped, side, step), variances, floor, places)


def _decided(surfaces: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Return which blocks decide (N,), and the best shifts (N, 2) of all, from their ZNCC at all shifts (N, ., .)."""
    shift = torch.arange(-reach, reach + 1, dtype=surfaces.dtype, device=surfaces.device)
    y, x = (each.flatten() for each in torch.meshgrid(shift, shift, indexing="ij"))
    best, index = surfaces.flatten(1).max(dim=1)
    far = torch.hypot(y - y[index][:, None], x - x[index][:, None]) > _OTHER_PX
    other = surfaces.flatten(1).masked_fill(~far, -1).amax(dim=1)
    return (best > 0) & (other <= _MAX_OTHER_SHARE * best), torch.stack([x[index], y[index]], dim=1)


def _surfaces(blocks: Tensor, regions: Tensor, variance: Tensor, floor: float) -> Tensor:
    """Return the ZNCC of blocks at all shifts, (N, 2 r + 1, 2 r + 1) by y and x.

    Args:
        blocks: (C, N, w, w).
        regions: (C, N, w + 2 r, w + 2 r), what lies around each.
        variance: (N, 2 r + 1, 2 r + 1), of the regions' parts, summed over the channels.
        floor: added to the variance of both.
    """
    side, count = regions.shape[-1], variance.shape[-1]
    blocks = blocks - blocks.mean(dim=(-2, -1), keepdim=True)
    regions = regions - regions.mean(dim=(-2, -1), keepdim=True)
    padded = good_size(side), good_size(side)
    spectra = (torch.fft.rfft2(regions, s=padded) * torch.fft.rfft2(blocks, s=padded).conj()).sum(dim=0)
    covariance = torch.fft.irfft2(spectra, s=padded)[:, :count, :count] / BLOCK_PX**2
    own = blocks.square().mean(dim=(-2, -1)).sum(dim=0)[:, None, None]
    surfaces: Tensor = covariance / ((own + floor) * (variance + floor)).sqrt()
    return surfaces


def _parts(planes: Tensor, side: int, step: int) -> Tensor:
    """Return the squares (..., rows, columns, side, side) of planes (..., H, W) that begin every ``step`` pixels."""
    return planes.unfold(-2, side, step).unfold(-2, side, step)
