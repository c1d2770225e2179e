"""The pictures of a movie for its page: a loop, cuts through all frames, and frames without a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from benchmarks.stack.movie import DriftMovie
from zncc_cli.config import Canvas, ResamplingConfig
from zncc_cli.config.stack import StackConfig
from zncc_cli.jobs.stack import pages
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.report.stack_html import Film


def film_of(tmp_path: Path, monkeypatch, frames: np.ndarray, **settings: object) -> Film:
    """The film with which the page is written."""
    films = []
    monkeypatch.setattr(pages, "write_stack_html", lambda path, report, rows, film, files: films.append(film))
    tifffile.imwrite(tmp_path / "movie.tif", frames, photometric="minisblack", metadata={"axes": "TYX"})
    align_stack(StackConfig(image=tmp_path / "movie.tif", out=tmp_path / "out", **settings), lambda _: None)
    return films[0]


def test_kymographs_are_straight_after_the_alignment(tmp_path: Path, monkeypatch) -> None:
    """The drift is of 10 px, so that a column changes from frame to frame before; noise is left after."""
    made = DriftMovie.walk(40, 96, blanks=1)
    film = film_of(tmp_path, monkeypatch, np.array(list(made.frames())))
    assert len(film.frames) == 30
    assert (film.frames[0], film.frames[-1], film.kymograph_frames) == (0, 39, tuple(range(40)))
    assert film.before.shape == film.after.shape == (30, 96, 96)
    good = [k for k in film.kymograph_frames if k not in made.blank]
    for axis in "xy":
        before, after = (film.kymographs[f"{axis}-{when}"][good, 12:-12].astype(float) for when in ("before", "after"))
        assert before.shape == (39, 72)
        assert after.std(axis=0).mean() < 0.35 * before.std(axis=0).mean()
    assert film.bad_frames == tuple(made.blank)
    assert film.bad[0].std() < 0.5 * film.before[0].std()


def test_a_larger_canvas_is_reduced_and_both_loops_lie_on_it(tmp_path: Path, monkeypatch) -> None:
    """The first frame is its own place: both loops show it alike, in means of 2 x 2 pixels."""
    made = DriftMovie.walk(5, 320, blanks=0, jump=(0, 0))
    resampling = ResamplingConfig(canvas=Canvas.UNION)
    film = film_of(tmp_path, monkeypatch, np.array(list(made.frames())), resampling=resampling)
    assert film.pixel == 2
    assert max(film.after.shape[1:]) > 160
    assert np.abs(film.before[0].astype(int) - film.after[0]).max() <= 1
    assert film.bad_frames == ()
