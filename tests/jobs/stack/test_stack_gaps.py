"""Movies with gaps: neighbours that the quick measurement cannot align are registered as two images are."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from tests.registration.analytic import Scene, about_centre, corner_error
from zncc_cli.config import Model
from zncc_cli.config.stack import StackConfig
from zncc_cli.errors import ExitCode
from zncc_cli.jobs.stack import joining
from zncc_cli.jobs.stack.align import align_stack
from zncc_cli.jobs.stack.outcome import StackOutcome
from zncc_cli.registration.quality.verdict import Status

SHAPE = (160, 160)
CONTRAST, NOISE = 1500.0, 150.0  # standard deviations, grey values

Align = Callable[..., StackOutcome]


@pytest.fixture
def align(tmp_path: Path) -> Align:
    """Align frames (n, H, W) of a standard deviation of about one, with noise."""

    def run(frames: np.ndarray, **settings: object) -> StackOutcome:
        noise = NOISE * np.random.default_rng(1).normal(size=frames.shape)
        grey = np.clip(np.rint(20000 + CONTRAST * frames + noise), 0, 65535).astype(np.uint16)
        tifffile.imwrite(tmp_path / "movie.tif", grey, photometric="minisblack", metadata={"axes": "TYX"})
        config = StackConfig(image=tmp_path / "movie.tif", out=tmp_path / "out", overwrite=True, **settings)  # type: ignore[arg-type]
        return align_stack(config, lambda _: None)

    return run


def placed(degrees: float, shift: tuple[float, float], scale: float = 1.0) -> np.ndarray:
    """Return a matrix, first frame -> frame."""
    a = np.radians(degrees)
    linear = scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    return about_centre(linear.tolist(), shift, SHAPE)


def seen(seed: int, matrices: list[np.ndarray]) -> np.ndarray:
    """Return the frames: at matrix p each shows what the first one shows at p."""
    frames = np.array([Scene(seed).image(SHAPE, np.linalg.inv(matrix)) for matrix in matrices])
    return np.asarray(frames / frames[0].std())


def worst_corner(outcome: StackOutcome, matrices: list[np.ndarray]) -> float:
    """Return the largest error of any frame, at a corner, in pixels; all of them have a place."""
    assert [row.status for row in outcome.rows] == ["ok"] * len(matrices), outcome.report["reasons"]
    family_of = outcome.report["settings"]["model"]
    placed_at = []
    for row in outcome.rows:
        scale = row.further.get("scale", 1.0)
        placed_at.append(placed(row.further.get("angle_degrees", 0.0), (row.dx, row.dy), scale))
    assert family_of in ("translation", "rigid", "similarity")
    return max(corner_error(matrix, truth, SHAPE) for matrix, truth in zip(placed_at, matrices, strict=True))


@pytest.mark.parametrize(
    ("direction", "away"),
    [((0.7, 0.02), slice(6, 12)), ((-0.03, -0.72), slice(4, 8)), ((0.5, -0.52), slice(1, 12, 2))],
)
def test_jumps_of_most_of_a_frame_are_found(align: Align, direction: tuple[float, float], away: slice) -> None:
    """28 or 24 percent of the frame are visible before and after the jump; 0.1 px is three times the expected error."""
    jump = np.zeros((12, 2))
    jump[away] = 160 * np.array(direction)
    matrices = [placed(0, (0.6 * k + jx, -0.4 * k + jy)) for k, (jx, jy) in enumerate(jump)]
    outcome = align(seen(1, matrices))
    assert outcome.exit_code is ExitCode.OK, outcome.report["reasons"]
    assert worst_corner(outcome, matrices) < 0.15


def test_a_scan_whose_neighbours_share_a_third_is_joined(align: Align) -> None:
    """Nothing but neighbours overlaps, so that errors of 0.03 px a step add up along seven of them."""
    places = np.array([(0, 0), (1, 0), (2, 0), (2, 1), (1, 1), (0, 1), (0, 2), (1, 2)]) * -106.3
    matrices = [placed(0, (x, y)) for x, y in places]
    assert worst_corner(align(seen(2, matrices)), matrices) < 0.3


@pytest.mark.parametrize(("degrees", "model"), [(8, Model.RIGID), (-9, Model.SIMILARITY)])
def test_a_rotation_of_many_degrees_a_frame_is_followed(align: Align, degrees: float, model: Model) -> None:
    """The corners, 113 px from the centre, are the least known: three deviations of a rotation by 0.02 degrees."""
    matrices = [
        placed(degrees * k, (0.8 * k, -0.5 * k), 0.996**k if model is Model.SIMILARITY else 1) for k in range(20)
    ]
    outcome = align(seen(3, matrices), model=model)
    assert outcome.exit_code is ExitCode.OK, outcome.report["reasons"]
    assert worst_corner(outcome, matrices) < 0.25


def test_neighbours_may_be_turned_by_anything_up_to_half_a_circle(align: Align) -> None:
    matrices = [placed(a, (2.0 * k, -k)) for k, a in enumerate((0, 170, -60, 95, -80, 100))]
    assert worst_corner(align(seen(4, matrices), model=Model.RIGID), matrices) < 0.25


@pytest.mark.parametrize(
    ("to", "inverted"),
    [("first", [1, 3, 5, 7, 9]), ("mean", [6, 7, 8, 9]), ("previous", [4]), ("5", [1, 3, 5, 7, 9]), ("5", [6, 7, 8])],
)
def test_frames_of_inverted_contrast_are_placed_and_named(align: Align, to: str, inverted: list[int]) -> None:
    """The reference decides which frames count as inverted; the mean of all has the contrast of most frames."""
    matrices = [placed(0, (0.7 * k, -0.4 * k)) for k in range(11)]
    frames = seen(5, matrices)
    frames[inverted] *= -1
    outcome = align(frames, to=to)
    assert outcome.exit_code is ExitCode.OK, outcome.report["reasons"]
    expected = sorted(set(range(11)) - set(inverted)) if to == "5" and 5 in inverted else inverted
    assert outcome.report["inverted"] == expected
    against = {"mean": "most frames", "5": "frame 5"}.get(to, "frame 0")
    expected_note = (
        f"{len(expected)} of 11 frames, the first of them frame {expected[0]}, have inverted contrast against {against}"
        if len(expected) > 1
        else f"frame {expected[0]} of 11 has inverted contrast against {against}"
    )
    assert any(expected_note in note for note in outcome.report["notes"])
    with (outcome.folder / "drift.csv").open() as table:
        assert [k for k, row in enumerate(csv.DictReader(table)) if row["inverted"] == "1"] == expected
    drift = np.array([[row.dx, row.dy] for row in outcome.rows])
    truth = np.array([[0.7 * k, -0.4 * k] for k in range(11)])
    apart = drift - truth
    assert np.abs(apart - (apart.mean(axis=0) if to == "mean" else apart[5 if to == "5" else 0])).max() < 0.1


def test_no_frame_is_inverted_where_none_is(align: Align) -> None:
    outcome = align(seen(5, [placed(0, (0.7 * k, -0.4 * k)) for k in range(4)]))
    assert outcome.report["inverted"] == []
    assert not any("inverted" in note for note in outcome.report["notes"])


def sections(seed: int, matrices: list[np.ndarray]) -> np.ndarray:
    """Return slices of a volume with structures of several sizes, one voxel apart, each mounted and lit anew."""
    rng = np.random.default_rng(seed)
    volume = np.zeros((len(matrices) + 8, 360, 360))
    for size in (1.5, 4, 12):
        blurred = ndimage.gaussian_filter(rng.normal(size=volume.shape), size, mode="wrap")
        volume += blurred / blurred.std() * size**0.35
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    frames = []
    for k, matrix in enumerate(matrices):
        back = np.linalg.inv(matrix)
        places = [row[0] * x + row[1] * y + row[2] + (360 - n) / 2 for row, n in zip(back[1::-1], SHAPE, strict=True)]
        tissue = np.tanh(ndimage.map_coordinates(volume[k + 4], places, order=3, mode="grid-wrap") / volume.std())
        tissue = np.sign(tissue) * np.abs(tissue) ** rng.uniform(0.7, 1.4) * rng.uniform(0.6, 1.3)
        tissue *= 1 - 0.4 * ((x - 80) ** 2 + (y - 80) ** 2) / 80**2 / 2
        dirt = (x - rng.uniform(30, 130)) ** 2 + (y - rng.uniform(30, 130)) ** 2 < 18**2
        frames.append(np.where(dirt & (k % 2 == 1), -2.0, tissue))
    return np.array(frames)


def test_serial_sections_are_aligned(align: Align) -> None:
    """Turned by 10 to 30 degrees and moved by up to a third of the frame: what is new in each section adds an error of
    tenths of a pixel, which adds up; the whole frame is 160 pixels, and a wrong place is off by tens."""
    rng = np.random.default_rng(2)
    matrices = [np.eye(3)]
    for _ in range(7):
        angle, shift = rng.choice([-1, 1]) * rng.uniform(10, 30), rng.uniform(-40, 40, 2)
        matrices.append(placed(angle, (float(shift[0]), float(shift[1]))))
    outcome = align(sections(6, matrices), model=Model.RIGID)
    assert outcome.report["outliers"] == []
    assert worst_corner(outcome, matrices) < 2


def test_frames_that_agree_with_no_other_stay_outliers_and_move_no_other(align: Align) -> None:
    matrices = [placed(0, (0.9 * k, -0.5 * k)) for k in range(12)]
    frames = seen(7, matrices)
    frames[3] = np.random.default_rng(0).normal(size=SHAPE)
    frames[8] = seen(8, matrices[:1])[0]
    outcome = align(frames)
    assert [row.frame for row in outcome.rows if row.status != "ok"] == [3, 8]
    good = [k for k in range(12) if k not in (3, 8)]
    drift = np.array([[row.dx, row.dy] for row in outcome.rows])[good]
    assert np.abs(drift - np.array([[0.9 * k, -0.5 * k] for k in good])).max() < 0.1


@pytest.mark.parametrize("model", [Model.TRANSLATION, Model.RIGID])
def test_a_movie_of_unrelated_frames_fails(align: Align, model: Model) -> None:
    rng = np.random.default_rng(3)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    light = 3 * np.exp(-((x - 80) ** 2 + (y - 80) ** 2) / 5000)
    noise = rng.normal(size=(5, *SHAPE))
    scenes = np.array([light + seen(20 + k, [np.eye(3)])[0] for k in range(5)])  # under one light
    for frames in (noise, scenes):
        outcome = align(frames, model=model)
        assert outcome.status is Status.FAILED
        assert {row.status for row in outcome.rows} <= {"outlier", "blank"}


def test_the_search_ends_early_in_a_movie_of_noise(align: Align, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joining, "_MAX_FAILURES", 3)
    asked = list[tuple[int, int]]()
    monkeypatch.setattr(joining, "register_pair", lambda fixed, moving, numbers, config: asked.append(numbers))
    outcome = align(np.random.default_rng(4).normal(size=(30, *SHAPE)))
    assert outcome.status is Status.FAILED
    assert len(asked) == 8  # of 29 neighbours, as many as are begun at a time
    assert any(re.search("no more were tried", note) for note in outcome.report["notes"])
