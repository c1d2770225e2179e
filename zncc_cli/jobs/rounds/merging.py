"""All channels of all rounds, resampled onto one canvas and written as one OME-TIFF, a strip at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from zncc_cli.config import Canvas, Pyramid, ResamplingConfig
from zncc_cli.errors import InputError
from zncc_cli.files.channels import unique_names
from zncc_cli.files.image_output import STRIP_ROWS, write_strips
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.tiff.calibration import length_unit, unescaped
from zncc_cli.jobs.calibration import calibrated_grid
from zncc_cli.jobs.resampled import Resampler, Strip, Tally, TransformOf
from zncc_cli.jobs.rounds.inputs import Round
from zncc_cli.jobs.stack.movie import Progress
from zncc_cli.jobs.threads import in_order
from zncc_cli.process import usable_cores
from zncc_cli.progress import counted
from zncc_cli.registration.resampling.canvas import Frame, frame_of, frame_of_all
from zncc_cli.registration.transforms.bending import Transform, matrix_of
from zncc_cli.text import shown

_OF_IMAGE = ("Name", "Description", "AcquisitionDate", "PhysicalSizeZ", "PhysicalSizeZUnit")
_OF_TIME = ("TimeIncrement", "TimeIncrementUnit")
# OME-TIFF's types of pixels, and what else becomes one of them without a loss.
_OME_DTYPES = ("u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8")
_WIDER = {"f2": np.dtype(np.float32)}


@dataclass(frozen=True)
class MergedChannel:
    """A channel of the written image: its name, the round that it is from, and its number and name there."""

    name: str
    round: int
    number: int
    own_name: str


def merged_channels(rounds: Sequence[Round]) -> tuple[MergedChannel, ...]:
    """Return the channels of the written image: those of the first round, of the second, and so on."""
    places = [(k, number) for k, one in enumerate(rounds) for number in range(len(one.channels.names))]
    own = [rounds[k].channels.names[number] for k, number in places]
    names = unique_names([(name, rounds[k].name) for name, (k, _) in zip(own, places, strict=True)])
    return tuple(
        MergedChannel(name, k, number, own_name) for name, own_name, (k, number) in zip(names, own, places, strict=True)
    )


def merged_dtype(rounds: Sequence[Round]) -> tuple[np.dtype[Any], tuple[str, ...]]:
    """Return the dtype that holds the values of all rounds as they are, and a sentence where rounds have others.

    Raises:
        InputError: OME-TIFF has no such dtype.
    """
    dtypes = [one.channels.image.dtype for one in rounds]
    merged = np.result_type(*dtypes)
    merged = _WIDER.get(merged.str[1:], merged)
    if merged == np.int64 and all(dtype.itemsize < 8 for dtype in dtypes):
        merged = np.dtype(np.float64)  # of uint32 and int32: it holds every one of them
    has_wide = any(dtype.kind in "ui" and dtype.itemsize == 8 for dtype in dtypes)
    if has_wide or merged.str[1:] not in _OME_DTYPES:
        bad = next(one for one in rounds if one.channels.image.dtype.itemsize == max(d.itemsize for d in dtypes))
        raise InputError(
            f"{shown(bad.path)}: expected pixels that OME-TIFF holds, of up to 32 bits or float64, found "
            f"{bad.channels.image.dtype}; convert the file"
        )
    if set(dtypes) == {merged}:
        return merged, ()
    found = ", ".join(f"{one.name} {one.channels.image.dtype}" for one in rounds)
    return merged, (f"written as {merged}, which holds the values of all rounds as they are ({found})",)


def merged_canvas(
    rounds: Sequence[Round], transforms: Sequence[Transform], fixed: int, settings: ResamplingConfig
) -> Frame:
    """Return which pixels are written, in pixels of the fixed round; ``transforms`` map them to those of each round.

    Raises:
        OptionError, ContentError: there is no canvas of the kind that is asked for.
    """
    kind, shapes = settings.canvas, [one.view.shape for one in rounds]
    if kind is Canvas.UNION:
        frames = [
            frame_of(kind, transform, shapes[fixed], shape) for transform, shape in zip(transforms, shapes, strict=True)
        ]
        left, top = min(frame.left for frame in frames), min(frame.top for frame in frames)
        right, bottom = (max(getattr(frame, side).stop for frame in frames) for side in ("columns", "rows"))
        return Frame(left, top, right - left, bottom - top)
    if kind is Canvas.COMMON:
        by_shape = [
            frame_of_all(
                kind,
                [matrix_of(t) for t, s in zip(transforms, shapes, strict=True) if s == shape],
                shapes[fixed],
                shape,
            )
            for shape in dict.fromkeys(shapes)
        ]
        return _shared(by_shape)
    return Frame(0, 0, shapes[fixed][1], shapes[fixed][0])


def _shared(frames: Sequence[Frame]) -> Frame:
    """Return what frames have in common; rectangles that lie in the overlaps of rounds of one size each."""
    left, top = max(frame.left for frame in frames), max(frame.top for frame in frames)
    right, bottom = (min(getattr(frame, side).stop for frame in frames) for side in ("columns", "rows"))
    return Frame(left, top, max(1, right - left), max(1, bottom - top))


def write_merged(
    path: Path,
    rounds: Sequence[Round],
    transforms: Sequence[Transform],
    fixed: int,
    canvas: Frame,
    settings: ResamplingConfig,
    progress: Progress,
) -> tuple[int, tuple[str, ...]]:
    """Write all channels onto the canvas, and return how many values were clipped, and sentences on what is not kept.

    Memory: some strips of `STRIP_ROWS` rows.

    Raises:
        InputError: a round is damaged, or OME-TIFF does not hold its dtype. OutputError: the file cannot be written.
    """
    channels, (dtype, dtype_notes) = merged_channels(rounds), merged_dtype(rounds)
    resamplers = [
        Resampler(one.channels.image, _everywhere(transform), canvas, settings)
        for one, transform in zip(rounds, transforms, strict=True)
    ]
    tallies = [Tally(one.channels.image.dtype) for one in rounds]
    others = rounds[fixed].channels.others
    planes = list(product(product(*(range(n) for _, n in others)), range(len(channels))))

    def places() -> Iterator[tuple[int, tuple[int, ...], int]]:
        for number, (position, channel) in enumerate(planes):
            progress(f"writing plane {number + 1} of {len(planes)}, {channels[channel].name}")
            k, own = channels[channel].round, channels[channel].number
            index = rounds[k].channels.index(own, position)
            yield from ((k, index, row) for row in range(0, len(canvas.rows), STRIP_ROWS))

    def strip(place: tuple[int, tuple[int, ...], int]) -> tuple[int, Strip]:
        k, index, row = place
        return k, resamplers[k].strip((index, row))

    def pixels() -> Iterator[np.ndarray]:
        for k, one in in_order(strip, places(), usable_cores()):
            yield from (values.astype(dtype, copy=False) for values in tallies[k].pixels([one]))

    like, notes = _merged_metadata(rounds, fixed, channels, planes)
    grid, grid_notes = rounds[fixed].channels.image.metadata, tuple[str, ...]()
    for one, transform in zip(rounds, transforms, strict=True):
        if not grid_notes:
            grid, grid_notes = _grid(grid, one, transform, canvas)
    notes += grid_notes + dtype_notes
    notes += write_strips(
        path,
        counted(pixels(), len(planes) * -(-len(canvas.rows) // STRIP_ROWS)),
        shape=(*(n for _, n in others), len(channels), *canvas.shape),
        dtype=dtype,
        axes="".join(letter for letter, _ in others) + "CYX",
        like=like,
        frame=grid,
        offset=canvas.offset,
        pyramid=settings.pyramid is Pyramid.AUTO,
        is_labels=settings.labels,
    )
    notes += tuple(dict.fromkeys(note for tally in tallies for note in tally.notes))
    return sum(tally.clipped for tally in tallies), tuple(f"{path.name}: {note}" for note in notes)


def _everywhere(transform: Transform) -> TransformOf:
    """Return a function that returns ``transform`` for the plane at any index."""
    return lambda _: transform


def _grid(grid: Metadata, one: Round, transform: Transform, canvas: Frame) -> tuple[Metadata, tuple[str, ...]]:
    found, notes = calibrated_grid(grid, one.channels.image.metadata, transform, canvas.shape)
    return found or grid, notes


def _merged_metadata(
    rounds: Sequence[Round],
    fixed: int,
    channels: Sequence[MergedChannel],
    planes: Sequence[tuple[tuple[int, ...], int]],
) -> tuple[Metadata, tuple[str, ...]]:
    """Return what the written image is described by: the fixed round's description, all rounds' channels and planes."""
    source, notes = rounds[fixed].channels.image.metadata, tuple[str, ...]()
    letters = [letter for letter, _ in rounds[fixed].channels.others]
    wanted = (*_OF_IMAGE, *(_OF_TIME if "T" in letters else ()))
    properties = {key: source.properties[key] for key in wanted if key in source.properties}
    properties |= _slice_distance(source) if "Z" in letters and "PhysicalSizeZ" not in properties else {}
    properties["Channel"] = [
        {**rounds[one.round].channels.attributes[one.number], "Name": one.name} for one in channels
    ]
    by_round = [_plane_columns(one) for one in rounds]
    shared = [name for name in by_round[fixed] if all(name in columns for columns in by_round)]
    if shared:
        at = [(channels[channel], position) for position, channel in planes]
        properties["Plane"] = {
            name: [by_round[one.round][name][_flat(rounds[one.round], one.number, position)] for one, position in at]
            for name in shared
        }
    dropped = sorted({name for columns in by_round for name in columns} - set(shared))
    if dropped:
        notes += (f"left out, since not all rounds have it: {', '.join(f'Plane {name}' for name in dropped)}",)
    if any(one.channels.image.metadata.photometric == "miniswhite" for one in rounds):
        notes += ("values of rounds in which zero is white are kept, so that programs show them inverted",)
    left_out = tuple(dict.fromkeys(name for one in rounds for name in one.channels.image.metadata.left_out))
    nodata = {str(value): value for value in (one.channels.image.metadata.nodata for one in rounds)}  # NaN is one value
    if len(nodata) > 1:
        notes += ("left out: the values of missing pixels, which differ from round to round",)
    like = dataclasses.replace(
        Metadata(path=source.path, format="TIFF", flavor="ome", properties=properties),
        compression=source.compression,
        predictor=source.predictor,
        left_out=left_out,
        nodata=nodata.popitem()[1] if len(nodata) == 1 else None,
    )
    return like, notes


def _slice_distance(source: Metadata) -> dict[str, Any]:
    """Return OME's distance of slices from ImageJ's."""
    spacing, unit = source.properties.get("spacing"), None
    if source.pixel_size is not None:
        unit = length_unit(unescaped(source.pixel_size.unit))
    if not isinstance(spacing, int | float) or unit is None or not spacing > 0:
        return {}
    return {"PhysicalSizeZ": float(spacing), "PhysicalSizeZUnit": unit.name}


def _plane_columns(one: Round) -> Mapping[str, Sequence[Any]]:
    """Return OME's attributes of the planes of a round, by name, in the order of its leading axes."""
    metadata = one.channels.image.metadata
    columns = metadata.properties.get("Plane") if metadata.flavor == "ome" else None
    count = int(np.prod(one.channels.image.leading, dtype=np.int64))
    if not isinstance(columns, Mapping):
        return {}
    # The places of the stage are those of each round's own grid.
    return {
        name: values
        for name, values in columns.items()
        if isinstance(values, list | tuple) and len(values) == count and not name.startswith(("PositionX", "PositionY"))
    }


def _flat(one: Round, channel: int, others: tuple[int, ...]) -> int:
    """Return the number of a plane among all of a round."""
    index, leading = one.channels.index(channel, others), one.channels.image.leading
    return int(np.ravel_multi_index(index, leading)) if leading else 0
