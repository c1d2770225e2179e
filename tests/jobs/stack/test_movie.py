"""On which pixels the frames of a movie are registered."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.config import Model
from zncc_cli.config.stack import StackConfig
from zncc_cli.files.images import read_image
from zncc_cli.jobs.stack.movie import movie_of


@pytest.mark.parametrize(
    ("frames", "side", "model", "factor"),
    [
        (3, 200, "rigid", 1),  # a short movie has time for all of its pixels
        (3, 900, "rigid", 2),  # but not for more than 2^19 a frame
        (300, 200, "rigid", 2),  # of a long one 2^15 a frame
        (300, 200, "translation", 1),  # and 2^17 where only shifts are looked for
    ],
)
def test_short_movies_are_registered_on_finer_pixels(
    frames: int, side: int, model: str, factor: int, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (side, side), np.uint8)
    path = tmp_path / "movie.tif"
    tifffile.imwrite(
        path, np.broadcast_to(noise, (frames, side, side)), photometric="minisblack", metadata={"axes": "TYX"}
    )
    movie, notes = movie_of(read_image(path), StackConfig(image=path, out=tmp_path / "out", model=Model(model)))
    assert movie.factor == factor
    assert any(f"means of {factor} x {factor} pixels" in note for note in notes) == (factor > 1)
