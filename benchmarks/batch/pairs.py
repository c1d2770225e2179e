"""Pairs to align, many and cheap to draw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import affine_transform, gaussian_filter

_MARGIN = 32


def draw(folder: Path, count: int, side: int) -> None:
    """Write ``count`` pairs of 16-bit images: smooth noise, turned by up to 2 degrees and shifted by up to 5 px."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = side + 2 * _MARGIN
    frame = slice(_MARGIN, _MARGIN + side)
    for number in range(count):
        random = np.random.default_rng(number)
        scene = gaussian_filter(random.normal(size=(whole, whole)), 1.5)
        scene = (scene - scene.min()) / np.ptp(scene) * 40000 + 5000
        angle, shift = random.uniform(-0.035, 0.035), random.uniform(-5, 5, 2)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        centre = np.full(2, whole / 2)
        moved = affine_transform(scene, turn, offset=centre - turn @ centre + shift, order=1)
        for name, image in (("fixed", scene), ("moving", moved)):
            noisy = image[frame, frame] + random.normal(0, 200, (side, side))
            tifffile.imwrite(folder / f"p{number:04}_{name}.tif", np.clip(noisy, 0, 65535).astype(np.uint16))
