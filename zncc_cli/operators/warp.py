"""Values of an image at the pixels of another frame, by the native kernels of the CPU. Formulas: csrc/cpu/warp.h.

Knots are the pixels themselves (degree 1, bilinear) or those of the cubic spline through them (degree 3); matrices act
on (x, y, 1) in pixels, the centre of the top left pixel is (0, 0).
"""

from __future__ import annotations

import torch

from zncc_cli.operators import native_ops

Box = tuple[int, int, int, int]  # left, top, right, bottom: columns and rows of pixels
LANCZOS = -3  # in place of a spline's degree: Lanczos's windowed sines of three pixels
Place = tuple[int, int]  # column, row: where the first pixel of a part lies in the whole


def has_warp(image: torch.Tensor) -> bool:
    """Return whether there are native kernels for the image's device."""
    return image.is_cpu and native_ops.is_native(image)


def warp(
    knots: torch.Tensor, matrix: torch.Tensor, shape: tuple[int, int], degree: int, box: Box
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the values (C, H, W) at the pixels of a frame, and the depth of each inside a box, (H, W).

    Args:
        knots: (C, Hm, Wm) float32 or float64, on the CPU; mirrored at their edges.
        matrix: (3, 3) float64, frame -> knots.
        shape: (H, W) of the frame.
        degree: 1 or 3.
        box: the outermost columns and rows of the knots that count.

    Returns:
        The values, NaN where a coordinate is not finite, and the depth: 0 on the box and outside it, 1 from a pixel
        further in.
    """
    return warp_part(knots, matrix, shape, degree, box, (0, 0), (0, 0))


def warp_part(
    knots: torch.Tensor,
    matrix: torch.Tensor,
    shape: tuple[int, int],
    degree: int,
    box: Box,
    frame_at: Place,
    knots_at: Place,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the values and the depth of `warp` at a part of a frame, from a part of the knots.

    The matrix and the box refer to the whole frame and the whole knots; the results do not depend on the parts, to the
    bit, as long as the part of the knots holds all that the values are interpolated from.
    ``degree`` may be `LANCZOS` as well.
    """
    values, depth = knots.new_empty((knots.shape[0], *shape)), knots.new_empty(shape)
    torch.ops.zncc.warp(knots.contiguous(), matrix.contiguous(), degree, *box, *frame_at, *knots_at, values, depth)
    return values, depth


def weighted_sums(planes: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the sum over j, i in [-n, n] of weights[|j|] weights[|i|] times the pixel (j, i) away.

    Args:
        planes: (C, H + 2 n, W + 2 n) float64.
        weights: (n + 1,) float64.

    Returns:
        (C, H, W). A pixel is the same sum in the same order, bit for bit, whatever part of a larger plane this is.
    """
    reach = len(weights) - 1
    if has_warp(planes):
        out = planes.new_empty((planes.shape[0], planes.shape[1] - 2 * reach, planes.shape[2] - 2 * reach))
        torch.ops.zncc.weighted_sums(planes.contiguous(), weights, out)
        return out
    for axis in (-2, -1):
        count = planes.shape[axis] - 2 * reach
        sums = planes.narrow(axis, reach, count) * weights[0]
        for k in range(1, reach + 1):
            # Not add_(alpha=...): that rounds once or twice, depending on where in memory a pixel lies.
            sums += (planes.narrow(axis, reach - k, count) + planes.narrow(axis, reach + k, count)) * weights[k]
        planes = sums
    return planes


def spline_knots(planes: torch.Tensor) -> torch.Tensor:
    """Return the knots of the cubic spline through planes (C, H, W) that are mirrored at their edges."""
    knots = torch.empty_like(planes, memory_format=torch.contiguous_format)
    torch.ops.zncc.spline_knots(planes.contiguous(), knots)
    return knots
