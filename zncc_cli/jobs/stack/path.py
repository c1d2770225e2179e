"""The path of a movie: measured pair by pair, joined if it falls into parts, and expressed against its reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import Model, RegistrationConfig
from zncc_cli.config.stack import TO_PREVIOUS, StackConfig
from zncc_cli.jobs.downsampling import full_resolution_matrix
from zncc_cli.jobs.stack.joining import join_parts
from zncc_cli.jobs.stack.measuring import blank_frames, measure_against_mean, measure_pairs
from zncc_cli.jobs.stack.movie import Movie, Progress
from zncc_cli.progress import part_of_rest
from zncc_cli.registration.drift.frame_pair import Measurement
from zncc_cli.registration.drift.joining import MIN_SHARED, contradicted, joining_config, searchable, shared_fraction
from zncc_cli.registration.drift.path import NEIGHBOUR_LAG, DriftPath, solve_path
from zncc_cli.registration.transforms.linear import LinearTransform
from zncc_cli.registration.warp import corners
from zncc_cli.registration.whole_shift import ROUNDING_PX, shift_distance, whole_shift
from zncc_cli.report.drift_files import BLANK, OK, OUTLIER, DriftRow

_FIRST_SHARE = 0.8  # of the time of a path, of its first measurements; the rest is of gaps, or of the mean


@dataclass(frozen=True, eq=False)
class MoviePath:
    """The path of a movie.

    Attributes:
        path: the places of the frames, in blocks.
        status: of each frame, OK, BLANK or OUTLIER.
        pairs: number of pairs that were measured.
        notes: what the user should know.
    """

    path: DriftPath
    status: tuple[str, ...]
    pairs: int
    notes: tuple[str, ...]


def movie_path(movie: Movie, config: StackConfig, progress: Progress) -> MoviePath:
    """Measure the motions between frames and return the path that agrees best with them."""
    settings = RegistrationConfig(model=config.model, window=movie.window)
    transform = LinearTransform(config.model, movie.block_shape)
    with part_of_rest(_FIRST_SHARE):
        measurements = measure_pairs(movie, _max_lag(movie, config), settings, progress)
    path = solve_path(movie.count, measurements, transform, config.reference)
    blank = blank_frames(movie, np.flatnonzero(~path.good).tolist(), settings)
    notes, standardized = list[str](), False
    frames = searchable(path, measurements, blank)
    if not path.good[frames].all() or contradicted(path, measurements):
        first_path = path
        path, measurements, notes = _joined(movie, path, measurements, frames, config, settings, transform, progress)
        standardized = path is not first_path
    if config.reference is None and path.good.any():
        with part_of_rest(1.0):
            measurements = measurements + measure_against_mean(movie, path, settings, progress)
        with_mean = solve_path(movie.count, measurements, transform, movie.count, standardized=standardized)
        if with_mean.good[-1]:
            path = _without_last(with_mean)
        else:  # the mean is smeared, or shows what most frames do not
            notes.append(
                f"{movie.name}: no frame agrees with the mean of all frames; the mean of their places is the reference"
            )
    bad = set(np.flatnonzero(~path.good).tolist())
    blank = [k for k in blank if k in bad] + blank_frames(movie, sorted(bad.difference(blank)), settings)
    status = [OUTLIER if k in bad else OK for k in range(movie.count)]
    for frame in blank:
        status[frame] = BLANK
    return MoviePath(path, tuple(status), len(measurements), (*notes, *_inverted_note(movie, path, config)))


def drift_rows(
    movie: Movie, followed: MoviePath, model: Model
) -> tuple[np.ndarray, tuple[DriftRow, ...], tuple[str, ...]]:
    """Return the matrices (n, 3, 3), reference -> frame, in pixels of the file, the rows of drift.csv, and a note."""
    path = followed.path
    matrices = np.array([full_resolution_matrix(matrix, movie.factor) for matrix in path.matrices])
    matrices /= matrices[:, 2:, 2:]
    matrices, notes = _with_whole_shifts(movie, followed, matrices)
    transform = LinearTransform(model, movie.view.shape)
    rows = []
    for frame, (matrix, block_error) in enumerate(zip(matrices, path.expected_error, strict=True)):
        dx, dy = transform.parameters(matrix)[:2].tolist()
        expected_error = float(block_error) * movie.factor if np.isfinite(block_error) else None
        further, inverted = _FURTHER_PARAMETERS[model](matrix), bool(path.inverted[frame])
        rows.append(DriftRow(frame, dx, dy, followed.status[frame], expected_error, further, inverted))
    return matrices, tuple(rows), notes


def _with_whole_shifts(movie: Movie, followed: MoviePath, matrices: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the matrices, those that are shifts by whole pixels within their own error as these; and a note."""
    points, count = corners(movie.view.shape), 0
    result = matrices.copy()
    for frame, (matrix, error) in enumerate(zip(matrices, followed.path.expected_error, strict=True)):
        if followed.status[frame] != OK or not np.isfinite(error):
            continue
        whole = whole_shift(matrix, points, float(error) * movie.factor)
        if whole is not None:
            count += shift_distance(matrix, whole, points) > ROUNDING_PX
            result[frame] = whole
    if not count:
        return result, ()
    words = (
        f"{movie.name}: {count} of {movie.count} frames are taken as shifted by whole pixels, so that every value is "
        "copied: they are within their expected error of that"
    )
    return result, (words,)


def _max_lag(movie: Movie, config: StackConfig) -> int:
    return NEIGHBOUR_LAG if config.to == TO_PREVIOUS else movie.count - 1


def _joined(
    movie: Movie,
    path: DriftPath,
    measurements: list[Measurement],
    frames: list[int],
    config: StackConfig,
    settings: RegistrationConfig,
    transform: LinearTransform,
    progress: Progress,
) -> tuple[DriftPath, list[Measurement], list[str]]:
    """Return the path after its parts are joined as far as possible, its measurements, and notes."""
    gaps = join_parts(
        path,
        measurements,
        frames,
        lambda k: movie.prepared(k, settings),
        joining_config(config.model, movie.window, config.backend),
        movie.threads,
        progress,
    )
    notes = []
    if gaps.given_up:
        notes.append(f"{movie.name}: so many registrations of frames failed that no more were tried")
    if not gaps.joining and len(set(gaps.parts[path.good])) <= 1:
        return path, measurements, notes
    joining_pairs = {(m.fixed, m.moving) for m in gaps.joining}
    joined = solve_path(movie.count, [*gaps.kept, *gaps.joining], transform, None, standardized=True)

    def crosses_gap(i: int, j: int) -> bool:
        if gaps.parts[i] == gaps.parts[j] or (i, j) in joining_pairs or not joined.good[[i, j]].all():
            return False
        return shared_fraction(joined.between(i, j), movie.block_shape) >= MIN_SHARED

    with part_of_rest(_FIRST_SHARE):
        across = measure_pairs(movie, _max_lag(movie, config), settings, progress, crosses_gap, joined)
    measurements = [*gaps.kept, *gaps.joining, *across]
    path = solve_path(movie.count, measurements, transform, config.reference, standardized=True)
    return path, measurements, notes


def _without_last(path: DriftPath) -> DriftPath:
    """Return the path without its last place, which is that of the mean of all frames."""
    return replace(
        path,
        matrices=path.matrices[:-1],
        good=path.good[:-1],
        expected_error=path.expected_error[:-1],
        inverted=path.inverted[:-1],
        parts=path.parts[:-1],
    )


def _inverted_note(movie: Movie, path: DriftPath, config: StackConfig) -> tuple[str, ...]:
    """Return a note if the contrast of some frames is inverted."""
    frames = np.flatnonzero(path.inverted)
    if not len(frames):
        return ()
    has_reference = config.reference is not None and path.good[config.reference]
    against = f"frame {config.reference}" if has_reference else "most frames"
    if len(frames) == 1:
        words = f"frame {frames[0]} of {movie.count} has inverted contrast against {against}; its values are"
    else:
        words = (
            f"{len(frames)} of {movie.count} frames, the first of them frame {frames[0]}, have inverted contrast "
            f"against {against}; their values are"
        )
    return (f"{movie.name}: {words} written as they are",)


def _angle(matrix: np.ndarray) -> dict[str, float]:
    return {"angle_degrees": float(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))}


# The columns of drift.csv for the parameters of a model beside a shift.
_FURTHER_PARAMETERS: dict[Model, Callable[[np.ndarray], dict[str, float]]] = {
    Model.TRANSLATION: lambda _: {},
    Model.RIGID: _angle,
    Model.SIMILARITY: lambda m: {**_angle(m), "scale": float(np.hypot(m[0, 0], m[1, 0]))},
    Model.AFFINE: lambda m: {f"a{row}{column}": float(m[row - 1, column - 1]) for row in (1, 2) for column in (1, 2)},
    Model.HOMOGRAPHY: lambda m: {f"a{k // 3 + 1}{k % 3 + 1}": float(m.flat[k]) for k in (0, 1, 3, 4, 6, 7)},
}
