"""Draw the sample pairs: one analytic scene seen by two cameras, so that the transform between them is known exactly.

    python sample_data/make_samples.py [--out FOLDER]

The fixed image samples scene(x), the moving image scene(T^-1 x), each at its own pixel centres; neither is interpolated
from the other. T maps FIXED coordinates to MOVING coordinates, (x, y) in pixels, and is written to truth.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import numpy.typing as npt
import scenes
import tifffile
from board import board
from shapes import Array

Scene = Callable[[Array, Array, int], Array]


@dataclass(frozen=True, kw_only=True)
class Camera:
    """The properties of a camera that turn brightness (about 0 to 1) into grey levels; shading stays on the frame."""

    electrons: float  # collected at brightness 1
    read_noise: float  # electrons, RMS
    gain: float  # grey levels per electron
    offset: float  # grey levels at zero light
    vignetting: float  # share of light lost in the corners
    tilt: tuple[float, float] = (0.0, 0.0)  # share of light gained from the centre to the (right, bottom) edge


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One sample pair: the scene, the two cameras, and the motion of the second one."""

    name: str
    model: str
    scene: Scene
    shape: tuple[int, int]
    matrix: Array  # (3, 3), fixed -> moving
    dtype: type[np.uint8 | np.uint16]
    fixed: Camera
    moving: Camera
    seed: int


def centred(shape: tuple[int, int], linear: Array, shift: tuple[float, float]) -> Array:
    """Return the (3, 3) matrix of x -> linear (x - c) + c + shift, with c the centre of the frame."""
    centre = (np.array(shape[::-1]) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - linear @ centre + shift
    return matrix


def rotation(degrees: float, scale: float = 1.0) -> Array:
    """Return the (2, 2) rotation of the x axis towards the y axis, times ``scale``."""
    cos, sin = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin], [sin, cos]])


def corners(shape: tuple[int, int]) -> Array:
    """Return the centres of the four corner pixels, (4, 2), clockwise from the top left."""
    right, bottom = shape[1] - 1.0, shape[0] - 1.0
    return np.array([[0.0, 0.0], [right, 0.0], [right, bottom], [0.0, bottom]])


def four_points(start: Array, end: Array) -> Array:
    """Return the homography (3, 3) that maps the four points ``start`` to the four points ``end``."""
    rows, values = [], []
    for (x, y), (u, v) in zip(start, end, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return np.append(np.linalg.solve(np.array(rows), np.array(values)), 1.0).reshape(3, 3)


def view(scene: Scene, seed: int, shape: tuple[int, int], matrix: Array) -> Array:
    """Return the noise-free scene on a frame, (H, W) or (H, W, 3); ``matrix`` maps scene to frame coordinates."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    back = np.linalg.inv(matrix)
    u, v, w = (back[i, 0] * x + back[i, 1] * y + back[i, 2] for i in range(3))
    return scene(u / w, v / w, seed)


def expose(
    brightness: Array, camera: Camera, dtype: type[np.uint8 | np.uint16], seed: int
) -> tuple[npt.NDArray[np.generic], float]:
    """Return the camera's picture and its signal-to-noise ratio: standard deviation of the signal over RMS noise.

    Shot noise is drawn as a Gaussian of the Poisson variance: the frames hold hundreds of electrons, and unlike a
    Poisson draw it takes one random number a pixel, so that a last-bit difference of exp() between processors
    changes a pixel by a grey level at most, instead of the whole noise field.
    """
    height, width = brightness.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = (1 - camera.vignetting * (x**2 + y**2) / 2) * (1 + camera.tilt[0] * x + camera.tilt[1] * y)
    signal = camera.electrons * np.maximum(brightness, 0) * light.reshape(height, width, *[1] * (brightness.ndim - 2))
    sigma = np.sqrt(signal + camera.read_noise**2)
    noise = sigma * np.random.RandomState(seed).standard_normal(signal.shape)
    levels = np.rint(camera.offset + camera.gain * (signal + noise))
    return levels.clip(0, np.iinfo(dtype).max).astype(dtype), float(signal.std() / np.sqrt((sigma**2).mean()))


SHAPE, SMALL = (scenes.HEIGHT, scenes.WIDTH), (128, 160)


def pairs() -> list[Pair]:
    """Return one pair for each model."""
    keystone = corners(SHAPE) + np.array([[11.5, 7.0], [-8.5, 9.5], [10.0, -6.5], [-12.0, -9.0]])
    return [
        Pair(
            name="translation", model="translation", scene=scenes.cells, shape=SHAPE, seed=11,
            matrix=centred(SHAPE, np.eye(2), (12.37, -7.81)), dtype=np.uint16,
            fixed=Camera(electrons=1200, read_noise=6, gain=2.2, offset=100, vignetting=0.25, tilt=(0.05, -0.03)),
            moving=Camera(electrons=730, read_noise=6, gain=2.2, offset=140, vignetting=0.3, tilt=(-0.08, 0.06)),
        ),
        Pair(
            name="rigid", model="rigid", scene=scenes.steel, shape=SHAPE, seed=22,
            matrix=centred(SHAPE, rotation(3.1), (4.6, -3.9)), dtype=np.uint16,
            fixed=Camera(electrons=400, read_noise=8, gain=90, offset=3500, vignetting=0.05, tilt=(0.1, 0.0)),
            moving=Camera(electrons=300, read_noise=8, gain=130, offset=4200, vignetting=0.1, tilt=(-0.1, 0.12)),
        ),
        Pair(
            name="similarity", model="similarity", scene=scenes.speckle, shape=SHAPE, seed=33,
            matrix=centred(SHAPE, rotation(-2.0, 1.03), (-3.2, 4.1)), dtype=np.uint8,
            fixed=Camera(electrons=6000, read_noise=10, gain=0.038, offset=4, vignetting=0.2, tilt=(0.08, 0.04)),
            moving=Camera(electrons=4500, read_noise=10, gain=0.038, offset=12, vignetting=0.25, tilt=(-0.12, 0.1)),
        ),
        Pair(
            name="affine", model="affine", scene=scenes.farmland, shape=SHAPE, seed=44,
            matrix=centred(SHAPE, np.array([[1.024, 0.021], [-0.017, 0.982]]), (3.4, -2.7)), dtype=np.uint16,
            fixed=Camera(electrons=2500, read_noise=15, gain=1.4, offset=64, vignetting=0.1, tilt=(0.03, 0.0)),
            moving=Camera(electrons=1700, read_noise=15, gain=1.6, offset=180, vignetting=0.2, tilt=(-0.1, 0.05)),
        ),
        Pair(
            name="homography", model="homography", scene=board, shape=SHAPE, seed=55,
            matrix=four_points(corners(SHAPE), keystone), dtype=np.uint8,
            fixed=Camera(electrons=8000, read_noise=12, gain=0.03, offset=5, vignetting=0.2, tilt=(0.1, -0.05)),
            moving=Camera(electrons=6000, read_noise=12, gain=0.034, offset=9, vignetting=0.3, tilt=(-0.15, 0.08)),
        ),
    ]  # fmt: skip


def batch() -> list[Pair]:
    """Return three small rigid drifts for the batch command."""
    first = Camera(electrons=5000, read_noise=12, gain=0.036, offset=6, vignetting=0.15, tilt=(0.04, 0.0))
    second = Camera(electrons=3500, read_noise=12, gain=0.042, offset=12, vignetting=0.2, tilt=(-0.06, 0.05))
    drifts: list[tuple[str, Scene, float, tuple[float, float]]] = [
        ("cells", scenes.cells, 1.2, (3.1, -2.4)),
        ("grains", scenes.steel, -1.5, (-2.6, 1.7)),
        ("stars", scenes.stars, 0.8, (1.9, 3.3)),
    ]
    return [
        Pair(
            name=name, model="rigid", scene=scene, shape=SMALL, matrix=centred(SMALL, rotation(degrees), shift),
            dtype=np.uint8, fixed=first, moving=second, seed=60 + 10 * index,
        )
        for index, (name, scene, degrees, shift) in enumerate(drifts)
    ]  # fmt: skip


def make_pair(pair: Pair, fixed_path: Path, moving_path: Path) -> dict[str, object]:
    """Write both images of a pair and return its truth."""
    matrix = np.round(pair.matrix, 12)  # fewer digits, so that every processor draws from the same matrix
    noise: dict[str, object] = {}
    for index, (path, camera, frame) in enumerate(
        [(fixed_path, pair.fixed, np.eye(3)), (moving_path, pair.moving, matrix)]
    ):
        brightness = view(pair.scene, pair.seed, pair.shape, frame)
        image, snr = expose(brightness, camera, pair.dtype, pair.seed + 1 + index)
        if path.suffix == ".tif":
            tifffile.imwrite(path, image, photometric="minisblack", metadata=None, software=False)
        else:
            iio.imwrite(path, image)
        noise["moving" if index else "fixed"] = {**asdict(camera), "signal_to_noise": round(snr, 1)}
    return {
        "format": "zncc-transform",
        "version": 1,
        "model": pair.model,
        "matrix": matrix.tolist(),
        "fixed_shape": list(pair.shape),
        "moving_shape": list(pair.shape),
        "direction": "fixed -> moving",
        "axis_order": "xy",
        "pixel_origin": "centre of the top-left pixel is (0, 0)",
        "made_by": "sample_data/make_samples.py",
        "seed": pair.seed,
        "noise": noise,
    }


def make_samples(out: Path) -> None:
    """Write every pair and its truth into the folder ``out``."""
    for pair in pairs():
        folder = out / pair.name
        folder.mkdir(parents=True, exist_ok=True)
        suffix = ".tif" if pair.dtype is np.uint16 else ".png"
        truth = make_pair(pair, folder / f"fixed{suffix}", folder / f"moving{suffix}")
        (folder / "truth.json").write_text(json.dumps(truth, indent=2) + "\n")
    folder = out / "batch"
    folder.mkdir(parents=True, exist_ok=True)
    truths = {
        pair.name: make_pair(pair, folder / f"{pair.name}_fixed.png", folder / f"{pair.name}_moving.png")
        for pair in batch()
    }
    (folder / "truth.json").write_text(json.dumps(truths, indent=2) + "\n")


def main() -> None:
    """Parse the command line and write the samples."""
    parser = argparse.ArgumentParser(description="Draw the sample pairs with known truth.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent, help="folder to write into (default: this one)"
    )
    make_samples(parser.parse_args().out)


if __name__ == "__main__":
    main()
