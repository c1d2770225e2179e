"""One pair of files: read, register, resample, write, report."""

from __future__ import annotations

import dataclasses
import logging
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

import zncc_cli
from zncc_cli.config import IDENTITY, NONE, Accept, Canvas, PairConfig, Product, ResamplingConfig
from zncc_cli.config.settings import command_line
from zncc_cli.errors import ContentError, ExitCode, OptionError, OutputError
from zncc_cli.files.folder import OutputFolder, refuse_sources
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output import write_picture
from zncc_cli.files.transforms.formats import read_linear
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.jobs.budget import affordable_factor, check_disk, file_bytes, map_bytes
from zncc_cli.jobs.missing import Missing, said_of
from zncc_cli.jobs.pair.digests import digests
from zncc_cli.jobs.pair.pictures import Layers, pair_layers, pair_overlay, pair_pictures
from zncc_cli.jobs.pair.products import (
    FIXED_ON_CANVAS,
    MAPS,
    MASK,
    OVERLAY,
    PAGE,
    REPORT,
    file_names,
    names_before,
    others,
)
from zncc_cli.jobs.pair.strips import Strips
from zncc_cli.jobs.reduction import Downsampled, full_result, reduced, reduced_matrix
from zncc_cli.jobs.resampled import missing_value, write_resampled
from zncc_cli.jobs.views import ChannelView, choose_views, masked, without_gaps
from zncc_cli.operators import native
from zncc_cli.registration.quality.verdict import Status
from zncc_cli.registration.register import RegistrationResult, register_images
from zncc_cli.registration.resampling.canvas import Frame, frame_of
from zncc_cli.report.json import write_json
from zncc_cli.report.pair_html import write_pair_html
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.pair")

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PairOutcome:
    """What became of one pair.

    Attributes:
        folder: where the files are.
        result: the registration.
        report: what ``report.json`` holds.
        accept: which verdicts are good enough.
        missing: the files that could not be made, and why.
    """

    folder: Path
    result: RegistrationResult
    report: dict[str, Any]
    accept: Accept = Accept.OK
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> ExitCode:
        """0 when the result is to be trusted, or suspect and accepted, and all files are there; else 3, or 5."""
        if not self.accept.takes(self.result.status):
            return ExitCode.NOT_TRUSTED
        return ExitCode.SOME_FAILED if self.missing else ExitCode.OK


@dataclass(frozen=True)
class _Products:
    """What the report says of the files: where they lie in the fixed image, and what became of the values, if known."""

    frame: Frame
    clipped: int | None
    filled: int | None
    notes: tuple[str, ...]


# The others are made from the resampled image, which has all of the image's planes, in full.
_WITHOUT_PIXELS = frozenset({Product.TRANSFORM, Product.REPORT, Product.OVERLAY})
_MAPPED = frozenset({Product.MAPS, Product.HTML})  # which shows the maps


def align_pair(
    config: PairConfig,
    progress: Progress,
    import_seconds: float = 0.0,
    inputs_before: Mapping[str, str] | None = None,
) -> PairOutcome:
    """Align the moving file to the fixed file and write the products that are asked for into ``config.folder``.

    What an earlier pair wrote there is replaced or removed: the folder holds the files of one run. Pictures, maps
    and a mask that cannot be made are missing, and all else is written.

    Args:
        config: what to do.
        progress: is told in a few words what comes next.
        import_seconds: time that loading the program took, for the report.
        inputs_before: the `digests` of the images in the run that is repeated; None where none is.

    Raises:
        InputError, OutputError, ContentError, OptionError, BackendError: nothing is written then.
    """
    clock = _Clock(import_seconds)
    names, wanted = file_names(config), config.products
    before = (*names, *names_before(config.folder))
    read = config.fixed, config.moving, config.fixed_mask, config.moving_mask
    for path in read:
        if path is not None:
            check_kind(path)
    refuse_sources((config.folder / name for name in before), read)
    with OutputFolder(config.folder, names=before, overwrite=config.overwrite) as folder:
        progress(f"reading {config.fixed.name} and {config.moving.name}")
        # Before they are read: should a file change meanwhile, the report is of none that is there.
        inputs = digests(config)
        fixed, moving, notes = _views(config)
        notes += tuple(
            f"{shown(path)}: its content is not that of the run that is repeated"
            for name, path in (("fixed", config.fixed), ("moving", config.moving))
            if (inputs_before or inputs).get(name) != inputs[name]
        )
        notes += tuple(
            f"{shown(path)}: stood there before, and is not of this run" for path in others(folder.path, before, read)
        )
        missing_value(moving.image.data.dtype, moving.image.metadata, config.resampling)  # before any work
        factor = affordable_factor(fixed.image, moving.image, config.registration.window)
        if factor > 1:
            notes += (f"registered on means of {factor} x {factor} pixels, since the images are large",)
        pair = reduced(fixed, factor), reduced(moving, factor)
        init, said = _init(config.init, fixed, moving)
        notes += said
        init = None if init is None else reduced_matrix(init, factor)
        clock.lap("read")
        progress(f"registering, {config.registration.model}")
        asked = config.registration
        if factor > 1 and asked.max_motion is not None:
            asked = dataclasses.replace(asked, max_motion=asked.max_motion / factor)
        names_said = f"fixed {shown(config.fixed)}", f"moving {shown(config.moving)}"
        settings = dataclasses.replace(asked, no_data=NONE)  # the views are without it
        found = register_images(pair[0].grey, pair[1].grey, settings, pair[0].valid, pair[1].valid, init, names_said)
        result = full_result(found, factor, fixed, moving)
        notes += result.notes
        clock.seconds["registration"] = result.seconds
        clock.restart()
        progress(f"writing {config.folder}")
        with native.selected(config.registration.backend):
            missing = Missing(folder.staging)
            products = _write_products(folder.staging, fixed, moving, pair, result, config, missing)
            notes += products.notes
            layers = _write_overlay(folder.staging, pair, result, products.frame, wanted, missing)
        clock.lap("write")
        report = _report(config, inputs, result, clock.finish(), products)
        report["registered_by"] = {
            "fixed": fixed.described,
            "moving": moving.described,
            "blocks": factor,
            "window": result.window,
            "min_overlap": result.min_overlap,
        }
        report |= said_of(notes, missing.of(names))
        if Product.HTML in wanted:
            missing.follow(PAGE, MAPS)  # it shows them
        if Product.HTML in wanted and PAGE not in missing:
            with missing.spared(PAGE):
                pictures = pair_pictures(folder.staging, pair, layers, result, products.frame)
                beside = [name for name in names if name != PAGE and name not in missing]
                write_pair_html(folder.staging / PAGE, report, pictures, files=beside)
        clock.lap("write")
        report |= {"seconds": clock.finish(), **said_of(notes, missing.of(names))}
        if Product.REPORT in wanted:
            write_json(folder.staging / REPORT, report)
        for made_on_the_way in {file.name for file in folder.staging.iterdir()} - set(names):
            (folder.staging / made_on_the_way).unlink()
    for note in notes:
        logger.info("%s", note)
    return PairOutcome(config.folder, result, report, config.accept, missing.of(names))


class _Clock:
    """Seconds of each stage; ``total`` counts from when the command began to load what it needs."""

    def __init__(self, import_seconds: float) -> None:
        self.seconds = {"import": import_seconds}
        self._began = self._lap = time.perf_counter()

    def restart(self) -> None:
        self._lap = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._lap
        self._lap = now

    def finish(self) -> dict[str, float]:
        total = self.seconds["import"] + time.perf_counter() - self._began
        return {**{stage: round(s, 4) for stage, s in self.seconds.items()}, "total": round(total, 4)}


def _views(config: PairConfig) -> tuple[ChannelView, ChannelView, tuple[str, ...]]:
    """Return what is registered of both files, and a sentence for each choice that was not the user's."""
    asked, paths = config.inputs, (config.fixed, config.moving)
    images = [
        read_image(path, series=series, page=page)
        for path, series, page in zip(paths, asked.each_series, asked.each_page, strict=True)
    ]
    views, notes = choose_views((images[0], images[1]), asked.each_channel)
    masks = [None if path is None else read_image(path) for path in (config.fixed_mask, config.moving_mask)]
    (fixed, of_fixed), (moving, of_moving) = (
        without_gaps(masked(view, mask), config.registration.no_data) for view, mask in zip(views, masks, strict=True)
    )
    read = (note for image in (*images, *masks) if image is not None for note in image.notes)
    return fixed, moving, (*read, *notes, *of_fixed, *of_moving)


def _init(name: str | None, fixed: ChannelView, moving: ChannelView) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the matrix to start from, if any, and a sentence for each image that is not as large as its own was."""
    if name is None:
        return None, ()
    if name == IDENTITY:
        return np.eye(3), ()
    start = read_linear(name)
    sizes = ("fixed", start.fixed_shape, fixed.shape), ("moving", start.moving_shape, moving.shape)
    return start.matrix, tuple(
        f"{shown(name)}: of a {which} image of {known[1]} x {known[0]} pixels, this one has {found[1]} x {found[0]}; "
        "it is the start all the same, pixel for pixel"
        for which, known, found in sizes
        if known is not None and known != found
    )


def _frame(result: RegistrationResult, settings: ResamplingConfig) -> tuple[Frame, tuple[str, ...]]:
    """Return which pixels are written; the fixed frame where a result that is wrong anyway has no other."""
    arguments = result.matrix, result.fixed_shape, result.moving_shape
    try:
        return frame_of(settings.canvas, *arguments), ()
    except (OptionError, ContentError) as error:
        if result.status is Status.OK:
            raise
        return frame_of(Canvas.FIXED, *arguments), (f"written on the fixed frame: {error}",)


def _write_products(
    folder: Path,
    fixed: ChannelView,
    moving: ChannelView,
    pair: tuple[Downsampled, Downsampled],
    result: RegistrationResult,
    config: PairConfig,
    missing: Missing,
) -> _Products:
    """Write the aligned image, the transform and the maps, as far as anything that is asked for needs them."""
    frame, notes = _frame(result, config.resampling)
    on_canvas = 0 if config.resampling.canvas is Canvas.FIXED else file_bytes(fixed.image, frame)
    needed, wanted = file_bytes(moving.image, frame) + on_canvas, config.products
    check_disk(config.folder, needed)
    with missing.spared(*MASK, *MAPS):
        check_disk(config.folder, needed + map_bytes(frame))
    grid = fixed.image.metadata
    write_transform(
        folder / "transform.json",
        model=str(result.model),
        matrix=result.matrix,
        fixed_shape=result.fixed_shape,
        moving_shape=result.moving_shape,
        model_asked=str(result.model_asked),
        grid=grid,
        status=result.status.value,
    )
    if wanted <= _WITHOUT_PIXELS:
        return _Products(frame, None, None, notes)
    if config.resampling.canvas is not Canvas.FIXED:
        copied = write_resampled(folder / FIXED_ON_CANVAS, fixed.image, np.eye(3), frame, ResamplingConfig(), grid)
        notes += copied.notes
    mapped, masked = bool(wanted & _MAPPED), Product.MASK in wanted
    settings = config.resampling.interpolation
    with Strips(folder, moving, result, frame, missing, settings, mask=masked, maps=mapped) as strips:
        image = folder / "aligned.tif", moving.image, result.matrix, frame, config.resampling, grid
        try:
            written = write_resampled(*image, strips.take)
        except OutputError as error:
            if not strips.give_up(error):  # what they took of the disk may be what it lacks
                raise
            written = write_resampled(*image, strips.take)
        strips.write(fixed, result.window, (_spread(pair[0]), _spread(pair[1])))
    return _Products(frame, written.clipped, strips.filled, (*notes, *written.notes))


def _write_overlay(
    folder: Path,
    pair: tuple[Downsampled, Downsampled],
    result: RegistrationResult,
    frame: Frame,
    wanted: frozenset[Product],
    missing: Missing,
) -> Layers:
    """Write before and after as one picture, if it is asked for; return what that and the page are drawn from."""
    layers: Layers = {}
    if Product.OVERLAY in wanted or Product.HTML in wanted:
        with missing.spared(OVERLAY, PAGE):
            layers = pair_layers(pair, result)
    if Product.OVERLAY in wanted and OVERLAY not in missing:
        with missing.spared(OVERLAY):
            write_picture(folder / OVERLAY, pair_overlay(pair, layers, result, frame))
    return layers


def _spread(image: Downsampled) -> float:
    values = image.grey[image.valid]
    return float(values.std(dtype=np.float64)) if values.size else 0.0


def _report(
    config: PairConfig,
    inputs: dict[str, str],
    result: RegistrationResult,
    seconds: dict[str, float],
    products: _Products,
) -> dict[str, Any]:
    evidence = dataclasses.asdict(result.evidence)
    values = {"clipped_values": products.clipped, "filled_pixels": products.filled}
    return {
        "status": result.status.value,
        "reasons": list(result.reasons),
        "model": str(result.model),
        "model_asked": str(result.model_asked),
        "selection": _selection(result),
        "inverted": result.inverted,
        "fixed": str(config.fixed),
        "moving": str(config.moving),
        "inputs": inputs,
        "metrics": {**evidence, **{key: value for key, value in values.items() if value is not None}},
        "uncertainty": _uncertainty(result),
        "canvas": {"offset": list(products.frame.offset), "shape": list(products.frame.shape)},
        "seconds": seconds,
        "levels": [dataclasses.asdict(level) for level in result.levels],
        "settings": dataclasses.asdict(config),
        "command": command_line(config),
        "backend": {"used": result.backend.used, "reason": result.backend.reason, "device": result.device},
        "versions": versions(),
        "seed": None,
    }


def _uncertainty(result: RegistrationResult) -> dict[str, Any] | None:
    """Return standard deviations in pixels, and the covariance that they come from."""
    sure = result.uncertainty
    if sure is None:
        return None
    return {"rms": sure.rms, "corners": sure.corners, "covariance": sure.covariance}


def _selection(result: RegistrationResult) -> dict[str, Any] | None:
    if result.selection is None:
        return None
    return {"reason": result.selection.reason, "held_out_zncc": result.selection.held_out}


def versions() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    return {
        "zncc-cli": zncc_cli.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "platform": _platform(),
    }


def _platform() -> str:
    """Return system, release, machine and C library; platform.platform() starts a process, ``uname -p``, on its way."""
    parts = (platform.system(), platform.release(), platform.machine(), "".join(platform.libc_ver()))
    return "-".join(part for part in parts if part)
