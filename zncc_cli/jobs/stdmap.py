"""Std maps of image files, and where these images have enough texture to be registered."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import DEFAULT_WINDOW, SMALLEST_WINDOW, StdMapConfig, StdScale
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ContentError, ExitCode, InputError, OptionError, ResourceError, WindowError
from zncc_cli.files.folder import OutputFolder, refuse_sources
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output import write_picture, write_strips
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.maps import map_strips
from zncc_cli.jobs.reduction import block_means, reduced, reduction_factor
from zncc_cli.jobs.views import ChannelView, choose_views
from zncc_cli.operators import native
from zncc_cli.registration.metric.maps import std_map
from zncc_cli.registration.quality.texture import Texture, texture
from zncc_cli.registration.register import resolve_device
from zncc_cli.report.grey import std_picture
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.stdmap")

_PICTURE = 2**24  # pixels; a larger picture is of use to nobody


@dataclass(frozen=True)
class StdMapFiles:
    """The files of one image, and what they say.

    Attributes:
        image, map, picture: its file, its map and a picture of that.
        texture: picture of where it can carry a registration: 255, else 0.
        missing: which of the two pictures could not be made, and why.
        window: side of its windows, pixels.
        median: of the map, in its units.
        textured: share of the windows that can carry a registration.
        recommended_window: side in pixels of the smallest window by which half of them can; None where hardly any can.
        texture_factor: side of the blocks of pixels whose means were looked at for texture; 1 unless it is large.
        notes: a sentence for each choice that was not the user's.
    """

    image: Path
    map: Path
    picture: Path
    texture: Path
    window: int
    median: float
    textured: float
    recommended_window: int | None
    texture_factor: int
    notes: tuple[str, ...]
    missing: Mapping[str, str]


@dataclass(frozen=True)
class StdMapOutcome:
    """All maps, in the order of the images.

    Attributes:
        maps: of each image that has one.
        failed: the others, by what is wrong with them.
        backend, device: which arithmetic ran, why, and where.
    """

    maps: tuple[StdMapFiles, ...]
    failed: dict[Path, str]
    backend: native.Loaded
    device: str

    @property
    def exit_code(self) -> ExitCode:
        """0 when every image has a map and pictures, else 5."""
        return ExitCode.SOME_FAILED if self.failed or self.missing else ExitCode.OK

    @property
    def missing(self) -> dict[str, str]:
        """The pictures that could not be made, and why."""
        return {name: reason for files in self.maps for name, reason in files.missing.items()}


def write_std_maps(config: StdMapConfig) -> StdMapOutcome:
    """Write ``<stem>_std.tif``, ``<stem>_std.png`` and ``<stem>_texture.png`` of each image.

    The map is float32, on the image's frame, NaN where the window leaves it. One bad image does not stop the rest, and
    a picture that cannot be made is missing.

    Raises:
        InputError, ContentError, OptionError, ResourceError: the only image is bad, or the last one where all are.
        OutputError, BackendError, OptionError: none can be mapped. Nothing is written then.
    """
    stems = [image.stem for image in config.images]
    for stem in stems:
        if stems.count(stem) > 1:
            raise OptionError(f"IMAGE: expected files of different stems, got several named {stem}; write them apart")
    device = resolve_device(config.device)
    if len(config.images) == 1:
        check_kind(config.images[0])
    refuse_sources((config.out / name for name in _names(stems)), config.images)
    with (
        native.selected(config.backend),
        OutputFolder(config.out, names=list(_names(stems)), overwrite=config.overwrite) as folder,
    ):
        backend = native.load(device)
        maps, failed = list[StdMapFiles](), dict[Path, str]()
        for image in config.images:
            try:
                maps.append(_write_one(image, folder.staging, config, device))
            except (InputError, ContentError, OptionError, ResourceError) as error:
                if len(failed) == len(config.images) - 1:
                    raise
                failed[image] = as_options(str(error))
                logger.error("error: %s", error)
                for name in _names([image.stem]):
                    (folder.staging / name).unlink(missing_ok=True)
    return StdMapOutcome(tuple(maps), failed, backend, str(device))


def _names(stems: Iterable[str]) -> Iterable[str]:
    for stem in stems:
        yield f"{stem}_std.tif"
        yield f"{stem}_std.png"
        yield f"{stem}_texture.png"


def _write_one(path: Path, folder: Path, config: StdMapConfig, device: torch.device) -> StdMapFiles:
    image = read_image(path, series=config.series, page=config.page)
    (view,), notes = choose_views([image], [config.chosen_channel], alone=True)
    if config.window is not None and config.window > min(view.shape):
        raise WindowError(
            f"--window: expected at most {min(view.shape)} pixels, the shorter side of {path}, got {config.window}"
        )
    if min(view.shape) < SMALLEST_WINDOW:
        raise ContentError(
            f"{path}: expected at least {SMALLEST_WINDOW} pixels a side, as many as the smallest window has, "
            f"found {view.shape[1]} x {view.shape[0]}"
        )
    window = min(DEFAULT_WINDOW, *view.shape) if config.window is None else config.window
    if config.window is None and window < DEFAULT_WINDOW:
        notes += (f"{shown(path)}: a window of {window} pixels, as many as its shorter side has",)
    factor = reduction_factor(view.shape)
    look = reduced(view, factor)
    if not look.valid.any():
        raise ContentError(f"{path}: expected valid pixels, found none that are finite")
    map_name, picture_name, texture_name = _names([path.stem])
    write_strips(
        folder / map_name,
        _strips(view, config, window, device),
        shape=view.shape,
        dtype=np.float32,
        axes="YX",
        like=None,
        frame=image.metadata,
    )
    written = ChannelView(read_image(folder / map_name), ())
    shrunk = max(1, math.ceil(math.sqrt(math.prod(view.shape) / _PICTURE)))
    values = np.full((1, 1), np.nan, np.float32)
    missing = Missing(folder)
    with missing.spared(picture_name):
        means = reduced(written, 1) if shrunk == 1 else block_means(written.read, view.shape, shrunk)
        values = np.where(means.valid, means.grey, np.float32(np.nan))
        write_picture(folder / picture_name, std_picture(values))
    found = _texture(torch.from_numpy(look.grey), torch.from_numpy(look.valid), window)
    with missing.spared(texture_name):
        write_picture(folder / texture_name, np.where(found.mask, np.uint8(255), np.uint8(0)))
    known = values[np.isfinite(values)]
    return StdMapFiles(
        image=path,
        map=config.out / map_name,
        picture=config.out / picture_name,
        texture=config.out / texture_name,
        window=window,
        median=float(np.median(known)) if known.size else float("nan"),
        textured=found.fraction,
        recommended_window=found.recommended,
        texture_factor=factor,
        notes=(*image.notes, *notes),
        missing=missing.of((picture_name, texture_name)),
    )


def _texture(grey: torch.Tensor, valid: torch.Tensor, window: int) -> Texture:
    return texture(grey, valid, min(window, *grey.shape))


def _strips(view: ChannelView, config: StdMapConfig, window: int, device: torch.device) -> Iterator[np.ndarray]:
    def values(rows: slice) -> torch.Tensor:
        grey, valid = (torch.from_numpy(plane).to(device) for plane in view.read(rows))
        norm = config.scale is StdScale.NORM
        return std_map(grey, valid, window, norm=norm, method=str(config.method)).cpu()

    return map_strips(values, view.shape, window)
