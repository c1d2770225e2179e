"""A movie of speckle under tension: its strain curve against the truth, and frames per second.

The specimen is stretched a little more from frame to frame, and necks in the middle. `zncc stack --model bspline` and
`zncc strain` are run from file to file.
"""

from __future__ import annotations

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile

from benchmarks.common.command_line import show_progress
from benchmarks.common.processes import measure_python
from benchmarks.nonrigid import speckle
from benchmarks.nonrigid.motions import Array

SIDE, LAST_STRAIN, NOISE = 256, 0.06, speckle.NOISE
_ZNCC = "from zncc_cli.cli.main import main; main()"
_CONTRACTION, _STEPS = 0.3, 30
_QUANTILES = {0.68: 0.9945, 0.95: 1.96}  # of a normal distribution
_DIFFERENCE_PX = 1e-3


@dataclass(frozen=True)
class Movie:
    """What was measured of a movie.

    Attributes:
        frames: how many.
        frames_per_second: of the whole process `zncc stack`; seconds_a_frame: of the processor.
        strain_rms, strain_worst: of the mean strain along the load, of all frames, against the truth.
        strain_last: the true mean strain of the last frame.
        displacement_rms: of all points of all frames, both components, pixels.
        strain_point_rms: of the strain along the load at all points.
        expected: root mean square of sigma over that of the errors of u and v.
        inside_68, inside_95: the share of u and v that are off by no more than the quantile of sigma.
        not_ok: how many frames are not ok.
    """

    frames: int
    frames_per_second: float
    seconds_a_frame: float
    strain_rms: float
    strain_worst: float
    strain_last: float
    displacement_rms: float
    strain_point_rms: float
    expected: float
    inside_68: float
    inside_95: float
    not_ok: int


def displacement(x: Array, y: Array, strain: float) -> Array:
    """Return the displacements (..., 2) of points of the specimen that is stretched along y and necks in the middle."""
    width = SIDE / 8
    u, v = x - SIDE / 2, y - SIDE / 2
    local = strain * (1 + 1 / np.cosh(v / width) ** 2)
    return np.stack((-_CONTRACTION * local * u, strain * (v + width * np.tanh(v / width))), axis=-1)


def true_strain(x: Array, y: Array, strain: float) -> Array:
    """Return the engineering strain along y at points, U - I of F = R U, as `zncc strain` defines it."""
    half = _DIFFERENCE_PX / 2
    by_x = (displacement(x + half, y, strain) - displacement(x - half, y, strain)) / _DIFFERENCE_PX
    by_y = (displacement(x, y + half, strain) - displacement(x, y - half, strain)) / _DIFFERENCE_PX
    F = np.eye(2) + np.stack((by_x, by_y), axis=-1)
    values, vectors = np.linalg.eigh(np.swapaxes(F, -1, -2) @ F)
    return np.asarray(((vectors * np.sqrt(values)[..., None, :]) @ np.swapaxes(vectors, -1, -2))[..., 1, 1] - 1)


def frame(strain: float, number: int) -> np.ndarray:
    """Return a frame (H, W) uint8: the specimen's first state is that without strain."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    from_frame = np.zeros((SIDE, SIDE, 2))
    for _ in range(_STEPS):  # the place of the specimen that a pixel shows
        from_frame = -displacement(x + from_frame[..., 0], y + from_frame[..., 1], strain)
    shown = speckle.painted((SIDE, SIDE), from_frame)
    noisy = shown + NOISE * np.random.default_rng((5, number)).standard_normal(shown.shape)
    return np.round(255 * noisy.clip(0, 1)).astype(np.uint8)


def measure(frames: int) -> Movie:
    """Make the movie, and measure what `zncc stack` and `zncc strain` make of it."""
    strains = np.linspace(0, LAST_STRAIN, frames)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show_progress(f"movie of {frames} frames")
        images = np.stack([frame(strain, number) for number, strain in enumerate(strains)])
        tifffile.imwrite(folder / "movie.tif", images, photometric="minisblack", metadata={"axes": "TYX"})
        arguments = ["stack", str(folder / "movie.tif"), "--model", "bspline", "--out", str(folder / "stack")]
        usage = measure_python(_ZNCC, arguments)
        measure_python(_ZNCC, ["strain", str(folder / "stack" / "transforms.json"), "--out", str(folder / "strain")])
        with (folder / "strain" / "strain.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
        with (folder / "strain" / "strain_curve.csv").open() as file:
            not_ok = sum(row["status"] != "ok" for row in csv.DictReader(file))
    number, x, y, u, v, sigma, eyy = (
        np.array([float(row[key] or "nan") for row in rows]) for key in ("frame", "x", "y", "u", "v", "sigma", "eyy")
    )
    number = number.astype(int)
    errors = np.stack((u, v), axis=-1) - np.stack(
        [displacement(*at, strains[k]) for *at, k in zip(x, y, number, strict=True)]
    )
    truth = np.array(
        [float(true_strain(*map(np.asarray, at), strains[k])) for *at, k in zip(x, y, number, strict=True)]
    )
    of_frame = [np.flatnonzero(number == k) for k in range(frames)]
    means = np.array([eyy[rows].mean() - truth[rows].mean() for rows in of_frame if len(rows)])
    moved = number > 0  # the reference has no error
    ratio = np.abs(errors[moved]) / np.maximum(sigma[moved, None], 1e-9)
    within = [float((ratio <= bound).mean()) for bound in _QUANTILES.values()]
    return Movie(
        frames=frames,
        frames_per_second=frames / usage.wall,
        seconds_a_frame=usage.cpu / frames,
        strain_rms=_rms(means),
        strain_worst=float(np.abs(means).max()),
        strain_last=float(truth[of_frame[-1]].mean()) if len(of_frame[-1]) else float("nan"),
        displacement_rms=float(np.sqrt(np.square(errors[moved]).sum(axis=-1).mean())),
        strain_point_rms=_rms((eyy - truth)[moved]),
        expected=_rms(sigma[moved]) / _rms(errors[moved]),
        inside_68=within[0],
        inside_95=within[1],
        not_ok=not_ok,
    )


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.square(values).mean()))
