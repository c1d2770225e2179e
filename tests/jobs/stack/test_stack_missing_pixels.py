"""Hot pixels and pixels without data do not take part in the alignment of a movie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.config.stack import StackConfig
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.stack.outcome import StackOutcome
from zncc_cli.registration.quality.verdict import Status

COUNT, SIDE = 10, 160
DRIFT = np.outer(np.arange(COUNT), (4.3, -2.6))  # pixels (x, y)


def align(folder: Path, frames: np.ndarray) -> StackOutcome:
    tifffile.imwrite(folder / "movie.tif", frames, metadata={"axes": "TYX"}, photometric="minisblack")
    return align_stack(StackConfig(image=folder / "movie.tif", out=folder / "out"), lambda _: None)


def worst(outcome: StackOutcome) -> float:
    drift = np.array([[row.dx, row.dy] for row in outcome.rows])
    return float(np.linalg.norm(drift - DRIFT, axis=1).max())


def beads(rng: np.random.Generator) -> np.ndarray:
    """Few bright and many faint beads on a noisy dark ground, 12 bit."""
    y, x = np.mgrid[:SIDE, :SIDE]
    places, bright = rng.uniform(-50, SIDE + 50, (40, 2)), 0.1 ** rng.uniform(size=40)
    frames = np.full((COUNT, SIDE, SIDE), 100.0)
    for frame, (dx, dy) in zip(frames, DRIFT, strict=True):
        for (px, py), level in zip(places, bright, strict=True):
            frame += 900 * level * np.exp(-((x - px - dx) ** 2 + (y - py - dy) ** 2) / (2 * 1.4**2))
        frame += rng.normal(0, 6, frame.shape)
    return frames.clip(0, 4095)


def test_hot_pixels_on_beads_are_left_out_and_noted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = beads(rng)
    row, column = rng.integers(1, SIDE - 1, (2, 40))
    frames[:, row, column] = rng.uniform(500, 4095, 40)
    outcome = align(tmp_path, frames.astype(np.uint16))
    assert outcome.status is Status.OK
    assert worst(outcome) < 0.1  # beads of 6 counts' noise are known to hundredths
    assert any("single pixels stand out at the same places in frame after frame" in n for n in outcome.report["notes"])


@pytest.mark.parametrize("width", [1, 3])
def test_gaps_between_the_lines_of_a_scan_are_no_data(tmp_path: Path, width: int) -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(SIDE + 60, SIDE + 60))
    scene = sum(np.roll(noise, (i, j), (0, 1)) for i in range(5) for j in range(5))
    frames = np.array(
        [scene[30 - round(y) :, 50 - round(x) :][:SIDE, :SIDE] for x, y in DRIFT.round()]
    ) * 100 + 3000  # fmt: skip
    frames[:, np.arange(SIDE) % 12 < width] = 0
    outcome = align(tmp_path, frames.astype(np.uint16))
    assert outcome.status is Status.OK
    drift = np.array([[row.dx, row.dy] for row in outcome.rows])
    assert np.abs(drift - DRIFT.round()).max() < 0.1  # of moves by whole pixels; a quarter of the rows are guesses
    assert any("pixels of exactly 0 lie in the scene like gaps" in note for note in outcome.report["notes"])
