"""Every choice and every setting, in one place: the CLI, the errors and the report read them from here.

Frozen keyword-only dataclasses; ``__post_init__`` validates and raises `OptionError`. Standard library only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
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
    """Where tensors live: a CUDA GPU where there is one and the images are large enough for it, or as asked."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


# Smaller images are registered on the CPU unless a GPU is asked for, in pixels: a registration is some ten thousand
# small kernels, and a GPU waits for each to be launched. Measured: docs/batch.md.
GPU_PIXELS = 1 << 20


class Interpolation(Choice):
    """How values between pixels are found: of the nearest pixel, of 2 x 2, by a cubic spline, by Lanczos' kernel."""

    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"
    LANCZOS = "lanczos"


class Canvas(Choice):
    """The frame of what is written: the fixed image's, one that holds both images, or the part that both have."""

    FIXED = "fixed"
    UNION = "union"
    COMMON = "common"


class Accept(Choice):
    """Which verdicts let a command end well."""

    OK = "ok"
    SUSPECT = "suspect"

    def takes(self, status: str) -> bool:
        """Tell whether a verdict of ``status`` is good enough."""
        return status in (Accept.OK, self)


class Product(Choice):
    """What a pair writes: by name, and in the order in which it is listed."""

    ALIGNED = "aligned"
    TRANSFORM = "transform"
    MASK = "mask"
    MAPS = "maps"
    OVERLAY = "overlay"
    HTML = "html"
    REPORT = "report"


class StdScale(Choice):
    """Units of a std map: the population standard deviation, or the norm that ZNCC divides by."""

    POPULATION = "population"
    NORM = "norm"


class Method(Choice):
    """How local sums are computed."""

    AUTO = "auto"
    BOX = "box"
    FFT = "fft"


class TransformFormat(Choice):
    """Whose file a transform stands in."""

    ZNCC = "zncc"
    ITK = "itk"
    ELASTIX = "elastix"
    TURBOREG = "turboreg"
    MULTISTACKREG = "multistackreg"
    OPENCV = "opencv"
    NPY = "npy"
    TEXT = "text"


_C = TypeVar("_C", bound=Choice)
_T = TypeVar("_T")


def choose(kind: type[_C], value: str, option: str) -> _C:
    """Return the member of ``kind`` named ``value``, or raise `OptionError` that lists the choices."""
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(member.value for member in kind)
        raise OptionError(f"{option}: expected one of {names}, got {value!r}") from None


SMALLEST_WINDOW = 3  # a window of one pixel has no variance, one of two hardly a texture
DEFAULT_WINDOW = 11  # where none is asked for, and the image has room for it
DEFAULT_MIN_OVERLAP, LEAST_MIN_OVERLAP = 0.25, 0.05  # where none is asked for: at first, and where nothing is found


def check_window(window: int | None) -> None:
    """Raise `OptionError` where ``window`` is no side of one; None leaves it to the image."""
    if window is not None and window < SMALLEST_WINDOW:
        raise OptionError(f"--window: expected a whole number of pixels, at least {SMALLEST_WINDOW}, got {window}")


def coerce(settings: object, **kinds: type[Choice]) -> None:
    """Turn the named fields from text into members of their kinds; raise `OptionError` where there is none."""
    for name, kind in kinds.items():
        object.__setattr__(settings, name, choose(kind, getattr(settings, name), f"--{name}"))


AUTO, NONE = "auto", "none"  # what --no-data takes beside a number


def no_data_number(no_data: str) -> float | None:
    """Return the number that ``--no-data`` names, None for its words; raise `OptionError` for anything else."""
    if no_data in (AUTO, NONE):
        return None
    try:
        return float(no_data)
    except ValueError:
        raise OptionError(f"--no-data: expected a number, {AUTO} or {NONE}, got {no_data!r}") from None


@dataclass(frozen=True, kw_only=True)
class RegistrationConfig:
    """Settings of one registration.

    Attributes:
        model: the richest motion allowed, or the simplest that explains the pair.
        window: side of the square ZNCC window, in pixels of each pyramid level; None for `DEFAULT_WINDOW`, or less
            where a small or narrow image, or overlap, holds too few windows that are independent.
        min_overlap: the least fraction of the smaller image that must stay in the overlap, in (0, 1]; None for
            `DEFAULT_MIN_OVERLAP`, and where nothing is found for `LEAST_MIN_OVERLAP`.
        max_motion: the most that a corner of the fixed frame may move from where the start has it (``init``, or else
            the identity), pixels; None for any motion. It bounds the search, and no result lies beyond it.
        max_iterations: most optimiser iterations on one pyramid level; on the finest 20, or a third if more.
        optimizer: how the loss is descended on the coarse levels; the finest one is refined by Gauss-Newton steps to
            the zero of a score, whatever is chosen here.
        tolerance: an iteration that moves no corner of the image by more than this many pixels ends a level.
        no_data: the value of pixels that hold no data, in the images' own units: a number; ``none``; or ``auto``, which
            leaves out the values that lie in the scene like gaps (`zncc_cli.registration.inputs.no_data`).
        device: where the tensors live.
        backend: which arithmetic the operator runs.
    """

    model: Model = Model.AFFINE
    window: int | None = None
    min_overlap: float | None = None
    max_motion: float | None = None
    max_iterations: int = 60
    tolerance: float = 0.002
    optimizer: Optimizer = Optimizer.BFGS
    no_data: str = AUTO
    device: Device = Device.AUTO
    backend: Backend = Backend.AUTO

    def __post_init__(self) -> None:
        coerce(self, model=Model, optimizer=Optimizer, device=Device, backend=Backend)
        check_window(self.window)
        if self.min_overlap is not None and not 0 < self.min_overlap <= 1:
            raise OptionError(f"--min-overlap: expected a fraction above 0 and at most 1, got {self.min_overlap}")
        if self.max_motion is not None and not 0 < self.max_motion < math.inf:
            raise OptionError(f"--max-motion: expected pixels above 0, got {self.max_motion}")
        if self.max_iterations < 1:
            raise OptionError(f"--max-iterations: expected at least 1, got {self.max_iterations}")
        if not 0 < self.tolerance <= 1:
            raise OptionError(f"--tolerance: expected pixels above 0 and at most 1, got {self.tolerance}")
        no_data_number(self.no_data)

    @property
    def window_side(self) -> int:
        """The side of the window, where the image has room for it."""
        return DEFAULT_WINDOW if self.window is None else self.window

    @property
    def least_overlap(self) -> float:
        """The least fraction of the smaller image that is looked for at first."""
        return DEFAULT_MIN_OVERLAP if self.min_overlap is None else self.min_overlap


LUMINANCE, BEST = "luminance", "best"  # what --channel takes beside a number
EDGE = "edge"  # what --fill takes beside a number


def _number(text: str, option: str, others: str = "") -> int:
    if not text.isdecimal():
        raise OptionError(f"{option}: expected a number counted from 0{others}, got {text!r}")
    return int(text)


def channel_choice(text: str, option: str) -> int | str:
    """Return a channel's number, or ``luminance`` or ``best``; raise `OptionError` for anything else."""
    return text if text in (LUMINANCE, BEST) else _number(text, option, f", {LUMINANCE} or {BEST}")


def for_both(text: str | None, option: str, parse: Callable[[str, str], _T]) -> tuple[_T | None, _T | None]:
    """Return what ``text`` says of the fixed and of the moving image: "N" is of both, "N,M" of one each."""
    if text is None:
        return None, None
    values = [parse(part.strip(), option) for part in text.split(",")]
    if len(values) > 2:
        raise OptionError(f"{option}: expected one value, or two as FIXED,MOVING, got {text!r}")
    return values[0], values[-1]


@dataclass(frozen=True, kw_only=True)
class InputConfig:
    """What of two files is read, and what of that the registration sees; "N" for both, or "FIXED,MOVING".

    Attributes:
        series: number of the series, counted from 0; None for the first.
        page: number of the page, counted from 0 over all axes but the channels; it alone is kept. None keeps all, and
            registers the first.
        channel: number of the channel that is registered, counted from 0; ``luminance`` of RGB, or ``best``, the one
            with the most texture over its noise. None for luminance of RGB, and else for the best. All are moved.
    """

    series: str | None = None
    page: str | None = None
    channel: str | None = None

    def __post_init__(self) -> None:
        _ = self.each_series, self.each_page, self.each_channel

    @property
    def each_series(self) -> tuple[int | None, int | None]:
        """Of fixed and moving."""
        return for_both(self.series, "--series", _number)

    @property
    def each_page(self) -> tuple[int | None, int | None]:
        """Of fixed and moving."""
        return for_both(self.page, "--page", _number)

    @property
    def each_channel(self) -> tuple[int | str | None, int | str | None]:
        """Of fixed and moving."""
        return for_both(self.channel, "--channel", channel_choice)


@dataclass(frozen=True, kw_only=True)
class ResamplingConfig:
    """How an image is put on another frame.

    Attributes:
        interpolation: how values between pixels are found.
        canvas: the frame of what is written.
        fill: what pixels hold that the image does not cover: a number, ``nan``, or ``edge`` for its nearest pixel;
            None for its own value of missing pixels, else 0, or NaN for floats.
    """

    interpolation: Interpolation = Interpolation.CUBIC
    canvas: Canvas = Canvas.FIXED
    fill: str | None = None

    def __post_init__(self) -> None:
        coerce(self, interpolation=Interpolation, canvas=Canvas)
        _ = self.value

    @property
    def edge(self) -> bool:
        """The image goes on beyond its edge as its nearest pixel."""
        return self.fill == EDGE

    @property
    def value(self) -> float | None:
        """The number that ``fill`` is, NaN included."""
        if self.fill is None or self.edge:
            return None
        try:
            return float(self.fill)
        except ValueError:
            raise OptionError(f"--fill: expected a number, nan or {EDGE}, got {self.fill!r}") from None


def chosen_products(write: str | None) -> frozenset[Product]:
    """Return what ``--write`` names; raise `OptionError` for what there is not."""
    names = list(Product) if write is None else [name.strip() for name in write.split(",")]
    return frozenset(choose(Product, name, "--write") for name in names)


IDENTITY = "identity"  # what --init takes beside the name of a file


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """One pair of files: what to read, where to write, how to register.

    Attributes:
        fixed, moving: image files.
        out: output folder, or None for ``<moving's stem>_aligned`` in the working folder.
        fixed_mask, moving_mask: optional image files of the same frame; pixels above zero count.
        init: where to start without a search: ``identity``, or a file with a matrix; None searches.
        write: what is written, names of `Product` divided by commas; None for all.
        overwrite: replace files that exist.
        accept: the least of a verdict that ends with exit code 0.
        inputs: what of the files is read and registered.
        registration: settings of the registration.
        resampling: how the moving image is put on the fixed one's frame.
    """

    fixed: Path
    moving: Path
    out: Path | None = None
    fixed_mask: Path | None = None
    moving_mask: Path | None = None
    init: str | None = None
    write: str | None = None
    overwrite: bool = False
    accept: Accept = Accept.OK
    inputs: InputConfig = InputConfig()
    registration: RegistrationConfig = RegistrationConfig()
    resampling: ResamplingConfig = ResamplingConfig()

    def __post_init__(self) -> None:
        coerce(self, accept=Accept)
        _ = self.products

    @property
    def products(self) -> frozenset[Product]:
        """What is written."""
        return chosen_products(self.write)

    @property
    def folder(self) -> Path:
        """The output folder."""
        return self.out or Path(f"{self.moving.stem}_aligned")


@dataclass(frozen=True, kw_only=True)
class ApplyConfig:
    """Images that a transform is applied to.

    Attributes:
        transform: a transform.json.
        images: image files.
        out: the file of one image, or the folder of several; None for ``<stem>_aligned.tif`` in the working folder.
        inverse: put images of the fixed frame on the moving one instead.
        page: number of the one page that is kept, counted from 0 over all axes but the channels; None keeps all.
        series: number of the series, counted from 0; None for the first.
        overwrite: replace files that exist.
        backend: with what arithmetic; ``aligned.tif`` comes out again bit for bit by the one that it was made by.
        resampling: how the images are put on the other frame.
    """

    transform: Path
    images: tuple[Path, ...]
    out: Path | None = None
    inverse: bool = False
    page: int | None = None
    series: int | None = None
    backend: Backend = Backend.AUTO
    overwrite: bool = False
    resampling: ResamplingConfig = ResamplingConfig()

    def __post_init__(self) -> None:
        coerce(self, backend=Backend)


@dataclass(frozen=True, kw_only=True)
class StdMapConfig:
    """Standard deviation maps of images.

    Attributes:
        images: image files.
        out: output folder.
        window: side of the square window, in pixels; None for `DEFAULT_WINDOW`, or the shorter side of a smaller image.
        series, page: numbers, counted from 0, of the series, and of the page over all axes but the channels; None for
            the first.
        channel: number of the channel, counted from 0, ``luminance`` or ``best``; None for the luminance of RGB, and
            else for the best.
        scale: units of the map.
        method: how local sums are computed.
        device, backend: where and with what arithmetic.
        overwrite: replace files that exist.
    """

    images: tuple[Path, ...]
    out: Path
    window: int | None = None
    series: int | None = None
    page: int | None = None
    channel: str | None = None
    scale: StdScale = StdScale.POPULATION
    method: Method = Method.AUTO
    device: Device = Device.AUTO
    backend: Backend = Backend.AUTO
    overwrite: bool = False

    def __post_init__(self) -> None:
        coerce(self, scale=StdScale, method=Method, device=Device, backend=Backend)
        check_window(self.window)
        _ = self.chosen_channel

    @property
    def chosen_channel(self) -> int | str | None:
        """The channel, as a number where it is one."""
        return None if self.channel is None else channel_choice(self.channel, "--channel")
