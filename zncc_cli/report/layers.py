"""Both images of a pair on one frame, and the pictures by which they are compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.report.grey import Limits, block_means, grey_levels, robust_limits

BACKGROUND = 40  # grey value; neither magenta nor green, and darker than most of what both images show


@dataclass(frozen=True, kw_only=True, eq=False)
class Layers:
    """Both images of a pair on one frame, (H, W): the fixed image's, or one reduced from it.

    Attributes:
        fixed: grey values of the fixed image, NaN where it has no value.
        before, after: grey values of the moving image on this frame, unmoved and moved by the transform; negated if the
            contrast is inverted, since they were compared so.
        valid_before, valid_after: bool, where these have a value.
        alone: whether the overlays show pixels that only one image has, in its colour; by default they are dark grey.
    """

    fixed: NDArray[Any]
    before: NDArray[Any]
    after: NDArray[Any]
    valid_before: NDArray[np.bool_]
    valid_after: NDArray[np.bool_]
    alone: bool = False

    def __post_init__(self) -> None:
        planes = (self.before, self.after, self.valid_before, self.valid_after)
        assert self.fixed.ndim == 2, "pictures are grey"
        assert self.fixed.size, "pictures have pixels"
        assert all(plane.shape == self.fixed.shape for plane in planes), "one frame for all"

    @cached_property
    def fixed_known(self) -> NDArray[np.bool_]:
        """Where the fixed image has a value, (H, W)."""
        known: NDArray[np.bool_] = np.isfinite(self.fixed)
        return known

    @cached_property
    def before_known(self) -> NDArray[np.bool_]:
        """Where the unmoved image has a value, (H, W)."""
        known: NDArray[np.bool_] = self.valid_before & np.isfinite(self.before)
        return known

    @cached_property
    def after_known(self) -> NDArray[np.bool_]:
        """Where the moved image has a value, (H, W)."""
        known: NDArray[np.bool_] = self.valid_after & np.isfinite(self.after)
        return known

    @cached_property
    def shared_after(self) -> NDArray[np.bool_]:
        """Where both images have a value after the alignment, (H, W)."""
        return self.after_known & self.fixed_known

    def reduced(self, max_side: int) -> Layers:
        """Return these images by means of blocks, at most ``max_side`` pixels of width and height."""
        factor = math.ceil(max(self.fixed.shape) / max_side)
        if factor <= 1:
            return self
        fixed, _ = block_means(self.fixed, self.fixed_known, factor)
        before, valid_before = block_means(self.before, self.before_known, factor)
        after, valid_after = block_means(self.after, self.after_known, factor)
        return Layers(
            fixed=fixed,
            before=before,
            after=after,
            valid_before=valid_before,
            valid_after=valid_after,
            alone=self.alone,
        )

    @cached_property
    def views(self) -> dict[str, NDArray[np.uint8]]:
        """The pictures by name: "fixed", "before" and "after" in grey, (H, W); two overlays in colours, (H, W, 3).

        "overlay-before" and "overlay-after" show the fixed image in magenta and the moving image in green: grey where
        they agree. An image has the same contrast in all pictures: it is stretched between its 0.5 and 99.5 percentiles
        over the pixels that both images have after the alignment; without such pixels, before the alignment; else over
        all that it has.
        """
        fixed_limits, moving_limits = self._limits()
        fixed = grey_levels(self.fixed, self.fixed_known, fixed_limits)
        pictures = {"fixed": _on_background(fixed, self.fixed_known)}
        for name, values, known in (
            ("before", self.before, self.before_known),
            ("after", self.after, self.after_known),
        ):
            moving = grey_levels(values, known, moving_limits)
            pictures[name] = _on_background(moving, known)
            pictures[f"overlay-{name}"] = self._overlay(fixed, moving, known)
        return pictures

    def _limits(self) -> tuple[Limits, Limits]:
        """Return the limits of the contrast of the fixed and of the moving image, see `views`."""
        shared = self.shared_after
        if shared.any():
            return robust_limits(self.fixed, shared), robust_limits(self.after, shared)
        shared = self.before_known & self.fixed_known
        if shared.any():
            return robust_limits(self.fixed, shared), robust_limits(self.before, shared)
        moving = robust_limits(self.before, self.before_known)
        return robust_limits(self.fixed, self.fixed_known), moving

    def _overlay(
        self, fixed: NDArray[np.uint8], moving: NDArray[np.uint8], moving_known: NDArray[np.bool_]
    ) -> NDArray[np.uint8]:
        """Return the fixed and the moving image's levels, (H, W) each, as colours, (H, W, 3)."""
        drawn = self.fixed_known | moving_known if self.alone else self.fixed_known & moving_known
        colours = np.empty((*fixed.shape, 3), np.uint8)
        colours[..., 0] = colours[..., 2] = _on_background(fixed, drawn)
        colours[..., 1] = _on_background(moving, drawn)
        return colours


def _on_background(levels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``levels`` (H, W) with the background where not known (H, W)."""
    return levels if known.all() else np.where(known, levels, np.uint8(BACKGROUND))
