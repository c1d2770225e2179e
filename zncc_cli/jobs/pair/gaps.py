"""Thin gaps of an image filled, for the maps and the pictures of a pair as for its registration."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from zncc_cli.registration.inputs.inpainting import inpaint


def filled_gaps(
    grey: NDArray[np.float32], valid: NDArray[np.bool_], window: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return grey values (H, W) with gaps filled that are no longer than ``window``, and which of them count then."""
    if not has_gaps(valid):
        return grey, valid
    filled, usable = inpaint(torch.from_numpy(grey), torch.from_numpy(valid), window)
    return filled.numpy(), usable.numpy()


def has_gaps(valid: NDArray[np.bool_]) -> bool:
    """Tell whether any row or column of ``valid`` (H, W) is interrupted: set, then not, then set again.

    The frame of a moving image, wherever a transform puts it, is convex and is not.
    """
    if valid.all():
        return False
    for lines in (valid, valid.T):
        begins = np.count_nonzero(lines[:, 1:] > lines[:, :-1], axis=1) + lines[:, 0]
        if (begins > 1).any():
            return True
    return False
