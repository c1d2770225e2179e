"""Every choice and every setting, in one place: the CLI, the errors and the report read them from here.

Frozen keyword-only dataclasses; ``__post_init__`` validates and raises `OptionError`. Standard library only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TypeVar

from zncc_cli.errors import OptionError


class Choice(str, Enum):
    """A named choice that prints as its value."""

    def __str__(self) -> str:
        return str(self.value)


class Model(Choice):
    """What kind of motion is allowed, from the simplest to the richest; or the simplest that explains the pair."""

    AUTO = "auto"
    TRANSLATION = "translation"
    RIGID = "rigid"
    SIMILARITY = "similarity"
    AFFINE = "affine"
    HOMOGRAPHY = "homography"


# What can be fitted: each holds the ones before it.
NESTED_MODELS = (Model.TRANSLATION, Model.RIGID, Model.SIMILARITY, Model.AFFINE, Model.HOMOGRAPHY)


class Optimizer(Choice):
    """How the loss is descended on the coarse levels: what of its curvature is used."""

    BFGS = "bfgs"
    GAUSS_NEWTON = "gauss-newton"
    GRADIENT_DESCENT = "gradient-descent"


class Backend(Choice):
    """Which arithmetic the operator runs: compiled kernels, plain torch, or the first that works."""

    AUTO = "auto"
    NATIVE = "native"
    REFERENCE = "reference"


class Device(Choice):
    """Where tensors live: a CUDA GPU where there is one, or as asked."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class StdScale(Choice):
    """Units of a std map: the population standard deviation, or the norm that ZNCC divides by."""

    POPULATION = "population"
    NORM = "norm"


class Method(Choice):
    """How local sums are computed."""

    AUTO = "auto"
    BOX = "box"
    FFT = "fft"


class Interpolation(Choice):
    """How values between pixels are found."""

    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"
    LANCZOS = "lanczos"


class Canvas(Choice):
    """What an aligned image covers: the fixed image's frame, all of both images, or what both of them see."""

    FIXED = "fixed"
    UNION = "union"
    COMMON = "common"


_C = TypeVar("_C", bound=Choice)


def choose(kind: type[_C], value: str, option: str) -> _C:
    """Return the member of ``kind`` named ``value``, or raise `OptionError` that lists the choices."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise OptionError(f"{option}: expected one of {names}, got {value!r}") from None


SMALLEST_WINDOW = 3  # a window of one pixel has no variance, one of two hardly a texture


def _check_window(window: int) -> None:
    if window < SMALLEST_WINDOW:
        raise OptionError(f"--window: expected a whole number of pixels, at least {SMALLEST_WINDOW}, got {window}")


def _coerce(settings: object, **kinds: type[Choice]) -> None:
    """Turn the named fields from text into members of their kinds."""
    for name, kind in kinds.items():
        object.__setattr__(settings, name, choose(kind, getattr(settings, name), f"--{name}"))


@dataclass(frozen=True, kw_only=True)
class RegistrationConfig:
    """Settings of one registration.

    Attributes:
        model: the richest motion allowed, or the simplest that explains the pair.
        window: side of the square ZNCC window, in pixels of each pyramid level.
        min_overlap: the least fraction of the smaller image that must stay in the overlap, in (0, 1].
        max_iterations: most optimiser iterations on one pyramid level.
        optimizer: how the loss is descended on the coarse levels; the finest one is refined by Gauss-Newton steps to
            the zero of a score, whatever is chosen here.
        tolerance: an iteration that moves no corner of the image by more than this many pixels ends a level.
        device: where the tensors live.
        backend: which arithmetic the operator runs.
    """

    model: Model = Model.AFFINE
    window: int = 11
    min_overlap: float = 0.25
    max_iterations: int = 60
    tolerance: float = 0.002
    optimizer: Optimizer = Optimizer.BFGS
    device: Device = Device.AUTO
    backend: Backend = Backend.AUTO

    def __post_init__(self) -> None:
        _coerce(self, model=Model, optimizer=Optimizer, device=Device, backend=Backend)
        _check_window(self.window)
        if not 0 < self.min_overlap <= 1:
            raise OptionError(f"--min-overlap: expected a fraction above 0 and at most 1, got {self.min_overlap}")
        if self.max_iterations < 1:
            raise OptionError(f"--max-iterations: expected at least 1, got {self.max_iterations}")
        if not 0 < self.tolerance <= 1:
            raise OptionError(f"--tolerance: expected pixels above 0 and at most 1, got {self.tolerance}")


IDENTITY = "identity"  # what --init takes beside the name of a file


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """One pair of files: what to read, where to write, how to register.

    Attributes:
        fixed, moving: image files.
        out: output folder, or None for ``<moving's stem>_aligned`` in the working folder.
        fixed_mask, moving_mask: optional image files of the same frame; pixels above zero count.
        init: where to start without a search: ``identity``, or a file with a matrix; None searches.
        overwrite: replace files that exist.
        registration: settings of the registration.
    """

    fixed: Path
    moving: Path
    out: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    init: str | None = None
    overwrite: bool = False
    registration: RegistrationConfig = RegistrationConfig()

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out or Path(f"{self.moving.stem}_aligned")


@dataclass(frozen=True, kw_only=True)
class BatchConfig:
    """Many pairs of one folder.

    Attributes:
        folder: where the images are.
        out: where ``<pair name>/`` folders and ``batch.csv`` go.
        fixed: one image that every other image of the folder is aligned to, or None for pairs found by
            the names ``*_fixed.*`` and ``*_moving.*``.
        overwrite: replace files that exist.
        registration: settings of each registration.
    """

    folder: Path
    out: Path
    fixed: Path | None = None
    overwrite: bool = False
    registration: RegistrationConfig = RegistrationConfig()


@dataclass(frozen=True, kw_only=True)
class StdMapConfig:
    """Standard deviation maps of images.

    Attributes:
        images: image files.
        out: output folder.
        window: side of the square window, in pixels.
        scale: units of the map.
        method: how local sums are computed.
        device, backend: where and with what arithmetic.
        overwrite: replace files that exist.
    """

    images: tuple[Path, ...]
    out: Path
    window: int = 11
    scale: StdScale = StdScale.POPULATION
    method: Method = Method.AUTO
    device: Device = Device.AUTO
    backend: Backend = Backend.AUTO
    overwrite: bool = False

    def __post_init__(self) -> None:
        _coerce(self, scale=StdScale, method=Method, device=Device, backend=Backend)
        _check_window(self.window)
