"""Local standard deviation maps of image files, and where the images have enough texture to be registered."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import DEFAULT_WINDOW, SMALLEST_WINDOW, StdScale
from zncc_cli.config.spelling import as_options
from zncc_cli.config.stdmap import StdMapConfig
from zncc_cli.errors import ContentError, ExitCode, InputError, OptionError, ResourceError, WindowError
from zncc_cli.files.image_output import write_picture, write_strips
from zncc_cli.files.images import check_kind, read_image
from zncc_cli.files.output_folder import OutputFolder, refuse_sources
from zncc_cli.jobs.channel_view import ChannelView, choose_views
from zncc_cli.jobs.downsampling import downsampled, downsampling_factor, read_block_means
from zncc_cli.jobs.missing import Missing
from zncc_cli.jobs.pair.maps import map_strips
from zncc_cli.operators import native
from zncc_cli.progress import counted, say
from zncc_cli.registration.metric.maps import std_map
from zncc_cli.registration.quality.texture import texture
from zncc_cli.registration.register import resolve_device
from zncc_cli.report.grey import std_picture
from zncc_cli.text import shown

logger = logging.getLogger("zncc_cli.stdmap")

_MAX_PICTURE_PIXELS = 2**24  # of larger maps the picture shows means of blocks


@dataclass(frozen=True)
class StdMapFiles:
    """The files of one image, and what was measured in it.

    Attributes:
        image, map, picture: the image, its map, and the map as a picture.
        texture: picture of the windows that have enough texture to be registered: 255, else 0.
        window: side of the windows, pixels.
        median: of the map, in the map's units.
        textured: fraction of the windows that have enough texture.
        recommended_window: side in pixels of the smallest window with which half of the windows have enough texture;
            None where hardly any have.
        texture_factor: side in pixels of the blocks in whose means texture was measured; 1 unless the image is large.
        notes: a sentence for each choice that was not the user's.
        missing: which of the two pictures could not be made, and why.
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
        maps: the files of each image that was mapped.
        failed: the other images, each with the error.
        backend: which arithmetic ran, and why.
        device: where it ran.
    """

    maps: tuple[StdMapFiles, ...]
    failed: dict[Path, str]
    backend: native.Loaded
    device: str

    @property
    def exit_code(self) -> ExitCode:
        """0 when every image has a map and pictures, else 5."""
        return ExitCode.INCOMPLETE if self.failed or self.missing else ExitCode.OK

    @property
    def missing(self) -> dict[str, str]:
        """The pictures that could not be made, and why."""
        return {name: reason for files in self.maps for name, reason in files.missing.items()}


def write_std_maps(config: StdMapConfig) -> StdMapOutcome:
    """Write ``<stem>_std.tif``, ``<stem>_std.png`` and ``<stem>_texture.png`` of each image.

    The map is float32, has the image's shape, and is NaN where the window leaves the image. One bad image does not stop
    the rest, and a picture that cannot be made is missing.

    Raises:
        InputError, ContentError, OptionError, ResourceError: no image can be mapped; the error is that of the last one.
        OutputError, BackendError: the folder or the backend cannot be used. Nothing is written then.
    """
    stems = [image.stem for image in config.images]
    for stem in stems:
        if stems.count(stem) > 1:
            raise OptionError(
                f"IMAGE: expected files whose names differ before the suffix, got several named {stem}; "
                "run the command for each"
            )
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
        for image in counted(config.images, len(config.images)):
            say(f"mapping {image.name}")
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
    """Yield the names of the three files of each image."""
    for stem in stems:
        yield f"{stem}_std.tif"
        yield f"{stem}_std.png"
        yield f"{stem}_texture.png"


def _write_one(path: Path, folder: Path, config: StdMapConfig, device: torch.device) -> StdMapFiles:
    """Write the files of one image into ``folder``."""
    image = read_image(path, series=config.series, page=config.page)
    (view,), notes = choose_views([image], [config.chosen_channel], alone=True)
    window, window_notes = _window(view, path, config)
    notes += window_notes
    factor = downsampling_factor(view.shape)
    blocks = downsampled(view, factor)
    if not blocks.valid.any():
        raise ContentError(f"{path}: expected valid pixels, found none that are finite; name another image or channel")
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
    std = ChannelView(read_image(folder / map_name), ())
    picture_factor = max(1, math.ceil(math.sqrt(math.prod(view.shape) / _MAX_PICTURE_PIXELS)))
    values = np.full((1, 1), np.nan, np.float32)
    missing = Missing(folder)
    with missing.on_failure(picture_name):
        means = downsampled(std, 1) if picture_factor == 1 else read_block_means(std.read, view.shape, picture_factor)
        values = np.where(means.valid, means.grey, np.float32(np.nan))
        write_picture(folder / picture_name, std_picture(values))
    texture_window = min(window, *blocks.grey.shape)
    measured = texture(torch.from_numpy(blocks.grey), torch.from_numpy(blocks.valid), texture_window)
    with missing.on_failure(texture_name):
        write_picture(folder / texture_name, np.where(measured.mask, np.uint8(255), np.uint8(0)))
    finite = values[np.isfinite(values)]
    return StdMapFiles(
        image=path,
        map=config.out / map_name,
        picture=config.out / picture_name,
        texture=config.out / texture_name,
        window=window,
        median=float(np.median(finite)) if finite.size else float("nan"),
        textured=measured.fraction,
        recommended_window=measured.recommended,
        texture_factor=factor,
        notes=tuple(map(as_options, (*image.notes, *notes))),
        missing=missing.of((picture_name, texture_name)),
    )


def _window(view: ChannelView, path: Path, config: StdMapConfig) -> tuple[int, tuple[str, ...]]:
    """Return the side of the windows in pixels, and a sentence where the image has no room for the default."""
    shorter_side = min(view.shape)
    if config.window is not None and config.window > shorter_side:
        raise WindowError(
            f"--window: expected at most {shorter_side} pixels, the shorter side of {path}, got {config.window}"
        )
    if shorter_side < SMALLEST_WINDOW:
        raise ContentError(
            f"{path}: expected at least {SMALLEST_WINDOW} pixels a side, as many as the smallest window has, "
            f"found {view.shape[1]} x {view.shape[0]}; give a larger image"
        )
    if config.window is not None or shorter_side >= DEFAULT_WINDOW:
        return DEFAULT_WINDOW if config.window is None else config.window, ()
    return shorter_side, (f"{shown(path)}: a window of {shorter_side} pixels, as many as its shorter side has",)


def _strips(view: ChannelView, config: StdMapConfig, window: int, device: torch.device) -> Iterator[np.ndarray]:
    """Yield the map strip by strip."""

    def map_of_rows(rows: slice) -> torch.Tensor:
        grey, valid = (torch.from_numpy(plane).to(device) for plane in view.read(rows))
        norm = config.scale is StdScale.NORM
        return std_map(grey, valid, window, norm=norm, method=str(config.method)).cpu()

    return map_strips(map_of_rows, view.shape, window)
