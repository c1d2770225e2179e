"""Named choices, and how a text is turned into one."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from zncc_cli.errors import OptionError


class Choice(StrEnum):
    """A named choice that prints as its value."""


class Model(Choice):
    """The kind of motion allowed, from the simplest to the richest.

    ``bspline`` bends, upon a matrix; ``auto`` is the simplest of them all that explains the pair.
    """

    AUTO = "auto"
    TRANSLATION = "translation"
    RIGID = "rigid"
    SIMILARITY = "similarity"
    AFFINE = "affine"
    HOMOGRAPHY = "homography"
    BSPLINE = "bspline"


# The models that are matrices, from the simplest to the richest: each includes those before it.
NESTED_MODELS = (Model.TRANSLATION, Model.RIGID, Model.SIMILARITY, Model.AFFINE, Model.HOMOGRAPHY)


class Flip(Choice):
    """Whether the moving image may be the mirror image of the scene; ``auto`` finds out where nothing else is found."""

    AUTO = "auto"
    NO = "no"


class Contrast(Choice):
    """How what is bright in one image may look in the other one."""

    AUTO = "auto"
    SAME = "same"
    INVERTED = "inverted"
    EITHER = "either"
    ANY = "any"

    @property
    def signs(self) -> tuple[bool, ...]:
        """The contrasts in which brightness is compared, each as whether it is inverted."""
        return {Contrast.SAME: (False,), Contrast.INVERTED: (True,)}.get(self, (False, True))


class Optimizer(Choice):
    """How the loss is minimized on the coarse levels."""

    BFGS = "bfgs"
    GAUSS_NEWTON = "gauss-newton"
    GRADIENT_DESCENT = "gradient-descent"


class Backend(Choice):
    """The arithmetic of the operators: compiled kernels, plain torch, or the first of them that works."""

    AUTO = "auto"
    NATIVE = "native"
    REFERENCE = "reference"


class Device(Choice):
    """Where tensors live; ``auto`` takes a CUDA GPU if there is one and the images have `GPU_PIXELS`."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


# Images of fewer pixels are registered on the CPU unless a GPU is asked for: a registration is some ten thousand small
# kernels, and a GPU waits for each to be launched. Measured: docs/batch.md.
GPU_PIXELS = 1 << 20


class Pyramid(Choice):
    """Whether large images are written with smaller copies of themselves."""

    AUTO = "auto"
    NO = "no"


class ImageFormat(Choice):
    """The file format of images that are written; ``auto`` is TIFF, or what the name of the file says."""

    AUTO = "auto"
    TIFF = "tiff"
    OME_ZARR = "ome-zarr"
    PNG = "png"
    FITS = "fits"


class Interpolation(Choice):
    """How values between pixels are computed: the nearest pixel, bilinear, a cubic spline, or Lanczos' kernel."""

    NEAREST = "nearest"
    LINEAR = "linear"
    CUBIC = "cubic"
    LANCZOS = "lanczos"


class Canvas(Choice):
    """The frame of the written images: the fixed image's, one that holds both images, or the part that both share."""

    FIXED = "fixed"
    UNION = "union"
    COMMON = "common"


class Accept(Choice):
    """The worst verdict with which a command still ends with exit code 0."""

    OK = "ok"
    SUSPECT = "suspect"

    def takes(self, status: str) -> bool:
        """Tell whether a verdict of ``status`` is good enough."""
        return status in (Accept.OK, self)


class Product(Choice):
    """The files that a pair writes, in the order in which they are listed."""

    ALIGNED = "aligned"
    TRANSFORM = "transform"
    MASK = "mask"
    MAPS = "maps"
    OVERLAY = "overlay"
    HTML = "html"
    REPORT = "report"


class StdScale(Choice):
    """Units of a map: the population standard deviation, or the norm that ZNCC divides by."""

    POPULATION = "population"
    NORM = "norm"


class Method(Choice):
    """How local sums are computed: by running box sums, which ``auto`` takes too, or by FFT."""

    AUTO = "auto"
    BOX = "box"
    FFT = "fft"


class TransformFormat(Choice):
    """The tool whose file format a transform is stored in."""

    ZNCC = "zncc"
    ITK = "itk"
    ELASTIX = "elastix"
    TURBOREG = "turboreg"
    MULTISTACKREG = "multistackreg"
    OPENCV = "opencv"
    METAIMAGE = "metaimage"
    BUNWARPJ = "bunwarpj"
    TIFF = "tiff"
    OME_ZARR = "ome-zarr"
    NPY = "npy"
    TEXT = "text"


_C = TypeVar("_C", bound=Choice)


def choose(kind: type[_C], value: str, name: str) -> _C:
    """Return the member of ``kind`` with this value; raise `OptionError` for the setting ``name`` if there is none."""
    try:
        return kind(value)
    except ValueError:
        values = ", ".join(member.value for member in kind)
        raise OptionError(f"`{name}`: expected one of {values}, got {value!r}") from None


def coerce(config: object, **kinds: type[Choice]) -> None:
    """Turn the named fields of a frozen config from text into choices; raise `OptionError` where there is none."""
    for name, kind in kinds.items():
        object.__setattr__(config, name, choose(kind, getattr(config, name), name))
