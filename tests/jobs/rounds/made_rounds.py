"""A made set of rounds: one scene under several stains, moved from round to round, as OME-TIFFs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

SHAPE = (240, 280)
PIXEL_UM = 0.325


def waves(seed: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A random texture, mean 0 and variance about 1, at any places: it is exact between pixels."""
    random = np.random.default_rng(seed)
    angle, wavelength, phase = (random.uniform(*span, 60) for span in ((0, 2 * np.pi), (6, 30), (0, 2 * np.pi)))
    values = np.zeros(np.broadcast(x, y).shape)
    for a, b, length, start in zip(np.cos(angle), np.sin(angle), wavelength, phase, strict=True):
        values += np.cos(2 * np.pi / length * (a * x + b * y) + start)
    return values / np.sqrt(30)


def matrix(angle: float, scale: float, dx: float, dy: float) -> np.ndarray:
    """A similarity about the middle of the frame, fixed -> moving, (x, y) pixels."""
    middle = np.array([SHAPE[1] - 1, SHAPE[0] - 1]) / 2
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    out = np.eye(3)
    out[:2, :2], out[:2, 2] = linear, middle - linear @ middle + [dx, dy]
    return out


MOTIONS = (
    np.eye(3),
    matrix(0.004, 1.0, 5.3, -3.6),
    matrix(-0.006, 1.001, -7.25, 2.4),
    matrix(0.01, 0.999, 3.1, 9.7),
)


@dataclass(frozen=True)
class MadeRound:
    """A round: its file, the names of its channels and its pixels (C, H, W)."""

    path: Path
    names: tuple[str, ...]
    pixels: np.ndarray


def channel(seed: int, motion: np.ndarray, noise_seed: int) -> np.ndarray:
    """The texture ``seed`` as a round of a motion (fixed -> round) shows it, uint16 with noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    back = np.linalg.inv(motion)
    fixed_x, fixed_y = (back[row, 0] * x + back[row, 1] * y + back[row, 2] for row in (0, 1))
    noise = np.random.default_rng(noise_seed).normal(0, 40, SHAPE)
    return np.rint(8000 + 1500 * waves(seed, fixed_x, fixed_y) + noise).astype(np.uint16)


def save_rounds(
    folder: Path, count: int = 4, stains: int = 4, motions: tuple[np.ndarray, ...] = MOTIONS
) -> list[MadeRound]:
    """Write rounds of DAPI and ``stains`` further channels each, whose names no other round has."""
    made = []
    for k in range(count):
        names = ("DAPI", *(f"CD{10 * k + n}" for n in range(stains)))
        # A stain shows what the nuclei do not: it is another texture, at the same places.
        seeds = (1, *(100 + 10 * k + n for n in range(stains)))
        pixels = np.stack([channel(seed, MOTIONS[k], 1000 * k + n) for n, seed in enumerate(seeds)])
        path = folder / f"round{k + 1}.ome.tif"
        metadata = {
            "axes": "CYX",
            "Name": f"slide 7, round {k + 1}",
            "PhysicalSizeX": PIXEL_UM,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": PIXEL_UM,
            "PhysicalSizeYUnit": "µm",
            "Channel": {
                "Name": list(names),
                "EmissionWavelength": [461 + 50 * n for n in range(stains + 1)],
                "EmissionWavelengthUnit": ["nm"] * (stains + 1),
            },
            "Plane": {
                "ExposureTime": [0.1 * (n + 1) + k for n in range(stains + 1)],
                "ExposureTimeUnit": ["s"] * (stains + 1),
            },
        }
        tifffile.imwrite(path, pixels, photometric="minisblack", compression="deflate", metadata=metadata)
        made.append(MadeRound(path, names, pixels))
    return made


def largest_error(found: np.ndarray, truth: np.ndarray) -> float:
    """The largest distance, pixels, between where both matrices put a point of the fixed frame."""
    y, x = np.mgrid[0 : SHAPE[0] - 1 : 9j, 0 : SHAPE[1] - 1 : 9j]
    points = np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    a, b = (np.asarray(m) @ points for m in (found, truth))
    return float(np.hypot(*(a[:2] / a[2] - b[:2] / b[2])).max())
