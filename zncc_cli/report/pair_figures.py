"""The pictures of a report page: before and after on one frame, and maps of what was measured there."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image as PillowImage

from zncc_cli.report.colours import MAGMA, ORANGE_PURPLE, RED_BLUE, VIRIDIS, ColourMap, colour_png
from zncc_cli.report.grey import Limits, block_means, box_means, robust_limits, stretched
from zncc_cli.report.words import number_text

_VIEW_SIDE = 1024  # pixels; what a screen shows of a picture, and what a page of a few megabytes holds
_MAP_SIDE = 640  # maps are means over a window, and are shown smaller
_BACKGROUND = 40  # of 255: where the moving image has no value, as in overlay.png
# JPEG qualities, of which the first is taken whose five pictures stay below the budget: texture stays above 80 even at
# the largest size; white noise, which does not compress, comes to the end of the list.
_QUALITIES = (92, 85, 75, 60, 45, 30)
_BUDGET = 1_600_000  # bytes before base64, which adds a third


@dataclass(frozen=True, kw_only=True, eq=False)
class PairFigures:
    """What a page shows, all (H, W) on one frame: that of the fixed image, or one reduced from it.

    Attributes:
        fixed: grey values.
        before: the moving image laid on the frame unmoved, and after: by the transform; as they were compared, so
            negated where the contrast is inverted.
        valid_before, valid_after: where they have a value.
        zncc: local ZNCC after, NaN where there is none.
        std_fixed, std_aligned: local standard deviations, NaN where there is none.
        matrix: (3, 3), fixed to moving, in pixels (x, y) of this frame.
        uncertainty: one standard deviation of the position, in pixels of the fixed image; None where it is not known.
        pixel: side of a pixel of this frame in pixels of the fixed image: 4 where it was reduced to a quarter.
    """

    fixed: NDArray[Any]
    before: NDArray[Any]
    after: NDArray[Any]
    valid_before: NDArray[np.bool_]
    valid_after: NDArray[np.bool_]
    zncc: NDArray[Any]
    std_fixed: NDArray[Any]
    std_aligned: NDArray[Any]
    matrix: NDArray[np.float64]
    uncertainty: NDArray[Any] | None = None
    pixel: float = 1.0

    def __post_init__(self) -> None:
        planes = (self.before, self.after, self.valid_before, self.valid_after, self.zncc, self.std_fixed)
        assert self.fixed.ndim == 2, "pictures are grey"
        assert self.fixed.size, "pictures have pixels"
        assert all(plane.shape == self.fixed.shape for plane in (*planes, self.std_aligned)), "one frame for all"
        assert self.uncertainty is None or self.uncertainty.shape == self.fixed.shape, "one frame for all"

    def reduced(self, side: int = _VIEW_SIDE) -> PairFigures:
        """These pictures by means over square areas, at most ``side`` pixels wide and high."""
        factor = math.ceil(max(self.fixed.shape) / side)
        if factor <= 1:
            return self

        def means(values: NDArray[Any], known: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
            finite = np.isfinite(values)
            return block_means(values, finite if known is None else finite & known, factor)[0]

        before, after = means(self.before, self.valid_before), means(self.after, self.valid_after)
        # The centre of a reduced pixel lies on the centre of its area.
        to_fine = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
        return dataclasses.replace(
            self,
            fixed=means(self.fixed),
            before=before,
            after=after,
            valid_before=np.isfinite(before),
            valid_after=np.isfinite(after),
            zncc=means(self.zncc),
            std_fixed=means(self.std_fixed),
            std_aligned=means(self.std_aligned),
            matrix=np.linalg.inv(to_fine) @ self.matrix @ to_fine,
            uncertainty=None if self.uncertainty is None else means(self.uncertainty),
            pixel=self.pixel * factor,
        )

    def shared(self, *, after: bool) -> NDArray[np.bool_]:
        """Where both images have a value, before or after."""
        moving, valid = (self.after, self.valid_after) if after else (self.before, self.valid_before)
        known: NDArray[np.bool_] = valid & np.isfinite(moving) & np.isfinite(self.fixed)
        return known


@dataclass(frozen=True)
class EmbeddedImage:
    """An embedded picture: a data URI, and its size in pixels."""

    uri: Markup
    width: int
    height: int


@dataclass(frozen=True)
class MapFigure:
    """A map in colours with its colour bar.

    Attributes:
        key: its name in the page. title, meaning: what it shows. unit: of its numbers, or "".
        picture: None where the map holds no number.
        colours: of the colour bar, RRGGBB from left to right. ticks: the numbers below it.
        summary: a number that says most of it.
    """

    key: str
    title: str
    meaning: str
    picture: EmbeddedImage | None
    colours: tuple[str, ...]
    ticks: tuple[str, ...]
    unit: str
    summary: str


def embedded_image(content: bytes, kind: str, shape: tuple[int, ...]) -> EmbeddedImage:
    """``content``, an image file of the MIME type ``kind`` and of ``shape`` (H, W, ...), as an embedded picture."""
    return EmbeddedImage(Markup(f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"), shape[1], shape[0])


def jpeg(pixels: NDArray[np.uint8], quality: int, *, small: bool = False) -> bytes:
    """``pixels`` (H, W) or (H, W, 3) as JPEG; ``small`` halves the resolution of colours and fits the code to them."""
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if small else 0, optimize=small)
    return file.getvalue()


def view_pixels(pictures: PairFigures) -> dict[str, NDArray[np.uint8]]:
    """The pictures to compare: fixed, before and after in grey (H, W), both overlays in magenta and green (H, W, 3).

    Each image is stretched alike wherever it is shown, between the robust limits of what both images show after the
    alignment, or else before, or else of all there is.
    """
    finite = np.isfinite(pictures.fixed)
    fixed_known = next(
        known
        for known in (pictures.shared(after=True), pictures.shared(after=False), finite)
        if known.any() or known is finite
    )
    fixed = stretched(pictures.fixed, finite, robust_limits(pictures.fixed, fixed_known))
    moving, known = pictures.after, pictures.shared(after=True)
    if not known.any():
        moving, known = pictures.before, pictures.valid_before & np.isfinite(pictures.before)
    limits = robust_limits(moving, known)
    pixels = {"fixed": _levels(fixed, finite)}
    for name, values, valid in (
        ("before", pictures.before, pictures.valid_before),
        ("after", pictures.after, pictures.valid_after),
    ):
        there = valid & np.isfinite(values)
        grey = stretched(values, there, limits)
        pixels[name] = _levels(grey, there)
        pixels[f"overlay-{name}"] = _levels(np.stack([fixed, grey, fixed], axis=-1), there & finite)
    return pixels


def _levels(shares: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.rint(255 * shares).astype(np.uint8)
    levels[~known] = _BACKGROUND
    return levels


def views(pictures: PairFigures) -> dict[str, EmbeddedImage]:
    """`view_pixels`, embedded, at the best quality at which they stay below the page's budget together."""
    pixels = view_pixels(pictures)
    files: dict[str, bytes] = {}
    for quality in _QUALITIES:
        files = {name: jpeg(picture, quality) for name, picture in pixels.items()}
        if sum(map(len, files.values())) <= _BUDGET:
            break
    return {name: embedded_image(content, "image/jpeg", pixels[name].shape) for name, content in files.items()}


def maps(pictures: PairFigures, window: object = None) -> list[MapFigure]:
    """The maps of a page, with ``window``, the side of the ZNCC window in pixels, in their words."""
    small = pictures.reduced(_MAP_SIDE)
    windows = f"windows of {window} x {window} pixels" if isinstance(window, int) else "local windows"
    found = [
        _map(
            "zncc",
            "ZNCC",
            small.zncc,
            f"How alike the aligned images are in {windows}: 1 the same, 0 unrelated, -1 a negative.",
            RED_BLUE,
            limits=(-1.0, 1.0),
        ),
        _map(
            "residual",
            "Residual",
            residual(small),
            "Fixed less aligned image, each over its standard deviation (SD), and less what differs broadly, as "
            "shading does. Edges that are seen here do not match.",
            ORANGE_PURPLE,
            unit="SD",
            symmetric=True,
        ),
        _map(
            "std-fixed",
            "Texture, fixed",
            small.std_fixed,
            f"Standard deviation in {windows}: where there is none, nothing can be aligned.",
            VIRIDIS,
            unit="grey levels",
        ),
        _map(
            "std-aligned",
            "Texture, aligned",
            small.std_aligned,
            f"Standard deviation in {windows}, of the moving image on the fixed frame.",
            VIRIDIS,
            unit="grey levels",
        ),
    ]
    if small.uncertainty is not None:
        found.append(
            _map(
                "uncertainty",
                "Uncertainty",
                small.uncertainty,
                "One standard deviation of the position that the transform gives a pixel, as far as noise decides it.",
                MAGMA,
                unit="px",
            )
        )
    return found


def residual(pictures: PairFigures) -> NDArray[np.float32]:
    """Fixed less aligned, each normalised to variance one over what they share, less its local mean; NaN elsewhere.

    The local mean is over squares of a sixteenth of the longer side.
    """
    known = pictures.shared(after=True)
    fixed, after = (_normalised(image, known) for image in (pictures.fixed, pictures.after))
    difference = np.where(known, fixed - after, 0)
    broad = box_means(difference, known, max(3, max(known.shape) // 16))
    return np.where(known, difference - broad, np.float32(np.nan)).astype(np.float32)


def _normalised(image: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    values = np.where(known, image, 0).astype(np.float64)
    count = max(1, int(known.sum()))
    values -= values.sum() / count
    deviation = math.sqrt(float(np.square(values, where=known, out=np.zeros_like(values)).sum()) / count)
    return (values / (deviation or 1.0)).astype(np.float32)


def _map(
    key: str,
    title: str,
    values: NDArray[Any],
    meaning: str,
    colours: ColourMap,
    *,
    unit: str = "",
    limits: Limits | None = None,
    symmetric: bool = False,
) -> MapFigure:
    known = np.isfinite(values)
    if not known.any():
        return MapFigure(key, title, meaning, None, colours.colours, (), unit, "")
    if limits is None:
        limits = robust_limits(np.abs(values) if symmetric else values, known)
        limits = (-limits[1], limits[1]) if symmetric else limits
    low, high = limits
    picture = embedded_image(colour_png(values, limits, colours), "image/png", values.shape)
    ticks = (
        tuple(number_text(float(tick), 3) for tick in np.linspace(low, high, 5))
        if high > low
        else (number_text(low, 3),)
    )
    median = float(np.median(np.abs(values[known]) if symmetric else values[known]))
    summary = f"Median{' size' if symmetric else ''} {number_text(median, 3)}{f' {unit}' if unit else ''}"
    return MapFigure(key, title, meaning, picture, colours.colours, ticks, unit, summary)
