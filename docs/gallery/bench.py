"""What the programs of the gallery share: cameras, commands, pictures."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "sample_data"))  # the formulas that scenes are drawn by

from zncc_cli.cli import align, batch, main

matplotlib.use("Agg")
from matplotlib import pyplot as plt

Array = NDArray[np.float64]
shown: list[str] = []
"""The pictures that have been drawn, in this order."""
_APPS = {"zncc": main.app, "zncc-align": align.app, "zncc-batch": batch.app}


def run(command: str) -> None:
    """Run a command as a shell would, in this process, and print what it prints."""
    print(f"$ {command}")
    name, *arguments = shlex.split(command)
    code = typer.main.get_command(_APPS[name]).main(arguments, prog_name=name, standalone_mode=False)
    if code:
        raise SystemExit(f"{command}: exit code {code}")


def pixels(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return x and y of the pixels of a frame (H, W)."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    return x, y


def seen_from(matrix: Array, shape: tuple[int, int]) -> tuple[Array, Array]:
    """Return where the pixels of a moving frame (H, W) lie in the fixed one; ``matrix`` maps fixed to moving."""
    x, y = pixels(shape)
    u, v, w = np.linalg.inv(matrix) @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return (u / w).reshape(shape), (v / w).reshape(shape)


def similarity(degrees: float, scale: float, shift: tuple[float, float], shape: tuple[int, int]) -> Array:
    """Return the matrix that turns and scales about the centre of a frame (H, W), and then shifts."""
    cos, sin = scale * np.cos(np.deg2rad(degrees)), scale * np.sin(np.deg2rad(degrees))
    linear, centre = np.array([[cos, -sin], [sin, cos]]), (np.array(shape[::-1]) - 1) / 2
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, centre + shift - linear @ centre
    return matrix


def camera(brightness: Array, seed: int, *, top: float = 4000, noise: float = 0.02) -> NDArray[np.uint16]:
    """Return a picture in 16 bits: brightness 1 has ``top`` grey levels, and the noise is a share of that."""
    random = np.random.default_rng(seed)
    levels = 200 + top * (brightness + noise * random.standard_normal(brightness.shape))
    return np.clip(np.rint(levels), 0, 65535).astype(np.uint16)


def corner_error(transform: str, truth: Array) -> float:
    """Return by how much a transform.json misses the truth, at the worst corner of the fixed frame; pixels."""
    content = json.loads(Path(transform).read_text())
    height, width = content["fixed_shape"]
    corners = np.array([[0, width - 1, width - 1, 0], [0, 0, height - 1, height - 1], [1, 1, 1, 1]])
    places = [matrix @ corners for matrix in (np.array(content["matrix"]), truth)]
    first, second = (place[:2] / place[2] for place in places)
    return float(np.hypot(*(first - second)).max())


def stretched(image: NDArray[Any]) -> Array:
    """Return an image from 0 to 1, with half a percent of the pixels cut off at either end."""
    low, high = np.nanquantile(image, (0.005, 0.995))
    return np.clip((np.nan_to_num(np.asarray(image, float), nan=low) - low) / (high - low), 0, 1)


def overlay(fixed: NDArray[Any], moving: NDArray[Any]) -> Array:
    """Return both images over each other: fixed in magenta, moving in green, grey where they agree."""
    first, second = stretched(fixed), stretched(moving)
    return np.stack([first, second, first], axis=-1)


def panels(file: str, images: Mapping[str, NDArray[Any]], *, cmap: str = "gray", **how: Any) -> None:
    """Draw images beside each other, each under its title."""
    height, width = next(iter(images.values())).shape[:2]
    side = 10 / len(images)
    figure, axes = plt.subplots(1, len(images), figsize=(10, side * height / width + 0.4), layout="constrained")
    for axis, (title, image) in zip(np.atleast_1d(axes), images.items(), strict=True):
        axis.imshow(image, cmap=cmap, interpolation="nearest", **how)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    save(file, figure)


def save(file: str, figure: plt.Figure) -> None:
    """Write a figure."""
    figure.savefig(file, dpi=110)
    plt.close(figure)
    shown.append(file)


def save_film(file: str, frames: Iterable[NDArray[Any]]) -> None:
    """Write frames of grey values from 0 to 1 as a film, in 32 shades."""
    first, *others = (Image.fromarray((np.asarray(frame) * 31).astype(np.uint8) * 8) for frame in frames)
    first.save(file, save_all=True, append_images=others, duration=160, loop=0, optimize=True)
    shown.append(file)


def moved_back(
    points: tuple[Array, Array], displacement: Callable[[Array, Array], tuple[Array, Array]]
) -> tuple[Array, Array]:
    """Return where moving points lie in the fixed image: x of x + u(x) = point, by repeated insertion."""
    x, y = points
    for _ in range(30):
        u, v = displacement(x, y)
        x, y = points[0] - u, points[1] - v
    return x, y
