"""The figures of report.html: both images before and after the alignment on one frame, and maps of local measures."""

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

_MAX_VIEW_SIDE = 1024  # pixels; what a screen shows of a picture, and what a file of a few megabytes holds
_MAX_MAP_SIDE = 640  # pixels; maps are means over a window, and are shown smaller
_BACKGROUND = 40  # grey value where the moving image has no value, as in overlay.png
# JPEG qualities, of which the first is taken whose five pictures stay below the bound: texture stays above 80 even at
# the largest size; white noise, which does not compress, comes to the end of the list.
_QUALITIES = (92, 85, 75, 60, 45, 30)
_MAX_VIEW_BYTES = 1_600_000  # before base64, which adds a third


@dataclass(frozen=True, kw_only=True, eq=False)
class PairFigures:
    """The images that an HTML report shows, all (H, W) on one frame: the fixed image's, or one reduced from it.

    Attributes:
        fixed: grey values of the fixed image.
        before, after: grey values of the moving image on this frame, unmoved and moved by the transform; negated if the
            contrast is inverted, since they were compared so.
        valid_before, valid_after: bool, where these have a value.
        zncc: local ZNCC after the alignment, NaN where there is none.
        std_fixed, std_aligned: local standard deviations, NaN where there is none.
        matrix: (3, 3), fixed -> moving, in pixels (x, y) of this frame.
        expected_error: expected error of the position, in pixels of the fixed image; None if it is not known.
        pixel: side of a pixel of this frame in pixels of the fixed image: 4 for a frame reduced to a quarter.
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
    expected_error: NDArray[Any] | None = None
    pixel: float = 1.0

    def __post_init__(self) -> None:
        planes = (self.before, self.after, self.valid_before, self.valid_after, self.zncc, self.std_fixed)
        assert self.fixed.ndim == 2, "pictures are grey"
        assert self.fixed.size, "pictures have pixels"
        assert all(plane.shape == self.fixed.shape for plane in (*planes, self.std_aligned)), "one frame for all"
        assert self.expected_error is None or self.expected_error.shape == self.fixed.shape, "one frame for all"

    def reduced(self, max_side: int = _MAX_VIEW_SIDE) -> PairFigures:
        """Return these images reduced by area averaging to at most ``max_side`` pixels of width and height."""
        factor = math.ceil(max(self.fixed.shape) / max_side)
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
            expected_error=None if self.expected_error is None else means(self.expected_error),
            pixel=self.pixel * factor,
        )

    def shared(self, *, after: bool) -> NDArray[np.bool_]:
        """Return where both images have a value, (H, W) bool, before or after the alignment."""
        moving, valid = (self.after, self.valid_after) if after else (self.before, self.valid_before)
        known: NDArray[np.bool_] = valid & np.isfinite(moving) & np.isfinite(self.fixed)
        return known


@dataclass(frozen=True)
class EmbeddedImage:
    """A picture inside the HTML file: a data URI, and its size in pixels."""

    uri: Markup
    width: int
    height: int


@dataclass(frozen=True)
class MapFigure:
    """A map in colours with its colour bar.

    Attributes:
        key: its id in the HTML file.
        title, meaning: the heading, and what the map shows.
        picture: the map; None if it holds no finite value.
        colours: colours of the colour bar, RRGGBB from left to right.
        ticks: the numbers below the colour bar.
        unit: unit of the values, or "".
        summary: the median, in words.
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
    """Return an image file of the MIME type ``kind``, whose pixels have ``shape`` (H, W, ...), as an embedded image."""
    return EmbeddedImage(Markup(f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"), shape[1], shape[0])


def jpeg(pixels: NDArray[np.uint8], quality: int, *, small: bool = False) -> bytes:
    """Return ``pixels``, (H, W) or (H, W, 3), as a JPEG file.

    ``small`` makes it smaller: colours have half the resolution, and the Huffman code is fitted to the picture.
    """
    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if small else 0, optimize=small)
    return file.getvalue()


def view_pixels(figures: PairFigures) -> dict[str, NDArray[np.uint8]]:
    """Return the images to compare by name: fixed, before and after in grey, (H, W), and two overlays, (H, W, 3).

    Each image has the same contrast in all of them: it is stretched between its robust limits over the pixels that both
    images have after the alignment; without such pixels, before the alignment; else over all pixels that it has.
    """
    finite = np.isfinite(figures.fixed)
    fixed_known = next(
        known
        for known in (figures.shared(after=True), figures.shared(after=False), finite)
        if known.any() or known is finite
    )
    fixed = stretched(figures.fixed, finite, robust_limits(figures.fixed, fixed_known))
    moving, known = figures.after, figures.shared(after=True)
    if not known.any():
        moving, known = figures.before, figures.valid_before & np.isfinite(figures.before)
    limits = robust_limits(moving, known)
    pixels = {"fixed": _levels(fixed, finite)}
    for name, values, valid in (
        ("before", figures.before, figures.valid_before),
        ("after", figures.after, figures.valid_after),
    ):
        has_value = valid & np.isfinite(values)
        grey = stretched(values, has_value, limits)
        pixels[name] = _levels(grey, has_value)
        pixels[f"overlay-{name}"] = _levels(np.stack([fixed, grey, fixed], axis=-1), has_value & finite)
    return pixels


def _levels(intensities: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``intensities`` of 0 to 1, (H, W) or (H, W, 3), as 8-bit levels, with the background where not known."""
    levels: NDArray[np.uint8] = np.rint(255 * intensities).astype(np.uint8)
    levels[~known] = _BACKGROUND
    return levels


def embedded_views(figures: PairFigures) -> dict[str, EmbeddedImage]:
    """Return `view_pixels` as embedded images, at the best quality at which together they stay below the bound."""
    pixels = view_pixels(figures)
    files: dict[str, bytes] = {}
    for quality in _QUALITIES:
        files = {name: jpeg(view, quality) for name, view in pixels.items()}
        if sum(map(len, files.values())) <= _MAX_VIEW_BYTES:
            break
    return {name: embedded_image(content, "image/jpeg", pixels[name].shape) for name, content in files.items()}


def map_figures(figures: PairFigures, window: object = None) -> list[MapFigure]:
    """Return the maps of an HTML report; ``window`` is the side of the ZNCC window in pixels, None if not known."""
    small = figures.reduced(_MAX_MAP_SIDE)
    windows = f"windows of {window} x {window} pixels" if isinstance(window, int) else "local windows"
    maps = [
        _map(
            "zncc",
            "ZNCC",
            small.zncc,
            f"Correlation of the aligned images in {windows}: 1 means the same, 0 unrelated, -1 inverted.",
            RED_BLUE,
            limits=(-1.0, 1.0),
        ),
        _map(
            "residual",
            "Residual",
            residual(small),
            "Fixed minus aligned image, each divided by its standard deviation (SD); broad differences such as shading "
            "are subtracted. Edges that are visible here do not match.",
            ORANGE_PURPLE,
            unit="SD",
            symmetric=True,
        ),
        _map(
            "std-fixed",
            "Texture, fixed",
            small.std_fixed,
            f"Standard deviation in {windows}: windows without texture cannot be aligned.",
            VIRIDIS,
            unit="grey levels",
        ),
        _map(
            "std-aligned",
            "Texture, aligned",
            small.std_aligned,
            f"Standard deviation of the aligned image in {windows}.",
            VIRIDIS,
            unit="grey levels",
        ),
    ]
    if small.expected_error is not None:
        maps.append(
            _map(
                "expected-error",
                "Expected error",
                small.expected_error,
                "Expected error of the position that the transform gives a pixel, as far as it comes from noise.",
                MAGMA,
                unit="px",
            )
        )
    return maps


def residual(figures: PairFigures) -> NDArray[np.float32]:
    """Return the fixed minus the aligned image, (H, W), without broad differences; NaN where one has no value.

    Both are normalised to mean zero and variance one over the pixels that they share. The local mean of the difference,
    over squares of a sixteenth of the longer side, is subtracted.
    """
    known = figures.shared(after=True)
    fixed, after = (_normalised(image, known) for image in (figures.fixed, figures.after))
    difference = np.where(known, fixed - after, 0)
    broad = box_means(difference, known, max(3, max(known.shape) // 16))
    return np.where(known, difference - broad, np.float32(np.nan)).astype(np.float32)


def _normalised(image: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return ``image`` (H, W) with mean zero and variance one over the ``known`` pixels."""
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
    """Return a map of ``values`` (H, W) between ``limits``, by default robust ones; ``symmetric`` ones about zero."""
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
    summary = f"Median{' magnitude' if symmetric else ''} {number_text(median, 3)}{f' {unit}' if unit else ''}"
    return MapFigure(key, title, meaning, picture, colours.colours, ticks, unit, summary)
