"""One pair of files: read, register, resample, write, report."""

from __future__ import annotations

import dataclasses
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import zncc_cli
from zncc_cli.config import IDENTITY, Interpolation, PairConfig
from zncc_cli.errors import ExitCode, InputError
from zncc_cli.files.folder import OutputFolder
from zncc_cli.files.images import Image, read_image, write_image, write_map, write_picture
from zncc_cli.files.report import overlay, write_json
from zncc_cli.files.transforms import read_matrix, write_transform
from zncc_cli.registration.register import RegistrationResult, register_images
from zncc_cli.registration.resample import array_reader, resample
from zncc_cli.registration.verdict import Status
from zncc_cli.registration.zncc import std_map, zncc_frame_map

NAMES = (
    "aligned.tif",
    "transform.json",
    "std_fixed.tif",
    "std_aligned.tif",
    "zncc.tif",
    "overlay.png",
    "report.json",
)

Progress = Callable[[str], None]


@dataclass(frozen=True)
class PairOutcome:
    """What became of one pair.

    Attributes:
        folder: where the files are.
        result: the registration.
        report: what ``report.json`` holds.
    """

    folder: Path
    result: RegistrationResult
    report: dict[str, Any]

    @property
    def exit_code(self) -> ExitCode:
        """0 when the result is to be trusted, else 3."""
        return ExitCode.OK if self.result.status is Status.OK else ExitCode.NOT_TRUSTED


def align_pair(config: PairConfig, progress: Progress, import_seconds: float = 0.0) -> PairOutcome:
    """Align the moving file to the fixed file and write every product into ``config.folder``.

    Args:
        config: what to do.
        progress: is told in a few words what comes next.
        import_seconds: time that loading the program took, for the report.

    Raises:
        InputError, OutputError, ContentError, OptionError, BackendError: nothing is written then.
    """
    clock = _Clock(import_seconds)
    with OutputFolder(config.folder, names=NAMES, overwrite=config.overwrite) as folder:
        progress(f"reading {config.fixed.name} and {config.moving.name}")
        fixed, moving = read_image(config.fixed), read_image(config.moving)
        fixed_valid = _valid(fixed, config.fixed_mask)
        moving_valid = _valid(moving, config.moving_mask)
        init = None if config.init is None else _init(config.init)
        clock.lap("read")
        progress(f"registering, {config.registration.model}")
        result = register_images(
            fixed.luminance(), moving.luminance(), config.registration, fixed_valid, moving_valid, init
        )
        clock.seconds["registration"] = result.seconds
        clock.restart()
        progress(f"writing {config.folder}")
        clipped, filled = _write_products(
            folder.staging, (fixed, fixed_valid), (moving, moving_valid), result, config.registration.window
        )
        clock.lap("write")
        report = _report(config, result, clock.finish(), clipped, filled)
        write_json(folder.staging / "report.json", report)
    return PairOutcome(config.folder, result, report)


class _Clock:
    """Seconds of each stage; ``total`` counts from when the command began to load what it needs."""

    def __init__(self, import_seconds: float) -> None:
        self.seconds = {"import": import_seconds}
        self._began = self._lap = time.perf_counter()

    def restart(self) -> None:
        self._lap = time.perf_counter()

    def lap(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = now - self._lap
        self._lap = now

    def finish(self) -> dict[str, float]:
        total = self.seconds["import"] + time.perf_counter() - self._began
        return {**{stage: round(s, 4) for stage, s in self.seconds.items()}, "total": round(total, 4)}


def _valid(image: Image, mask: Path | None) -> np.ndarray:
    if mask is None:
        return image.valid()
    chosen = read_image(mask)
    if chosen.shape != image.shape:
        raise InputError(
            f"{mask}: expected a mask of {image.shape[1]} x {image.shape[0]} pixels like {image.metadata.path}, "
            f"found {chosen.shape[1]} x {chosen.shape[0]}"
        )
    return np.asarray(image.valid() & (chosen.luminance() > 0))


def _init(name: str) -> np.ndarray:
    return np.eye(3) if name == IDENTITY else read_matrix(name)


def _write_products(
    folder: Path,
    fixed: tuple[Image, np.ndarray],
    moving: tuple[Image, np.ndarray],
    result: RegistrationResult,
    window: int,
) -> tuple[int, int]:
    """Write all but the report; return how many values were clipped and how many pixels were filled."""
    (fixed_image, fixed_valid), (moving_image, moving_valid) = fixed, moving
    shape = fixed_image.shape
    # Only pixels that are no number are left out of the aligned image: a mask says what to register on, no more.
    usable = moving_image.valid()

    def on_frame(data: np.ndarray, mask: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read, frame = array_reader(data, mask), (range(shape[0]), range(shape[1]))
        return resample(read, moving_image.shape, matrix, *frame, Interpolation.CUBIC)

    values, there = on_frame(moving_image.data, usable, result.matrix)
    aligned, clipped = to_dtype(values, there, moving_image.data.dtype, moving_image.metadata.nodata)
    write_image(folder / "aligned.tif", aligned, like=moving_image, frame=fixed_image)
    write_transform(
        folder / "transform.json",
        model=str(result.model),
        matrix=result.matrix,
        fixed_shape=result.fixed_shape,
        moving_shape=result.moving_shape,
        model_asked=str(result.model_asked),
    )
    fixed_grey = fixed_image.luminance()
    aligned_grey = dataclasses.replace(moving_image, data=values).luminance()
    before, before_there = on_frame(moving_image.luminance(), usable, np.eye(3))
    aligned_valid = there
    if not np.array_equal(usable, moving_valid):
        _, aligned_valid = on_frame(moving_image.luminance(), moving_valid, result.matrix)
    # Maps and overlay show the images as they were compared.
    sign = np.float32(-1 if result.inverted else 1)
    before, aligned_grey = before.astype(np.float32) * sign, aligned_grey.astype(np.float32) * sign
    f, m = torch.from_numpy(fixed_grey), torch.from_numpy(aligned_grey)
    f_valid, m_valid = torch.from_numpy(fixed_valid), torch.from_numpy(aligned_valid)
    write_map(folder / "std_fixed.tif", std_map(f, f_valid, window).numpy(), frame=fixed_image)
    write_map(folder / "std_aligned.tif", std_map(m, m_valid, window).numpy(), frame=fixed_image)
    write_map(folder / "zncc.tif", zncc_frame_map(f, m, f_valid & m_valid, window).numpy(), frame=fixed_image)
    write_picture(
        folder / "overlay.png",
        overlay(fixed_grey, before, aligned_grey, before_there, there),
    )
    return clipped, int((~there).sum())


def to_dtype(
    values: np.ndarray, there: np.ndarray, dtype: np.dtype[Any], nodata: float | None = None
) -> tuple[np.ndarray, int]:
    """Return float64 ``values`` (H, W[, C]) in ``dtype``, and how many were clipped to its range.

    Integers are rounded and clipped, never wrapped. Where ``there`` (H, W) is false the result holds ``nodata``, the
    image's own value for missing pixels, if it has one; else integers hold 0 and floats NaN.
    """
    there = there if values.ndim == 2 else there[..., None]
    if dtype.kind == "b":
        return (values >= 0.5) & there, 0
    whole = dtype.kind != "f"
    limits = np.iinfo(dtype) if whole else np.finfo(dtype)
    known = np.where(there, np.rint(values) if whole else values, 0)
    low, high = known < limits.min, known > limits.max
    # Not np.clip: the largest 64-bit integers are no float64, and what is next to them would wrap.
    top = known >= float(limits.max)
    out = np.where(top, limits.max, np.maximum(np.where(top, 0, known), limits.min).astype(dtype))
    missing = nodata if nodata is not None and _fits(nodata, dtype) else (0 if whole else np.nan)
    return np.where(there, out, np.asarray(missing).astype(dtype)), int((low | high).sum())


def _fits(value: float, dtype: np.dtype[Any]) -> bool:
    if dtype.kind == "f":
        return True
    return float(value).is_integer() and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max


def _report(
    config: PairConfig, result: RegistrationResult, seconds: dict[str, float], clipped: int, filled: int
) -> dict[str, Any]:
    evidence = dataclasses.asdict(result.evidence)
    return {
        "status": result.status.value,
        "reasons": list(result.reasons),
        "model": str(result.model),
        "model_asked": str(result.model_asked),
        "selection": _selection(result),
        "inverted": result.inverted,
        "fixed": str(config.fixed),
        "moving": str(config.moving),
        "metrics": {**evidence, "clipped_values": clipped, "filled_pixels": filled},
        "seconds": seconds,
        "levels": [dataclasses.asdict(level) for level in result.levels],
        "settings": dataclasses.asdict(config),
        "backend": {"used": result.backend.used, "reason": result.backend.reason, "device": result.device},
        "versions": versions(),
        "seed": None,
    }


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
        "platform": platform.platform(),
    }
