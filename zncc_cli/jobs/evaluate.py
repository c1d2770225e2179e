"""A transform compared with landmarks of both images. Torch is not imported, so this command starts fast."""

from __future__ import annotations

import csv
import io
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config.evaluate import EvaluateConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.images import read_image
from zncc_cli.files.landmarks.landmarks import Pairs
from zncc_cli.files.landmarks.read import read_pairs, read_points
from zncc_cli.files.output_folder import atomic_write, refuse_existing, refuse_sources
from zncc_cli.files.transforms.formats import Linear, read_linear
from zncc_cli.jobs.bigwarp import in_pixels
from zncc_cli.jobs.transforms import warn_of_status
from zncc_cli.registration.quality.landmark_error import LandmarkErrors
from zncc_cli.registration.transforms.matrices import map_points
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.evaluate")

_COLUMNS = "name,fixed_x,fixed_y,moving_x,moving_y,mapped_x,mapped_y,error_x,error_y,tre"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How far a transform takes landmarks from where they belong.

    Attributes:
        errors: of the landmarks.
        moving_shape: (H, W) of the moving image; None where nothing says it.
        notes: a sentence for each thing that the user should know.
        out: the table of residuals, or None.
    """

    errors: LandmarkErrors
    moving_shape: tuple[int, int] | None
    notes: tuple[str, ...]
    out: Path | None

    @property
    def report(self) -> dict[str, Any]:
        """The figures for programs; lengths are pixels of the moving image."""
        errors, tre = self.errors, self.errors.tre
        rtre = None if self.moving_shape is None else errors.rtre(self.moving_shape)._asdict()
        return {
            "landmarks": len(errors.vectors),
            "tre": {**tre._asdict(), "rms": errors.rms, "max": errors.largest},
            "rtre": rtre,
            "ce90": errors.ce90,
            "bias": list(errors.bias),
            "notes": list(self.notes),
            "out": self.out,
        }


def evaluate(config: EvaluateConfig) -> Evaluation:
    """Compare a transform with landmarks, and write the table of residuals if that is asked for.

    Raises:
        InputError: a file cannot be used, or the transform has no place for a landmark. OptionError: an image is needed
            and not given, or given and not needed. OutputError: the table cannot be written.
    """
    transform = read_linear(config.transform)
    if config.out is not None:
        refuse_sources([config.out], [config.transform, config.fixed_points, config.moving_points])
        refuse_existing(config.out, overwrite=config.overwrite)
    warn_of_status(config.transform, transform.status)
    second = config.moving_points
    pairs = read_pairs(config.fixed_points) if second is None else read_points(config.fixed_points, second)
    pairs, moving_shape, notes = _with_images(config, pairs, transform)
    mapped = map_points(transform.matrix, pairs.fixed) if transform.bend is None else _bent(transform, pairs.fixed)
    lost = np.flatnonzero(~np.isfinite(mapped).all(axis=1))
    if lost.size:
        raise InputError(
            f"{shown(config.fixed_points)}: expected landmarks that have a place in the moving image, found "
            f"{pairs.fixed[lost[0]].tolist()} of landmark {lost[0] + 1}, on or behind the horizon; leave it out"
        )
    for image, points, shape in (
        ("fixed", pairs.fixed, transform.fixed_shape),
        ("moving", pairs.moving, moving_shape),
    ):
        notes += _outside(image, points, shape)
    errors = LandmarkErrors(mapped - pairs.moving)
    if config.out is not None:
        with atomic_write(config.out) as file:
            file.write(_table(pairs, mapped, errors).encode(errors="surrogateescape"))
    for note in notes:
        logger.info("%s", note)
    return Evaluation(errors, moving_shape, notes, config.out)


def _with_images(
    config: EvaluateConfig, pairs: Pairs, transform: Linear
) -> tuple[Pairs, tuple[int, int] | None, tuple[str, ...]]:
    """Return the landmarks in pixels, the (H, W) of the moving image if it is known, and sentences on both."""
    if pairs.calibrated:
        if config.fixed is None or config.moving is None:
            name = "fixed" if config.fixed is None else "moving"
            raise OptionError(f"`{name}`: expected the image that BigWarp's landmarks were set in, got none; give it")
        fixed, moving = read_image(config.fixed), read_image(config.moving)
        pairs, notes = in_pixels(pairs, fixed, moving)
        _check_size(config.fixed, fixed.shape, transform.fixed_shape)
        _check_size(config.moving, moving.shape, transform.moving_shape)
        return pairs, moving.shape, notes
    if config.fixed is not None:
        raise OptionError("`fixed`: expected with landmarks of BigWarp alone, got it with pixels; leave it out")
    if config.moving is None:
        return pairs, transform.moving_shape, ()
    if transform.moving_shape is not None:
        raise OptionError("`moving`: expected where nothing else tells its size, got it; leave it out")
    return pairs, read_image(config.moving).shape, ()


def _check_size(path: Path, shape: tuple[int, int], expected: tuple[int, int] | None) -> None:
    if expected is not None and shape != expected:
        raise InputError(
            f"{shown(path)}: expected {expected[1]} x {expected[0]} pixels, which the transform was made for, found "
            f"{shape[1]} x {shape[0]}; name the image that was aligned"
        )


def _bent(transform: Linear, points: NDArray[np.float64]) -> NDArray[np.float64]:
    assert transform.bend is not None
    return transform.bend.map_points(points)


def _outside(image: str, points: NDArray[np.float64], shape: tuple[int, int] | None) -> tuple[str, ...]:
    """Return a sentence where landmarks lie outside their image, as those do that are no pixels or begin with y."""
    if shape is None:
        return ()
    count = int((~((points > -1) & (points < [shape[1], shape[0]])).all(axis=1)).sum())
    if not count:
        return ()
    return (
        f"{count} of {len(points)} landmarks lie outside the {image} image of {shape[1]} x {shape[0]} pixels; check "
        "that coordinates are pixels, and that x comes first",
    )


def _table(pairs: Pairs, mapped: NDArray[np.float64], errors: LandmarkErrors) -> str:
    """Return the residuals as text, a line for each landmark in the order of the file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS.split(","))
    names = pairs.names or tuple(str(number) for number in range(1, len(mapped) + 1))
    columns = np.hstack([pairs.fixed, pairs.moving, mapped, errors.vectors, errors.distances[:, None]])
    for name, row in zip(names, columns.tolist(), strict=True):
        writer.writerow([name, *map(repr, row)])
    return text.getvalue()
