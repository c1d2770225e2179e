"""The settings of one registration."""

from __future__ import annotations

from dataclasses import dataclass, field

from zncc_cli.config.choices import Backend, Contrast, Device, Flip, Model, Optimizer, coerce
from zncc_cli.config.setting import Range, check_ranges, setting
from zncc_cli.config.shared import AUTO, BACKEND, DEFAULT_WINDOW, DEVICE, NO_DATA, WINDOW, no_data_number
from zncc_cli.errors import OptionError

DEFAULT_SPACING = 8.0  # of the nodes of a B-spline, pixels
# Where none is asked for: the smallest overlap in the first search, and in the one that follows if nothing is found.
DEFAULT_MIN_OVERLAP, FALLBACK_MIN_OVERLAP = 0.25, 0.05


@dataclass(frozen=True, kw_only=True)
class RegistrationConfig:
    """Settings of one registration; each field's metadata says what it does.

    Where ``window`` is None, its side is `DEFAULT_WINDOW`, or less where the images, or their overlap, hold too few
    windows that are independent. The finest level ends at the zero of a score, whatever the optimizer.
    """

    model: Model = field(
        default=Model.AFFINE,
        metadata=setting(
            "Richest motion allowed; bspline bends; auto takes the simplest that explains the pair.", alias="-m"
        ),
    )
    window: int | None = field(
        default=None,
        metadata=setting(
            "Side of the square ZNCC window, in pixels of each pyramid level.",
            metavar="PIXELS",
            alias="-w",
            default=f"{DEFAULT_WINDOW}, less where images are small or narrow",
            range=WINDOW,
        ),
    )
    min_overlap: float | None = field(
        default=None,
        metadata=setting(
            "Smallest part of the smaller image that must lie in the overlap.",
            metavar="FRACTION",
            default=f"{DEFAULT_MIN_OVERLAP}; if nothing is found, again with {FALLBACK_MIN_OVERLAP}",
            range=Range(kind="a fraction", above=0, at_most=1),
        ),
    )
    max_motion: float | None = field(
        default=None,
        metadata=setting(
            "Largest motion of a corner from the start that is given, or else from the identity; nothing beyond it is "
            "searched or returned.",
            metavar="PIXELS",
            default="any",
            range=Range(kind="a number of pixels", above=0),
        ),
    )
    flip: Flip = field(
        default=Flip.AUTO,
        metadata=setting(
            "Whether the moving image may be mirrored; auto tries its mirror image where nothing is found without."
        ),
    )
    contrast: Contrast = field(
        default=Contrast.AUTO,
        metadata=setting(
            "What is bright in one image is bright in the other one (same), dark (inverted), one of both (either), or "
            "anything (any: local texture is compared, as for different sensors or stains); auto: either, then any."
        ),
    )
    max_iterations: int = field(
        default=60,
        metadata=setting(
            "Limit of optimizer iterations on each pyramid level; on the finest it is 20, or a third of this if more.",
            metavar="N",
            range=Range(kind="a whole number,", at_least=1),
        ),
    )
    tolerance: float = field(
        default=0.002,
        metadata=setting(
            "End the finest level when an iteration moves no corner by more than this.",
            metavar="PIXELS",
            range=Range(kind="a number of pixels", above=0, at_most=1),
        ),
    )
    optimizer: Optimizer = field(
        default=Optimizer.BFGS,
        metadata=setting(
            "How the loss is minimized on the coarse levels; the finest is refined by Gauss-Newton steps in any case."
        ),
    )
    spacing: float | None = field(
        default=None,
        metadata=setting(
            "Distance of the nodes of the B-spline, for model bspline.",
            metavar="PIXELS",
            default=f"{DEFAULT_SPACING:g}",
            range=Range(kind="a number of pixels", at_least=2, at_most=1e4),
        ),
    )
    smoothness: float = field(
        default=1.0,
        metadata=setting(
            "How many times smoother the B-spline is than the images tell, for model bspline: above 1 stiffer, below 1 "
            "more flexible.",
            metavar="FACTOR",
            range=Range(kind="a number", above=0, at_most=1e6),
        ),
    )
    no_data: str = field(default=AUTO, metadata=NO_DATA)
    device: Device = field(default=Device.AUTO, metadata=DEVICE)
    backend: Backend = field(default=Backend.AUTO, metadata=BACKEND)

    def __post_init__(self) -> None:
        coerce(
            self,
            model=Model,
            flip=Flip,
            contrast=Contrast,
            optimizer=Optimizer,
            device=Device,
            backend=Backend,
        )
        check_ranges(self)
        no_data_number(self.no_data)
        for name, default in (("spacing", None), ("smoothness", 1.0)):
            if self.model is not Model.BSPLINE and getattr(self, name) != default:
                raise OptionError(
                    f"`{name}`: expected with `model` bspline, got `model` {self.model}, where it would have no effect"
                )

    @property
    def window_side(self) -> int:
        """The side of the window in pixels, where the image has room for it."""
        return DEFAULT_WINDOW if self.window is None else self.window

    @property
    def first_min_overlap(self) -> float:
        """The smallest part of the smaller image that must lie in the overlap, in the first search."""
        return DEFAULT_MIN_OVERLAP if self.min_overlap is None else self.min_overlap
