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
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.files.transforms.formats import Linear, read_linear
from zncc_cli.files.transforms.side_files import read_expected_error
from zncc_cli.files.transforms.stack_json import is_of_stack, read_stack
from zncc_cli.jobs.disk import check_disk
from zncc_cli.jobs.row_file import RowFile
from zncc_cli.jobs.transforms import as_spline, warn_of_status
from zncc_cli.progress import counted, say
from zncc_cli.registration.transforms.bending import displacements, jacobians
from zncc_cli.registration.transforms.matrices import is_mirrored
from zncc_cli.registration.transforms.strain import Strain, plane_gradients, strain_of
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.strain")

TABLE, CURVE = "strain.csv", "strain_curve.csv"
MAPS = tuple(field.name for field in dataclasses.fields(Strain))
_NAMES = (TABLE, *(f"{name}.tif" for name in MAPS))
_OF_CURVE = ("exx", "eyy", "exy")
_STRIP_PIXELS = 2**18  # computed at a time, by some fifty numbers each
_MATRIX_GAUGE = 15  # pixels; about what DIC programs begin with
# Of a displacement, over the gauge length of the spline: a strain is then off by one or two percent. On a tension test
# (specimen before a flat background) what is expected to be off by more is a seam of some ten pixels, and no more.
_MOST_STRAIN_ERROR = 1 / 80
# Under strong noise all is off by more, textured ground as well: by up to twice the error of its best tenth, and flat
# ground by two to four times of it.
_BEST_PERCENT, _TIMES_BEST = 10, 2.0
_UNPLACED = ("blank", "outlier")  # frames that have no place of their own, and no strain


@dataclass(frozen=True)
class StrainMaps:
    """The maps that were written.

    Attributes:
        out: their folder.
        files: their names, the table first.
        gauge: gauge length, pixels.
        step: distance of the points of the table, pixels.
        points: of the table; ok: of these, those with a whole window; uncertain: those whose place may be off by more
            than ``max_error``.
        mean: of each map, over the points that are ok; None where there is none.
        frames: of a movie; None for a single transform.
    """

    out: Path
    files: tuple[str, ...]
    gauge: int
    step: int
    points: int
    ok: int
    uncertain: int
    mean: dict[str, float] | None
    frames: int | None = None


@dataclass(frozen=True, eq=False)
class _Source:
    """A transform whose strain is computed.

    Attributes:
        linear: the transform, with the size of the fixed image; None for a frame without a place of its own.
        error: the expected error of the displacements, (H, W), pixels; None where it is not known.
        frame, status: of the frame of a movie.
    """

    linear: Linear | None
    error: NDArray[np.float32] | None
    frame: int = 0
    status: str = ""


def write_strain(config: StrainConfig) -> StrainMaps:
    """Write ``exx.tif`` and the other maps of `Strain`, on the fixed frame, and ``strain.csv``.

    Of the transforms.json of a movie the maps have a page for each frame, the table a column with its number, and
    ``strain_curve.csv`` the means of each frame.

    Raises:
        InputError: the transform cannot be read, mirrors, or does not hold the size of its fixed image.
        OutputError: a file cannot be written; none is written then. ResourceError: the disk is too small.
    """
    sources, of_movie, files = _sources(config.transform)
    first = next((source.linear for source in sources if source.linear is not None), None)
    if first is None or first.fixed_shape is None:
        raise InputError(f"{shown(config.transform)}: expected a frame that is aligned, found none; align again")
    gauge, shape = config.gauge or _gauge(first), first.fixed_shape
    if config.max_error is not None and all(source.error is None for source in sources):
        logger.warning(
            "--max-error: expected a transform with an expected_error.tif, found none; no point is uncertain"
        )
    step = config.step or max(1, gauge // 2)
    names = (*_NAMES, CURVE) if of_movie else _NAMES
    # Rows of floats are kept until they are written.
    check_disk(config.out, 2 * 4 * len(MAPS) * len(sources) * shape[0] * shape[1])
    refuse_sources((config.out / name for name in names), [config.transform, *files])
    with (
        OutputFolder(config.out, names=names, overwrite=config.overwrite) as folder,
        _RowFiles(folder.staging, shape[1]) as rows_of,
    ):
        tables = []
        with (folder.staging / TABLE).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            prefix = ("frame",) if of_movie else ()
            writer.writerow((*prefix, "x", "y", "u", "v", "sigma", *MAPS, "status"))
            for number, source in enumerate(counted(sources, len(sources))):
                say(f"mapping strain, frame {number + 1} of {len(sources)}")
                table = _Table(step, source, of_movie)
                tables.append(table)
                max_error = _max_error(source) if config.max_error is None else config.max_error
                for rows, part in _parts(source, shape, gauge, max_error):
                    if part is not None:
                        table.add(writer, rows, part)
                    for name in MAPS:
                        blank = np.full((len(rows), shape[1]), np.nan, np.float32)
                        rows_of[name].append(blank if part is None else getattr(part.strain, name).astype(np.float32))
        for name in MAPS:
            count = len(sources) if of_movie else None
            _write_map(folder.staging / f"{name}.tif", rows_of[name], first.grid, shape, count)
        if of_movie:
            _write_curve(folder.staging / CURVE, tables)
    counts = ((table.points, table.ok, table.uncertain) for table in tables)
    points, ok, uncertain = (sum(each) for each in zip(*counts, strict=True))
    frames = len(sources) if of_movie else None
    return StrainMaps(config.out, names, gauge, step, points, ok, uncertain, tables[-1].mean, frames)


def _sources(path: Path) -> tuple[list[_Source], bool, list[Path]]:
    """Return what a file holds, whether it is of a movie, and the files beside it that are read.

    Raises:
        InputError: see `write_strain`.
    """
    if not is_of_stack(path):
        linear = read_linear(path)
        warn_of_status(path, linear.status)
        linear, _ = as_spline(path, linear)
        if linear.fixed_shape is None:
            raise InputError(
                f"{shown(path)}: expected a transform with the size of its fixed image, found none; convert it "
                "to .json with --fixed and --moving"
            )
        _refuse_mirror(path, linear)
        return [_Source(linear, _error(linear.expected_error, linear.fixed_shape))], False, []
    stack = read_stack(path)
    errors = _error(stack.expected_error, (len(stack.frames), *stack.shape))
    sources = []
    for index, frame in enumerate(stack.frames):
        linear = Linear(frame.matrix, stack.shape, stack.shape, bend=frame.field)
        _refuse_mirror(path, linear)
        placed = None if frame.status in _UNPLACED else linear
        error = None if errors is None else errors[index]
        sources.append(_Source(placed, error, frame.number, frame.status))
    return sources, True, [] if stack.expected_error is None else [stack.expected_error]


def _refuse_mirror(path: Path, linear: Linear) -> None:
    if is_mirrored(linear.matrix):
        raise InputError(
            f"{shown(path)}: expected a transform that does not mirror, found one that does, which has no "
            "strain; mirror the moving image and align again"
        )


def _error(path: Path | None, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """Return the expected errors, pixels, from their file; None without one."""
    if path is None:
        return None
    if not path.exists():
        logger.warning("%s: not beside the transform; sigma is left empty, and no point is uncertain", shown(path))
        return None
    return read_expected_error(path, shape)


def _gauge(linear: Linear) -> int:
    """Return the gauge length where none is asked for: the odd number above two spacings of the nodes."""
    return _MATRIX_GAUGE if linear.bend is None else 2 * round(linear.bend.spacing) + 1


def _max_error(source: _Source) -> float:
    """Return the largest expected error of a strain, pixels, where none is asked for; see `_MOST_STRAIN_ERROR`."""
    if source.linear is None or source.linear.bend is None:
        return math.inf
    least = _MOST_STRAIN_ERROR * 2 * source.linear.bend.spacing
    known = np.zeros(0) if source.error is None else source.error[np.isfinite(source.error)]
    return max(least, _TIMES_BEST * float(np.percentile(known, _BEST_PERCENT))) if known.size else least


@dataclass(frozen=True, eq=False)
class _Part:
    """What is known of some rows.

    Attributes:
        displacements: (h, W, 2).
        sigma: standard deviation of u, and of v, (h, W): that of each where both are known alike. NaN if not known.
        uncertain: (h, W), whether the displacement may be off by more than the largest error that is allowed.
        share: (h, W), the part of each window that is known, and not uncertain.
        strain: NaN where the pixel is uncertain.
    """

    displacements: NDArray[np.float64]
    sigma: NDArray[np.float64]
    uncertain: NDArray[np.bool_]
    share: NDArray[np.float64]
    strain: Strain


def _parts(
    source: _Source, shape: tuple[int, int], gauge: int, max_error: float
) -> Iterator[tuple[range, _Part | None]]:
    """Yield rows of the fixed frame, from top to bottom, and what is known of them; None without a transform."""
    linear, height = source.linear, max(gauge, _STRIP_PIXELS // shape[1])
    for first in range(0, shape[0], height):
        rows = range(first, min(first + height, shape[0]))
        yield rows, None if linear is None else _part(linear, source.error, rows, shape, gauge, max_error)


def _part(
    linear: Linear,
    error: NDArray[np.float32] | None,
    rows: range,
    shape: tuple[int, int],
    gauge: int,
    max_error: float,
) -> _Part:
    around = range(max(0, rows.start - gauge // 2), min(shape[0], rows.stop + gauge // 2))
    own = slice(rows.start - around.start, rows.stop - around.start)
    u = displacements(linear.transform, around, range(shape[1]), linear.moving_shape)
    errors = np.full(u.shape[:2], np.nan) if error is None else error[around.start : around.stop].astype(np.float64)
    uncertain = errors > max_error
    trusted = np.where(uncertain[..., None], np.nan, u)
    if gauge == 1:
        gradients = jacobians(linear.transform, rows, range(shape[1])) - np.eye(2)
        share = np.asarray(np.isfinite(trusted[own]).all(axis=-1), np.float64)
    else:
        whole, shares = plane_gradients(trusted, gauge)
        gradients, share = whole[own], shares[own]
    gradients[~np.isfinite(trusted[own]).all(axis=-1)] = np.nan
    return _Part(u[own], errors[own] / math.sqrt(2), uncertain[own], share, strain_of(gradients))


class _Table:
    """The rows of strain.csv of one transform, and what they sum up to.

    Attributes:
        source: the transform. points, ok, uncertain, mean: as in `StrainMaps`.
    """

    def __init__(self, step: int, source: _Source, of_movie: bool) -> None:
        self.source, self._step = source, step
        self._prefix = (source.frame,) if of_movie else ()
        self.points = self.ok = self.uncertain = 0
        self._sums = dict.fromkeys(MAPS, 0.0)
        self._variance, self._known = 0.0, 0

    @property
    def mean(self) -> dict[str, float] | None:
        return {name: total / self.ok for name, total in self._sums.items()} if self.ok else None

    @property
    def sigma(self) -> float:
        """Root mean square of sigma over the points that are ok; NaN where it is not known."""
        return math.sqrt(self._variance / self._known) if self._known else math.nan

    def add(self, writer: Any, rows: range, part: _Part) -> None:
        """Write the points of some rows."""
        chosen = [row for row in rows if row % self._step == self._step // 2]  # the middles of the cells of a grid
        columns = np.arange(self._step // 2, part.share.shape[1], self._step)
        maps = [getattr(part.strain, name) for name in MAPS]
        for row in chosen:
            at = row - rows.start
            outside = ~np.isfinite(part.displacements[at, columns]).all(axis=-1)
            values = np.stack([values[at, columns] for values in maps], axis=-1)
            cases = {
                "outside": outside,
                "uncertain": part.uncertain[at, columns],
                "cut": ~np.isfinite(values[:, -1]),
                "fold": values[:, -1] <= 0,
                "edge": part.share[at, columns] < 1,
            }
            status = np.select([*cases.values()], [*cases], "ok")
            self.points += len(columns)
            whole = status == "ok"
            self.ok += int(whole.sum())
            self.uncertain += int((status == "uncertain").sum())
            for number, name in enumerate(MAPS):
                self._sums[name] += float(values[whole, number].sum())
            sigma = part.sigma[at, columns]
            told = sigma[whole & np.isfinite(sigma)]
            self._variance, self._known = self._variance + float(told @ told), self._known + len(told)
            lines = zip(columns, part.displacements[at, columns], sigma, values, status, strict=True)
            for x, u, deviation, value, word in lines:
                writer.writerow((*self._prefix, x, row, *map(_text, (*u, deviation)), *map(_text, value), word))


def _write_curve(path: Path, tables: list[_Table]) -> None:
    """Write the mean strain of each frame; empty where it has no place."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("frame", "status", "points", *_OF_CURVE, "sigma"))
        for table in tables:
            mean = table.mean or dict.fromkeys(MAPS, math.nan)
            values = (*(mean[name] for name in _OF_CURVE), table.sigma)
            writer.writerow((table.source.frame, table.source.status, table.ok, *map(_text, values)))


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


def _write_map(path: Path, rows: RowFile, grid: Metadata | None, shape: tuple[int, int], frames: int | None) -> None:
    """Write the rows of a map (H, W), or of one after the other, (frames, H, W)."""
    height = shape[0]
    strips = (
        rows.read(slice(top + first, top + min(first + STRIP_ROWS, height)))
        for top in range(0, height * (frames or 1), height)
        for first in range(0, height, STRIP_ROWS)
    )
    whole, axes = (shape, "YX") if frames is None else ((frames, *shape), "TYX")
    write_strips(path, strips, shape=whole, dtype=np.float32, axes=axes, like=None, frame=grid)
