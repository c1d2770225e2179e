"""Strain maps of a transform, as float32 TIFFs and a table. Torch is not imported."""

from __future__ import annotations

import csv
import dataclasses
import logging
import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zncc_cli.config.strain import StrainConfig
from zncc_cli.errors import InputError
from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.transforms.formats import Linear, read_linear
from zncc_cli.files.transforms.side_files import read_expected_error
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.row_file import RowFile
from zncc_cli.jobs.transforms import as_spline, warn_of_status
from zncc_cli.registration.transforms.bending import displacements, jacobians
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.transforms.strain import Strain, plane_gradients, strain_of
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.strain")

TABLE = "strain.csv"
MAPS = tuple(field.name for field in dataclasses.fields(Strain))
_NAMES = (TABLE, *(f"{name}.tif" for name in MAPS))
_STRIP_PIXELS = 2**18  # computed at a time, by some fifty numbers each
_MATRIX_GAUGE = 15  # pixels; about what DIC programs begin with


@dataclass(frozen=True)
class StrainMaps:
    """The maps that were written.

    Attributes:
        out: their folder.
        files: their names, the table first.
        gauge: gauge length, pixels.
        step: distance of the points of the table, pixels.
        points: of the table; ok: of these, those with a whole window.
        mean: of each map, over the points that are ok; None where there is none.
    """

    out: Path
    files: tuple[str, ...]
    gauge: int
    step: int
    points: int
    ok: int
    mean: dict[str, float] | None


def write_strain(config: StrainConfig) -> StrainMaps:
    """Write ``exx.tif`` and the other maps of `Strain`, on the fixed frame, and ``strain.csv``.

    Raises:
        InputError: the transform cannot be read, mirrors, or does not hold the size of its fixed image.
        OutputError: a file cannot be written; none is written then. ResourceError: the disk is too small.
    """
    linear = read_linear(config.transform)
    warn_of_status(config.transform, linear.status)
    linear, _ = as_spline(config.transform, linear)
    if linear.fixed_shape is None:
        raise InputError(
            f"{shown(config.transform)}: expected a transform with the size of its fixed image, found none; convert it "
            "to .json with --fixed and --moving"
        )
    if is_mirrored(linear.matrix):
        raise InputError(
            f"{shown(config.transform)}: expected a transform that does not mirror, found one that does, which has no "
            "strain; mirror the moving image and align again"
        )
    gauge, shape = config.gauge or _gauge(linear), linear.fixed_shape
    step = config.step or max(1, gauge // 2)
    check_disk(config.out, 2 * 4 * len(MAPS) * shape[0] * shape[1])  # rows of floats are kept until they are written
    refuse_sources((config.out / name for name in _NAMES), [config.transform])
    sigma = _sigma(linear, shape)
    with (
        OutputFolder(config.out, names=_NAMES, overwrite=config.overwrite) as folder,
        _RowFiles(folder.staging, shape[1]) as rows_of,
    ):
        table = _Table(folder.staging / TABLE, step, sigma)
        with table.path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("x", "y", "u", "v", "sigma", *MAPS, "status"))
            for rows, part in _strips(linear, shape, gauge):
                table.add(writer, rows, part)
                for name in MAPS:
                    rows_of[name].append(getattr(part.strain, name).astype(np.float32))
        for name in MAPS:
            _write_map(folder.staging / f"{name}.tif", rows_of[name], linear, shape)
    return StrainMaps(config.out, _NAMES, gauge, step, table.points, table.ok, table.mean)


def _sigma(linear: Linear, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Return the standard deviation of u, and of v, (H, W), pixels; None where the transform does not tell it.

    It is that of each component where both are known alike.
    """
    path = linear.expected_error
    if path is None:
        return None
    if not path.exists():
        logger.warning("%s: not beside the transform; sigma is left empty", shown(path))
        return None
    return read_expected_error(path, shape) / np.float32(math.sqrt(2))


def _gauge(linear: Linear) -> int:
    """Return the gauge length where none is asked for: the odd number above two spacings of the nodes."""
    return _MATRIX_GAUGE if linear.bend is None else 2 * round(linear.bend.spacing) + 1


@dataclass(frozen=True, eq=False)
class _Part:
    """What is known of some rows: displacements (h, W, 2), the share of each window that is known, and strains."""

    displacements: NDArray[np.float64]
    share: NDArray[np.float64]
    strain: Strain


def _strips(linear: Linear, shape: tuple[int, int], gauge: int) -> Iterator[tuple[range, _Part]]:
    """Yield rows of the fixed frame, from top to bottom, and what is known of them."""
    height = max(gauge, _STRIP_PIXELS // shape[1])
    for first in range(0, shape[0], height):
        rows = range(first, min(first + height, shape[0]))
        around = range(max(0, rows.start - gauge // 2), min(shape[0], rows.stop + gauge // 2))
        own = slice(rows.start - around.start, rows.stop - around.start)
        u = displacements(linear.transform, around, range(shape[1]), linear.moving_shape)
        if gauge == 1:
            gradients = jacobians(linear.transform, rows, range(shape[1])) - np.eye(2)
            share = np.asarray(np.isfinite(u[own]).all(axis=-1), np.float64)
            gradients[share == 0] = np.nan
        else:
            whole, shares = plane_gradients(u, gauge)
            gradients, share = whole[own], shares[own]
        yield rows, _Part(u[own], share, strain_of(gradients))


class _Table:
    """The rows of strain.csv, and what they sum up to.

    Attributes:
        path: of the file. points, ok, mean: as in `StrainMaps`.
    """

    def __init__(self, path: Path, step: int, sigma: NDArray[np.float32] | None) -> None:
        self.path, self._step, self._sigma = path, step, sigma
        self.points = self.ok = 0
        self._sums = dict.fromkeys(MAPS, 0.0)

    @property
    def mean(self) -> dict[str, float] | None:
        return {name: total / self.ok for name, total in self._sums.items()} if self.ok else None

    def add(self, writer: Any, rows: range, part: _Part) -> None:
        """Write the points of some rows."""
        chosen = [row for row in rows if row % self._step == self._step // 2]  # the middles of the cells of a grid
        columns = np.arange(self._step // 2, part.share.shape[1], self._step)
        maps = [getattr(part.strain, name) for name in MAPS]
        for row in chosen:
            at = row - rows.start
            known, share, folds = (
                np.isfinite(part.displacements[at, columns]).all(axis=-1),
                part.share[at, columns],
                maps[-1][at, columns] <= 0,
            )
            values = np.stack([values[at, columns] for values in maps], axis=-1)
            unfit = ~np.isfinite(maps[-1][at, columns])
            status = np.select([~known, unfit, folds, share < 1], ["outside", "cut", "fold", "edge"], "ok")
            self.points += len(columns)
            whole = status == "ok"
            self.ok += int(whole.sum())
            for number, name in enumerate(MAPS):
                self._sums[name] += float(values[whole, number].sum())
            sigma = np.full(len(columns), np.nan) if self._sigma is None else self._sigma[row, columns]
            lines = zip(columns, part.displacements[at, columns], sigma, values, status, strict=True)
            for x, u, deviation, value, word in lines:
                writer.writerow((x, row, *map(_text, (*u, deviation)), *map(_text, value), word))


def _text(value: float) -> str:
    """Return a number for the table; nothing where it is not known."""
    return f"{value:.9g}" if np.isfinite(value) else ""


class _RowFiles(ExitStack):
    """A temporary file of rows for each map, as the maps may be larger than the memory."""

    def __init__(self, folder: Path, width: int) -> None:
        super().__init__()
        self._files = {name: self.enter_context(RowFile(folder, width, np.float32)) for name in MAPS}

    def __getitem__(self, name: str) -> RowFile:
        return self._files[name]


def _write_map(path: Path, rows: RowFile, linear: Linear, shape: tuple[int, int]) -> None:
    strips = (rows.read(slice(first, min(first + STRIP_ROWS, shape[0]))) for first in range(0, shape[0], STRIP_ROWS))
    write_strips(path, strips, shape=shape, dtype=np.float32, axes="YX", like=None, frame=linear.grid)
