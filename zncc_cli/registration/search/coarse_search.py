"""All shifts of an image, turned by many angles, over another one on a coarse grid.

Everywhere the ZNCC is only estimated; the few shifts with the highest estimates are scored exactly.

The images are free of shading, so that the mean of an overlap is near zero and the covariance is the plain sum of
products, by one FFT back and forth. The sums that normalise it, over masks, hardly change from one shift to the next:
they are taken from means over blocks, with a quarter of the pixels. An image turned by a quarter turn more is the
same pixels in another order.

Legend: a the image on the grid, b the one that is turned and shrunk over it; w their masks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from zncc_cli.config import Interpolation
from zncc_cli.operators.fft import good_size
from zncc_cli.registration.pyramid import Level
from zncc_cli.registration.search.masked_zncc import significance
from zncc_cli.registration.search.motion_bound import Discs
from zncc_cli.registration.warp import Sampler, corners

_BLOCK_PX = 2  # grid pixels; the side of the blocks whose means normalise
_BLOCKS = 4  # along the side of a square of blocks, of whose shifts only the best is kept
_PEAKS = 4  # squares that are kept of each linear part
_BATCH_PIXELS = 2**19  # grid pixels of one batch of linear parts, which bounds memory
_SCORED_PIXELS = 2**16  # grid pixels of one batch of shifts that are scored
_FFT_MULTIPLE = 8  # of the lengths of FFTs: those with more twos take the least time
# Of the least overlap, at the middle of a block whose shifts are proposed: at another shift the overlap may be larger.
_OVERLAP_SLACK = 0.75
_VALID = 1 - 1e-5  # a mask sampled to more than this was interpolated from valid pixels only


@dataclass(frozen=True)
class Proposal:
    """A place that agrees by estimate.

    Attributes:
        score: the estimated significance, of either contrast.
        from_canvas: (3, 3), pixels of the canvas of the turned image -> full-resolution pixels of b.
        dx, dy: the shift, canvas(x + dx, y + dy) lying on the grid's (x, y).
        min_pixels: the least overlap, grid pixels.
    """

    score: float
    from_canvas: np.ndarray
    dx: int
    dy: int
    min_pixels: float

    @property
    def matrix(self) -> np.ndarray:
        """(3, 3), pixels of the grid of a -> full-resolution pixels of b."""
        return np.asarray(self.from_canvas @ shift(self.dx, self.dy))


class CoarseSearch:
    """The search for where one image agrees with another one that is turned and shrunk.

    Args:
        still, turning: the levels of a and b, free of shading, zero outside their masks.
        shapes: (H, W) of a and of b, full-resolution pixels.
        spacing: full-resolution pixels of a and of b per grid pixel.
    """

    def __init__(
        self,
        still: Level,
        turning: Level,
        shapes: tuple[tuple[int, int], tuple[int, int]],
        spacing: tuple[float, float],
    ) -> None:
        self._turning, self._shape, self._spacing = turning, shapes[1], spacing
        height, width = (math.ceil(n / spacing[0]) for n in shapes[0])
        self._a, self._aw = (plane[0] for plane in _sampled(still, [scaling(spacing[0])], (height, width)))
        # The norm below which a ratio is rounding.
        energy = self._a.square().sum() * turning.image.square().sum() * (turning.factor / spacing[1]) ** 2
        self._rounding = 100 * torch.finfo(energy.dtype).eps * energy.sqrt()
        self._spectra: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

    def propose(
        self, angles: list[float], min_overlap: float, shifts: Callable[[np.ndarray, float], Discs] | None
    ) -> list[Proposal]:
        """Return the shifts with the highest estimates of each linear part.

        Args:
            angles: of the first quarter turn, each of which stands for four; or zero alone, which stands for itself.
            min_overlap: least share of the smaller image in the overlap.
            shifts: from_canvas (3, 3), spacing of a -> the shifts that are searched; None for all.
        """
        quarters = 4 if len(angles) > 1 else 1
        # The canvas of the turned image is centred on its centre, and as wide as its diagonal if it is turned.
        extent = math.hypot(*self._shape) if quarters > 1 else max(self._shape)
        side = math.ceil(extent / self._spacing[1] / _BLOCK_PX) * _BLOCK_PX
        centre, uncentred = shift(*corners(self._shape).mean(axis=0)), shift(-(side - 1) / 2, -(side - 1) / 2)
        height, width = self._a.shape
        batch = max(1, _BATCH_PIXELS // ((height + side) * (width + side) * quarters))
        proposals = list[Proposal]()
        for first in range(0, len(angles), batch):
            # A quarter turn's angles side by side, so that the turned planes follow in the order of the matrices.
            turns = [angle + k * math.pi / 2 for k in range(quarters) for angle in angles[first : first + batch]]
            matrices = [centre @ scaling(self._spacing[1], angle) @ uncentred for angle in turns]
            discs = None if shifts is None else [shifts(matrix, self._spacing[0]) for matrix in matrices]
            if discs is None or any(disc.meet for disc in discs):
                proposals += self._of_batch(matrices, quarters, side, min_overlap, discs)
        return proposals

    def score(self, proposals: list[Proposal]) -> list[tuple[float, np.ndarray]]:
        """Return the exact significance at the best shift within a pixel of each proposal, and the matrix of that.

        It is negative for an inverted contrast, and zero where the overlap is too small. The matrices (3, 3) go from
        grid pixels of a to full-resolution pixels of b.
        """
        best = list[tuple[float, np.ndarray]]()
        (height, width), batch = self._a.shape, max(1, _SCORED_PIXELS // self._a.numel())
        for first in range(0, len(proposals), batch):
            some = proposals[first : first + batch]
            matrices = [each.matrix @ shift(-1, -1) for each in some]
            b, bw = _sampled(self._turning, matrices, (height + 2, width + 2))
            min_pixels = torch.tensor([each.min_pixels for each in some]).to(self._a)
            near = [(dx, dy) for dy in range(3) for dx in range(3)]
            parts = [(slice(None), slice(dy, dy + height), slice(dx, dx + width)) for dx, dy in near]
            scores = torch.stack([self._significance(b[part], bw[part], min_pixels) for part in parts])
            places = scores.abs().argmax(0)
            values = scores.gather(0, places[None])[0]
            best += [
                (value, matrix @ shift(*near[place]))
                for value, matrix, place in zip(values.tolist(), matrices, places.tolist(), strict=True)
            ]
        return best

    def _significance(self, b: Tensor, bw: Tensor, min_pixels: Tensor) -> Tensor:
        """Return the significance (n,) of images and masks (n, H, W) that lie on the whole grid of a."""
        w = (bw * self._aw).flatten(1)
        a, b = self._a.flatten(), b.flatten(1) * w
        aw = w * a
        count, sum_a, sum_b = w.sum(1), aw.sum(1), b.sum(1)
        n = count.clamp_min(1)
        cov = (b * a).sum(1) - sum_a * sum_b / n
        var_a = ((aw * a).sum(1) - sum_a.square() / n).clamp_min(0)
        var_b = ((b * b).sum(1) - sum_b.square() / n).clamp_min(0)
        norm = (var_a * var_b).sqrt()
        zncc = torch.where((count >= min_pixels) & (norm > self._rounding), cov / norm, 0)
        return significance(zncc, count)

    def _of_batch(
        self, matrices: list[np.ndarray], quarters: int, side: int, min_overlap: float, discs: list[Discs] | None
    ) -> list[Proposal]:
        """Return the proposals of the linear parts from_canvas ``matrices``, of one or four quarter turns."""
        b, bw = _sampled(self._turning, matrices[: len(matrices) // quarters], (side, side))
        min_pixels = min_overlap * bw.sum((1, 2)).clamp_max(self._aw.sum())
        means = F.avg_pool2d(torch.stack((bw, b.square(), bw), 1), _BLOCK_PX)
        padded = self._padded(means[:, 0] * _BLOCK_PX**2, _OVERLAP_SLACK * min_pixels)
        coarse = [n // _BLOCK_PX for n in padded]
        a_spectrum, sums_spectra = self._spectra_of(padded)
        cov = torch.fft.irfft2(_spectrum(_turned(b, quarters), padded).mul_(a_spectrum), s=padded).abs_()
        if discs is not None:
            down, across = (_signed(np.arange(n), side, n) for n in padded)
            held = np.stack([disc.hold(across[None], down[:, None]) for disc in discs])
            cov *= torch.from_numpy(held).to(cov.device)
        # Sums over the overlap: of the squares of a, of those of b, and of ones.
        sums = torch.fft.irfft2(_spectrum(_turned(means, quarters), coarse).mul_(sums_spectra), s=coarse)
        count, norm = sums[:, 2], (sums[:, 0].clamp_min(0) * sums[:, 1].clamp_min(0)).sqrt_()
        blocks = cov.unflatten(1, (coarse[0], _BLOCK_PX)).unflatten(3, (coarse[1], _BLOCK_PX))
        tops, min_pixels = blocks.amax(2).amax(3), min_pixels.repeat(quarters)
        enough = (count >= _OVERLAP_SLACK * min_pixels[:, None, None]) & (norm > self._rounding)
        score = significance(torch.where(enough, tops / norm, 0), count.clamp_min(1))
        best, where = F.max_pool2d(score, _BLOCKS, ceil_mode=True, return_indices=True)
        values, squares = best.flatten(1).topk(min(_PEAKS, best[0].numel()))
        where = where.flatten(1).gather(1, squares)
        row, column = where // coarse[1], where % coarse[1]
        inner = blocks[torch.arange(len(cov), device=b.device)[:, None], row, :, column, :].flatten(2).argmax(-1)
        dy = _signed((row * _BLOCK_PX + inner // _BLOCK_PX).cpu().numpy(), side, padded[0])
        dx = _signed((column * _BLOCK_PX + inner % _BLOCK_PX).cpu().numpy(), side, padded[1])
        return [
            Proposal(value, matrix, x, y, pixels)
            for matrix, pixels, *peaks in zip(
                matrices, min_pixels.tolist(), values.tolist(), dx.tolist(), dy.tolist(), strict=True
            )
            for value, x, y in zip(*peaks, strict=True)
            if value > 0
        ]

    def _padded(self, blocks: Tensor, least: Tensor) -> list[int]:
        """Return the lengths of FFTs at which no shift with ``least`` (n,) pixels of overlap or more wraps around.

        Of a shift by so much that only the first or the last columns of b lie on a, the overlap is at most the sum of
        those columns' pixels. Columns that are too few for ``least`` need no place beside a: longer shifts may wrap.

        ``blocks``: (n, H, W) valid pixels of b in each block, of canvases before any quarter turn.
        """
        across = max(self._a.shape) * _BLOCK_PX
        lines = torch.stack([lines for d in (1, 2) for lines in (blocks.sum(d), blocks.sum(d).flip(1))])
        too_few = int((lines.clamp_max(across).cumsum(2) < least[:, None]).sum(2).min())
        side = blocks.shape[-1]
        counts = (math.ceil(n / _BLOCK_PX) for n in self._a.shape)
        blocks_needed = [max(count + side - too_few, side, count + 1) for count in counts]
        return [_FFT_MULTIPLE * good_size(math.ceil(n * _BLOCK_PX / _FFT_MULTIPLE)) for n in blocks_needed]

    def _spectra_of(self, padded: list[int]) -> tuple[Tensor, Tensor]:
        """Return the conjugate spectra of a and, from sums over blocks, of its squares, its mask and its mask."""
        key = padded[0], padded[1]
        if key not in self._spectra:
            planes = torch.stack((self._a.square(), self._aw, self._aw))
            # Half a block before the first pixel, so that a shift by blocks stands for the middle of a block of shifts.
            right, below = (-n % _BLOCK_PX + _BLOCK_PX // 2 for n in reversed(self._a.shape))
            around = _BLOCK_PX // 2, right, _BLOCK_PX // 2, below
            sums = F.avg_pool2d(F.pad(planes, around), _BLOCK_PX, divisor_override=1)
            coarse = [n // _BLOCK_PX for n in padded]
            self._spectra[key] = _spectrum(self._a, padded).conj_physical(), _spectrum(sums, coarse).conj_physical()
        return self._spectra[key]


def _turned(planes: Tensor, quarters: int) -> Tensor:
    """Return ``planes`` (n, ..., H, H) turned by no, one, ... quarter turns, (n * quarters, ..., H, H)."""
    return torch.cat([planes.rot90(k, (-2, -1)) for k in range(quarters)]) if quarters > 1 else planes


def _spectrum(planes: Tensor, padded: list[int]) -> Tensor:
    out: Tensor = torch.fft.rfft2(planes, s=padded)
    return out


def _signed(place: np.ndarray, side: int, length: int) -> np.ndarray:
    """Return the shifts at entries ``place`` of an axis of ``length``: from the canvas's ``side`` on, negative ones."""
    return np.where(place < side, place, place - length)


def _sampled(level: Level, matrices: list[np.ndarray], shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Return image and mask, (n, H, W) float, on canvases of (H, W); matrices: canvas -> full-resolution pixels."""
    image = torch.cat((level.image, level.mask[None, None].to(level.image)), 1)
    sampler, to_level = Sampler(image, Interpolation.LINEAR), scaling(1 / level.factor)
    drawn = [sampler.warped(torch.from_numpy(to_level @ matrix), shape) for matrix in matrices]
    values, edge_weight = (torch.stack(planes) for planes in zip(*drawn, strict=True))
    mask = (edge_weight > 0) & (values[:, 1] > _VALID)
    return torch.where(mask, values[:, 0], 0), mask.to(image)


def scaling(scale: float, angle: float = 0.0) -> np.ndarray:
    """Return the matrix (3, 3) that scales and turns about the first pixel."""
    c, s = scale * math.cos(angle), scale * math.sin(angle)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def shift(dx: float, dy: float) -> np.ndarray:
    """Return the matrix (3, 3) that shifts."""
    return np.array([[1, 0, dx], [0, 1, dy], [0, 0, 1]], dtype=np.float64)
