"""How an image is resampled onto another frame."""

from __future__ import annotations

from dataclasses import dataclass, field

from zncc_cli.config.choices import Canvas, ImageFormat, Interpolation, Pyramid, coerce
from zncc_cli.config.setting import setting
from zncc_cli.errors import OptionError

EDGE = "edge"  # the word that `fill` takes beside a number


@dataclass(frozen=True, kw_only=True)
class ResamplingConfig:
    """How an image is resampled onto another frame."""

    interpolation: Interpolation = field(
        default=Interpolation.CUBIC,
        metadata=setting("How values between pixels are computed; nearest for labels."),
    )
    canvas: Canvas = field(
        default=Canvas.FIXED,
        metadata=setting(
            "Frame of the written images: FIXED's (fixed), the smallest that holds both (union), or what both show "
            "(common)."
        ),
    )
    fill: str | None = field(
        default=None,
        metadata=setting(
            "Value of pixels that the image does not cover; edge repeats its nearest pixel.",
            metavar="VALUE|nan|edge",
            default="the image's nodata value, otherwise 0, or NaN for floats",
        ),
    )
    image_format: ImageFormat = field(
        default=ImageFormat.AUTO,
        metadata=setting(
            "File format of the written images: tiff, ome-zarr (0.5), png, which holds one plane of 8 or 16 bits, or "
            "fits, with the coordinate system of the grid; auto is tiff, or what the suffix of a file's name says.",
            option="--format",
        ),
    )
    pyramid: Pyramid = field(
        default=Pyramid.AUTO,
        metadata=setting(
            "Large images (more than 8192 pixels along a side) are written in tiles with smaller copies, as OME-TIFF "
            "where they are no OME-Zarr (auto), or as their own kind of file (no)."
        ),
    )

    def __post_init__(self) -> None:
        coerce(self, interpolation=Interpolation, canvas=Canvas, image_format=ImageFormat, pyramid=Pyramid)
        _ = self.value

    @property
    def labels(self) -> bool:
        """Whether the pixels are labels, not measured values: each is copied from its nearest pixel."""
        return self.interpolation is Interpolation.NEAREST

    @property
    def edge(self) -> bool:
        """Whether pixels beyond the image take the value of its nearest pixel."""
        return self.fill == EDGE

    @property
    def value(self) -> float | None:
        """The number that ``fill`` names, NaN included; None where it names none."""
        if self.fill is None or self.edge:
            return None
        try:
            return float(self.fill)
        except ValueError:
            raise OptionError(f"`fill`: expected a number, nan or {EDGE}, got {self.fill!r}") from None
