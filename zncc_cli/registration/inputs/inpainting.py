"""Fill thin gaps in an image from the pixels on either side of them.

Every window and every smoothed pixel that touches an invalid pixel is lost. Where one pixel in a hundred is invalid,
scattered over the image, that is seven in ten windows of 11 x 11 pixels.

Legend: a gap is a run of invalid pixels along a row or a column; it is filled by the straight line between the two
valid pixels at its ends.
"""

from __future__ import annotations

from torch import Tensor

from zncc_cli.operators.filters import fill_gaps, rectangle, stack

_PASSES = 2  # the second for pixels where gaps cross


def inpaint(image: Tensor, mask: Tensor, longest: int) -> tuple[Tensor, Tensor]:
    """Fill the gaps of at most ``longest`` pixels along a row or a column.

    A gap that reaches the edge of the frame has only one end, and is not filled. Where a pixel lies in a short gap both
    ways, the two lines count by the inverse square of their lengths: a single pixel takes the mean of its four
    neighbours. Pixels where gaps along rows and along columns cross are filled last, from pixels filled before them.
    No pixel depends on pixels that are farther away than twice ``longest``.

    Args:
        image: (..., H, W) float; values outside the mask are not used.
        mask: (H, W) bool, valid pixels.
        longest: pixels.

    Returns:
        The image with its gaps filled, and the (H, W) mask of valid and filled pixels; image and mask themselves where
        there was nothing to fill.
    """
    usable, planes = mask, list(image.reshape(-1, *mask.shape))
    for _ in range(_PASSES):
        # Around a rectangle, and where there is none, no gap has two ends.
        if rectangle(usable) is not None:
            break
        filled = [fill_gaps(plane, usable, longest) for plane in planes]
        planes, usable = [plane for plane, _ in filled], filled[0][1]
    return image if usable is mask else stack(planes).view(image.shape), usable
