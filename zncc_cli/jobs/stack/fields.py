"""The fields of a movie, reference -> frame: one after the other, each from the one before."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zncc_cli.config import DEFAULT_SPACING, NONE, Model, RegistrationConfig
from zncc_cli.config.spelling import as_options
from zncc_cli.config.stack import TO_PREVIOUS, StackConfig
from zncc_cli.errors import ContentError
from zncc_cli.jobs.stack.movie import Movie, Progress
from zncc_cli.progress import part
from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.nonrigid.frame_field import FrameField, after, no_motion, with_spacing
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult, register_images
from zncc_cli.registration.transforms.spline_fit import fit_spline
from zncc_cli.report.drift_files import BLANK, OK, OUTLIER

SUSPECT = "suspect"
_STATUS = {Status.OK: OK, Status.SUSPECT: SUSPECT, Status.FAILED: OUTLIER}
# Of all frames: the widest of which those of every registration are multiples, see `with_closer_nodes`.
_SPACING_PX = DEFAULT_SPACING / 2


@dataclass(frozen=True, eq=False)
class MovieFrame:
    """A frame of a movie.

    Attributes:
        number: from 0.
        status: OK, SUSPECT, BLANK, or OUTLIER where the registration failed.
        reasons: for the status.
        place: reference -> frame, blocks; of a blank frame and an outlier that of the frame before.
        zncc: after the registration, with the reference, or with the frame before; None where it is not known.
    """

    number: int
    status: str
    reasons: tuple[str, ...]
    place: FrameField
    zncc: float | None = None


def movie_frames(movie: Movie, config: StackConfig, progress: Progress) -> list[MovieFrame]:
    """Return all frames, in their order.

    From the reference onwards, and then backwards, each frame is registered to the reference, from the field of the
    frame before; with ``--to previous`` to the frame before, and both fields are composed.
    """
    assert config.reference is not None
    first = MovieFrame(config.reference, OK, ("the reference",), no_motion(movie.block_shape, _SPACING_PX))
    frames = {config.reference: first}
    for numbers in (range(config.reference + 1, movie.count), range(config.reference - 1, -1, -1)):
        last = first  # the last frame that has a place of its own
        for number in numbers:
            progress(f"frame {number + 1} of {movie.count}")
            with part((len(frames) - 1) / movie.count, len(frames) / movie.count):
                found = _frame(movie, number, first, last, config)
            frames[number] = found
            last = found if found.status in (OK, SUSPECT) else last
    return [frames[number] for number in range(movie.count)]


def _frame(movie: Movie, number: int, reference: MovieFrame, last: MovieFrame, config: StackConfig) -> MovieFrame:
    step_by_step = config.to == TO_PREVIOUS
    fixed, moving = movie.blocks(last.number if step_by_step else reference.number), movie.blocks(number)
    settings = RegistrationConfig(model=Model.BSPLINE, window=movie.window, no_data=NONE, backend=config.backend)
    start = None if step_by_step or last is reference else last.place.field
    names = (f"frame {last.number if step_by_step else reference.number}", f"frame {number}")
    try:
        result = register_images(fixed.grey, moving.grey, settings, fixed.valid, moving.valid, names=names, start=start)
    except ContentError as error:
        return MovieFrame(number, BLANK, (str(error),), last.place)
    status, reasons = _STATUS[result.status], tuple(map(as_options, result.reasons))
    if status == OUTLIER:
        return MovieFrame(number, status, reasons, last.place)
    measured = _measured(result)
    place = after(last.place, measured) if step_by_step and last is not reference else measured
    return MovieFrame(number, status, reasons, place, result.evidence.zncc_after)


def _measured(result: RegistrationResult) -> FrameField:
    assert result.field is not None
    assert result.bending is not None
    return FrameField(with_spacing(result.field, _SPACING_PX), result.bending.expected_error)


def in_pixels(place: FrameField, factor: int, shape: tuple[int, int]) -> FrameField:
    """Return the place of a frame (H, W) in pixels, from the one in blocks of a side of ``factor`` pixels."""
    if factor == 1:
        return place
    middle, field = (factor - 1) / 2, place.field
    to_pixels = np.array([[factor, 0, middle], [0, factor, middle], [0, 0, 1.0]])

    def mapping(points: np.ndarray) -> np.ndarray:
        return field.continued((points - middle) / factor)[0] * factor + middle

    matrix = to_pixels @ field.matrix @ np.linalg.inv(to_pixels)
    fitted = fit_spline(mapping, matrix / matrix[2, 2], shape, field.spacing * factor)
    return FrameField(fitted, _error_in_pixels(place.error, factor), place.fit_error * factor)


def _error_in_pixels(error: ErrorMap | None, factor: int) -> ErrorMap | None:
    if error is None:
        return None
    return replace(error, rows=error.rows * factor, columns=error.columns * factor, error=error.error * factor)
