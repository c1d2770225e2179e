"""Std maps of image files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from zncc_cli.config import StdMapConfig, StdScale
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.files.folder import OutputFolder
from zncc_cli.files.images import read_image
from zncc_cli.files.output import write_map, write_picture
from zncc_cli.files.report import std_picture
from zncc_cli.operators import native
from zncc_cli.registration.register import resolve_device
from zncc_cli.registration.zncc import std_map


@dataclass(frozen=True)
class StdMapFiles:
    """The files of one image, and the median of its map in the map's units."""

    image: Path
    map: Path
    picture: Path
    median: float


@dataclass(frozen=True)
class StdMapOutcome:
    """All maps, in the order of the images; which arithmetic ran, why, and where."""

    maps: tuple[StdMapFiles, ...]
    backend: native.Loaded
    device: str


def write_std_maps(config: StdMapConfig) -> StdMapOutcome:
    """Write ``<stem>_std.tif`` (float32, the image's frame, NaN where the window leaves it) and ``<stem>_std.png``.

    Raises:
        InputError, OutputError, ContentError, OptionError, BackendError: nothing is written then.
    """
    stems = [image.stem for image in config.images]
    for stem in stems:
        if stems.count(stem) > 1:
            raise OptionError(f"IMAGE: expected files of different stems, got several named {stem}; write them apart")
    device = resolve_device(config.device)
    with (
        native.selected(config.backend),
        OutputFolder(config.out, names=list(_names(stems)), overwrite=config.overwrite) as folder,
    ):
        backend = native.load(device)
        medians = [_write_one(image, folder.staging, config, device) for image in config.images]
    maps = (
        StdMapFiles(image, config.out / f"{image.stem}_std.tif", config.out / f"{image.stem}_std.png", median)
        for image, median in zip(config.images, medians, strict=True)
    )
    return StdMapOutcome(tuple(maps), backend, str(device))


def _names(stems: Iterable[str]) -> Iterable[str]:
    for stem in stems:
        yield f"{stem}_std.tif"
        yield f"{stem}_std.png"


def _write_one(path: Path, folder: Path, config: StdMapConfig, device: torch.device) -> float:
    image = read_image(path)
    if config.window > min(image.shape):
        raise WindowError(
            f"--window: expected at most {min(image.shape)} pixels, the shorter side of {path}, got {config.window}"
        )
    valid = image.valid()
    if not valid.any():
        raise ContentError(f"{path}: expected valid pixels, found none that are finite")
    got = std_map(
        torch.from_numpy(image.luminance()).to(device),
        torch.from_numpy(valid).to(device),
        config.window,
        norm=config.scale is StdScale.NORM,
        method=str(config.method),
    )
    values = got.cpu().numpy()
    write_map(folder / f"{path.stem}_std.tif", values)
    write_picture(folder / f"{path.stem}_std.png", std_picture(values))
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")
