"""Pairs for a batch, cheap to draw in large numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from benchmarks.common.blur import gaussian_blur
from zncc_cli.config import Interpolation
from zncc_cli.registration.resampling.resample import array_reader, resample

_MARGIN_PX = 32
_SCENE_SIGMA_PX = 1.5


def draw(folder: Path, count: int, side: int) -> None:
    """Write ``count`` pairs of 16-bit images: smooth noise, turned by up to 2 degrees and shifted by up to 5 px."""
    folder.mkdir(parents=True, exist_ok=True)
    scene_side = side + 2 * _MARGIN_PX
    frame = slice(_MARGIN_PX, _MARGIN_PX + side)
    for number in range(count):
        random = np.random.default_rng(number)
        noise = random.normal(size=(scene_side, scene_side))
        scene = gaussian_blur(np.pad(noise, round(4 * _SCENE_SIGMA_PX), mode="symmetric"), _SCENE_SIGMA_PX)
        scene = (scene - scene.min()) / np.ptp(scene) * 40000 + 5000
        angle, (dy, dx) = random.uniform(-0.035, 0.035), random.uniform(-5, 5, 2)
        cos, sin, centre = np.cos(angle), np.sin(angle), scene_side / 2
        # Fixed -> moving, (x, y) pixels: a turn about the centre, then the shift.
        matrix = np.array([[cos, sin, centre + dx], [-sin, cos, centre + dy], [0, 0, 1]])
        matrix[:2, 2] -= matrix[:2, :2] @ (centre, centre)
        rows = columns = range(scene_side)
        reader = array_reader(scene, np.ones(scene.shape, dtype=bool))
        moved, _ = resample(reader, scene.shape, matrix, rows, columns, Interpolation.LINEAR)
        for name, image in (("fixed", scene), ("moving", moved)):
            noisy = image[frame, frame] + random.normal(0, 200, (side, side))
            tifffile.imwrite(folder / f"p{number:04}_{name}.tif", np.clip(noisy, 0, 65535).astype(np.uint16))
