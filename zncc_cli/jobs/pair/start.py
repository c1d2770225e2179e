"""The start that ``--init`` names: the identity, a transform file, landmarks, or where both files say they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config import GRID, IDENTITY, PairConfig, TransformFormat
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.image import Image
from zncc_cli.files.landmarks import read as landmarks
from zncc_cli.files.landmarks.landmarks import Pairs
from zncc_cli.files.paths import MismatchError, read_small_file, refusal
from zncc_cli.files.placement import placed_matrix, placement
from zncc_cli.files.transforms.formats import FORMATS, read_linear
from zncc_cli.jobs.bigwarp import in_pixels
from zncc_cli.registration.transforms.landmarks import LandmarkFit, fit_landmarks
from zncc_cli.text import described_start, shown

_IMAGES = (TransformFormat.TIFF, TransformFormat.OME_ZARR)  # are no start
_FORMATS = {kind: entry for kind, entry in FORMATS.items() if kind not in _IMAGES}
_EXPECTED = f"a transform ({', '.join(_FORMATS)}), or {landmarks.EXPECTED}"


@dataclass(frozen=True, eq=False)
class Start:
    """The matrix (3, 3) to start from, fixed -> moving pixels, and sentences on how it was made."""

    matrix: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def read_start(config: PairConfig, fixed: Image, moving: Image) -> Start:
    """Return the start that the ``init`` of ``config``, which has one, names for its two images.

    Raises:
        InputError: a file cannot be read, or says nothing that a start can be made of.
    """
    if config.init == IDENTITY:
        return Start(np.eye(3))
    if config.init == GRID:
        return _of_placements(fixed, moving)
    path, *rest = config.init_files
    if rest:
        return _of_landmarks(config, landmarks.read_points(path, rest[0]), fixed, moving)
    content = read_small_file(path, expected=_EXPECTED, advice="check the file")
    if landmarks.recognizes(content):
        return _of_landmarks(config, landmarks.read_pairs(path), fixed, moving)
    if not any(entry.recognizes(content) for entry in _FORMATS.values()):
        found = described_start(content[:64])
        raise refusal(path, expected=_EXPECTED, found=found, advice="check the file")
    return _of_transform(path, fixed.shape, moving.shape)


def _of_transform(path: Path, fixed_shape: tuple[int, int], moving_shape: tuple[int, int]) -> Start:
    """Return the start of a transform file, with a sentence for each image of another size than it is of."""
    linear = read_linear(path)
    sizes = (("fixed", linear.fixed_shape, fixed_shape), ("moving", linear.moving_shape, moving_shape))
    notes = tuple(
        f"{shown(path)}: of a {image} image of {expected[1]} x {expected[0]} pixels, this one has {shape[1]} x "
        f"{shape[0]}; it is the start all the same, pixel for pixel"
        for image, expected, shape in sizes
        if expected is not None and expected != shape
    )
    if linear.bend is not None:
        notes += (f"{shown(path)}: bends; the matrix upon which it does is the start",)
    return Start(linear.matrix, notes)


def _of_placements(fixed: Image, moving: Image) -> Start:
    """Return the start by which pixels of the same place on the Earth, or of a stage, correspond."""
    places = [placement(image.metadata, image.shape) for image in (fixed, moving)]
    notes = (
        f"{shown(image.metadata.path.name)}: {note}"
        for image, place in zip((fixed, moving), places, strict=True)
        for note in place.notes
    )
    try:
        return Start(placed_matrix(*places), tuple(notes))
    except MismatchError as problem:
        advice = "bring both images to one system, or give landmarks"
        raise refusal(moving.metadata.path, expected=problem.expected, found=problem.found, advice=advice) from None


def _of_landmarks(config: PairConfig, pairs: Pairs, fixed: Image, moving: Image) -> Start:
    """Return the start that takes the landmarks of the fixed image to those of the moving one."""
    name, notes = ",".join(map(shown, config.init_files)), tuple[str, ...]()
    if pairs.calibrated:
        pairs, notes = in_pixels(pairs, fixed, moving)
    try:
        fit = fit_landmarks(pairs.fixed, pairs.moving, config.registration.model)
    except OptionError as error:
        raise InputError(f"{name}: {error}") from None
    return Start(fit.matrix, (*notes, f"{name}: {_description(fit)}"))


def _description(fit: LandmarkFit) -> str:
    """Return how a start was made of landmarks, in words."""
    count = f"{len(fit.distances)} landmark{'s' if len(fit.distances) > 1 else ''}"
    text = f"the start is fitted to {count} ({fit.model}, RMS distance {fit.rms:.1f} px)"
    if fit.outlier is None:
        return text
    away = fit.distances[fit.outlier]
    return f"{text}; landmark {fit.outlier + 1} was left out, since it lies {away:.0f} px from where the others put it"
