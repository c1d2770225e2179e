"""How a transform file moves an image: by one transform for all its planes, or by one for each of its channels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from zncc_cli.config import Canvas
from zncc_cli.config.apply import ApplyConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.channels import Channels, channels_of
from zncc_cli.files.image import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.transforms.calibration_json import Calibration, read_calibration
from zncc_cli.files.transforms.transform_json import TransformFile, read_transform
from zncc_cli.jobs.resampled import TransformOf
from zncc_cli.jobs.transforms import inverse_of, inverse_spline, warn_of_status
from zncc_cli.registration.resampling.canvas import Frame, frame_of, frame_of_all
from zncc_cli.registration.transforms.bending import Transform, mapped_points, matrix_of
from zncc_cli.registration.transforms.matrices import is_singular
from zncc_cli.registration.warp import corners
from zncc_cli.text import one_line, shown

_MAX_COORDINATE_PX = 1e9  # farther away no image has pixels


@dataclass(frozen=True, eq=False)
class Move:
    """How an image is moved: its transform, or that of each plane, onto a canvas of a grid; with sentences on that.

    ``by_sample``: the samples of colours are moved by themselves; their number is the last of a plane's index.
    """

    transform: Transform | TransformOf
    canvas: Frame
    grid: Metadata | None
    notes: tuple[str, ...] = ()
    by_sample: bool = False


class Mover(Protocol):
    """What a transform file says of an image."""

    def move(self, path: Path, image: Image) -> Move:
        """Return how an image is moved; raise `InputError` or `OptionError` where the file is not for it."""
        ...


class TransformMover:
    """Moves all planes of an image by the transform of a transform.json."""

    def __init__(self, config: ApplyConfig) -> None:
        """Read the transform that ``config`` names; raise `InputError` where it cannot be used."""
        if config.channel is not None:
            raise OptionError(f"`channel`: expected with a calibration, {shown(config.transform)} is a transform")
        file = read_transform(config.transform)
        warn_of_status(config.transform, file.status)
        self._path, self._shapes, self._grid = config.transform, (file.fixed_shape, file.moving_shape), file.grid
        _check_transform(config.transform, file.transform, file.fixed_shape)
        self._transform, self._notes = file.transform, tuple[str, ...]()
        if config.inverse:
            self._transform, self._notes = _inverse(config.transform, file)
            self._shapes, self._grid = self._shapes[::-1], None
            _check_transform(config.transform, self._transform, self._shapes[0])
        self._canvas = frame_of(config.resampling.canvas, self._transform, *self._shapes)

    def move(self, path: Path, image: Image) -> Move:
        """Return the transform, for an image of the size that it was made for."""
        if image.shape != self._shapes[1]:
            (height, width), (found_height, found_width) = self._shapes[1], image.shape
            other = "; give --inverse for images of the fixed frame" if image.shape == self._shapes[0] else ""
            raise InputError(
                f"{path}: expected {width} x {height} pixels, the image that {self._path} moves, "
                f"found {found_width} x {found_height}{other or '; name an image of this size'}"
            )
        return Move(self._transform, self._canvas, self._grid, (*self._notes, *_calibration_notes(image, self._grid)))


class CalibrationMover:
    """Moves each channel of an image by its matrix in a calibration.json, onto the image's own frame."""

    def __init__(self, config: ApplyConfig) -> None:
        """Read the calibration that ``config`` names; raise `InputError` where it cannot be used."""
        if config.inverse:
            raise OptionError("`inverse`: expected with a transform, which has one inverse; a calibration has several")
        self._config, self._calibration = config, read_calibration(config.transform)
        for channel in self._calibration.channels:
            _check_transform(config.transform, channel.matrix, self._calibration.shape)
        bad = [channel for channel in self._calibration.channels if channel.status != "ok"]
        if bad:
            warn_of_status(config.transform, bad[0].status)

    def move(self, path: Path, image: Image) -> Move:
        """Return the matrix of each channel of an image of the calibration's size."""
        height, width = self._calibration.shape
        if image.shape != (height, width):
            raise InputError(
                f"{path}: expected {width} x {height} pixels, as the calibration {self._config.transform} is of, found "
                f"{image.shape[1]} x {image.shape[0]}; calibrate on images of this size"
            )
        by_sample = image.axes.endswith("S")
        if by_sample and image.metadata.photometric != "rgb":
            raise InputError(
                f"{path}: expected channels along an axis of their own or colours, found further samples; save them as "
                "channels"
            )
        channels = channels_of(image)
        numbers, notes = _matched(path, channels, self._calibration, self._config.channel)
        matrices = [self._calibration.channels[number].matrix for number in numbers]

        def transform_of(index: tuple[int, ...]) -> np.ndarray:
            return matrices[0 if channels.axis is None else index[channels.axis]]

        kind = self._config.resampling.canvas
        canvas = (
            Frame(0, 0, width, height)
            if kind is Canvas.FIXED
            else frame_of_all(kind, matrices, image.shape, image.shape)
        )
        return Move(transform_of, canvas, image.metadata, (*channels.notes, *notes), by_sample)


def _matched(
    path: Path, channels: Channels, calibration: Calibration, choice: str | None
) -> tuple[list[int], tuple[str, ...]]:
    """Return the calibration's channel for each channel of an image: by its name, by ``choice``, or by its place."""
    known = [channel.name.casefold() for channel in calibration.channels]
    names, listed = [name.casefold() for name in channels.names], ", ".join(c.name for c in calibration.channels)
    if choice is not None:
        word = choice.strip().casefold()
        number = known.index(word) if word in known else int(word) if word.isdecimal() and len(word) < 10 else -1
        if len(names) != 1 or not 0 <= number < len(known):
            found = f"{len(names)} channels" if len(names) != 1 else choice
            raise OptionError(
                f"`channel`: expected one of {listed}, or its number from 0, for an image of one channel, got {found} "
                f"for {shown(path)}"
            )
        return [number], ()
    if set(names) <= set(known):
        return [known.index(name) for name in names], ()
    if len(names) == len(known):
        order = "" if not channels.named else f" ({', '.join(channels.names)})"
        return [*range(len(known))], (f"{path.name}: its channels{order} are taken for {listed}, in this order",)
    raise InputError(
        f"{path}: expected channels of the calibration ({listed}), found {', '.join(channels.names[:20])}; give "
        "--channel for an image of one channel"
    )


def _inverse(path: Path, file: TransformFile) -> tuple[Transform, tuple[str, ...]]:
    """Return the inverse of a transform, and a sentence on how far a spline that stands for it is off."""
    if file.field is None:
        return inverse_of(path, file.matrix), ()
    inverse = inverse_spline(path, file.field, file.moving_shape)
    return inverse.field, (f"{path.name}: its inverse is a spline, off by at most {inverse.error:.2g} px",)


def _check_transform(path: Path, transform: Transform, shape: tuple[int, int]) -> None:
    """Raise `InputError` where a transform is singular, or maps every corner of the frame (H, W) far away."""
    matrix = matrix_of(transform)
    with np.errstate(all="ignore"):
        mapped = mapped_points(transform, corners(shape))
    in_reach = np.isfinite(mapped).all(axis=-1) & (np.abs(mapped) < _MAX_COORDINATE_PX).all(axis=-1)
    if is_singular(matrix) or not in_reach.any():
        raise InputError(
            f"{path}: expected a matrix that takes the frame's pixels to pixels of the other image, found "
            f"{one_line(matrix.tolist())}; align again"
        )


def _calibration_notes(image: Image, grid: Metadata | None) -> tuple[str, ...]:
    """Return a sentence where an image has a place on the Earth, and the frame that it is resampled onto has none."""
    if grid is not None or not image.metadata.georeference:
        return ()
    name = image.metadata.path.name
    return (f"{name}: the place of the frame that it is resampled onto is not known, and is not written",)
