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

from zncc_cli.report.colours import MAGMA, ORANGE_PURPLE, RED_BLUE, VIRIDIS, ColourMap, colour_png
from zncc_cli.report.grey import Limits, block_means, box_means, grey_levels, robust_limits, sample
from zncc_cli.report.words import number_text

_MAX_VIEW_SIDE = 1024  # pixels; what a screen shows of a picture, and what a file of a few megabytes holds
MAX_MAP_SIDE = 400
"""Pixels of a map's longer side: maps are means over a window, and a card of the page is some 330 pixels wide."""
_BACKGROUND = 40  # grey value where the moving image has no value, as in overlay.png
# JPEG qualities, of which the first is taken whose five pictures stay below the bound: texture stays above 80 even at
# the largest size; white noise, which does not compress, comes to the end of the list.
_QUALITIES = (92, 85, 75, 60, 45, 30)
_MAX_VIEW_BYTES = 1_600_000  # before base64, which adds a third


@dataclass(frozen=True, kw_only=True, eq=False)
class PairFigures:
    """The images that an HTML report shows, (H, W) on one frame: the fixed image's, or one reduced from it.

    The maps may be reduced further, each to a shape of its own.

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
        planes = (self.before, self.after, self.valid_before, self.valid_after)
        assert self.fixed.ndim == 2, "pictures are grey"
        assert self.fixed.size, "pictures have pixels"
        assert all(plane.shape == self.fixed.shape for plane in planes), "one frame for all"

    def reduced(self, max_side: int = _MAX_VIEW_SIDE) -> PairFigures:
        """Return these images reduced by area averaging to at most ``max_side`` pixels of width and height."""
        factor = math.ceil(max(self.fixed.shape) / max_side)
        if factor <= 1:
            return self

        before, after = (
            _reduced(values, max_side, valid)
            for values, valid in ((self.before, self.valid_before), (self.after, self.valid_after))
        )
        # The centre of a reduced pixel lies on the centre of its area.
        to_fine = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
        return dataclasses.replace(
            self,
            fixed=_reduced(self.fixed, max_side),
            before=before,
            after=after,
            valid_before=np.isfinite(before),
            valid_after=np.isfinite(after),
            zncc=_reduced(self.zncc, max_side),
            std_fixed=_reduced(self.std_fixed, max_side),
            std_aligned=_reduced(self.std_aligned, max_side),
            matrix=np.linalg.inv(to_fine) @ self.matrix @ to_fine,
            expected_error=None if self.expected_error is None else _reduced(self.expected_error, max_side),
            pixel=self.pixel * factor,
        )

    def shared(self, *, after: bool) -> NDArray[np.bool_]:
        """Return where both images have a value, (H, W) bool, before or after the alignment."""
        moving, valid = (self.after, self.valid_after) if after else (self.before, self.valid_before)
        known: NDArray[np.bool_] = valid & np.isfinite(moving) & np.isfinite(self.fixed)
        return known


def _reduced(values: NDArray[Any], max_side: int, known: NDArray[np.bool_] | None = None) -> NDArray[Any]:
    """Return ``values`` (H, W) as means of blocks of the ``known`` and finite ones, at most ``max_side`` a side."""
    factor = math.ceil(max(values.shape) / max_side)
    if factor == 1:
        return values
    finite = np.isfinite(values)
    return block_means(values, finite if known is None else finite & known, factor)[0]


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
    from PIL import Image as PillowImage  # takes its time to load

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
    fixed = grey_levels(figures.fixed, finite, robust_limits(figures.fixed, fixed_known))
    moving, known = figures.after, figures.shared(after=True)
    if not known.any():
        moving, known = figures.before, figures.valid_before & np.isfinite(figures.before)
    limits = robust_limits(moving, known)
    pixels = {"fixed": _on_background(fixed, finite)}
    for name, values, valid in (
        ("before", figures.before, figures.valid_before),
        ("after", figures.after, figures.valid_after),
    ):
        has_value = valid & np.isfinite(values)
        grey = grey_levels(values, has_value, limits)
        pixels[name] = _on_background(grey, has_value)
        magenta, green = (_on_background(levels, has_value & finite) for levels in (fixed, grey))
        pixels[f"overlay-{name}"] = np.stack([magenta, green, magenta], axis=-1)
    return pixels


def _on_background(levels: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Return ``levels`` (H, W) with the background where not known (H, W)."""
    return np.where(known, levels, np.uint8(_BACKGROUND))


def embedded_views(figures: PairFigures) -> dict[str, EmbeddedImage]:
    """Return `view_pixels` as embedded images, at the best quality at which together they stay below the bound."""
    pixels = view_pixels(figures)
    files: dict[str, bytes] = {}
    for quality in _QUALITIES:
        files = {name: jpeg(pixels[name], quality) for name in ("after", "overlay-after")}
        # The three grey views take about as much as one of them each, and the two overlays as well.
        if 3 * len(files["after"]) + 2 * len(files["overlay-after"]) > _MAX_VIEW_BYTES and quality != _QUALITIES[-1]:
            continue
        files = {name: files.get(name) or jpeg(view, quality) for name, view in pixels.items()}
        if sum(map(len, files.values())) <= _MAX_VIEW_BYTES:
            break
    return {name: embedded_image(content, "image/jpeg", pixels[name].shape) for name, content in files.items()}


def map_figures(figures: PairFigures, window: object = None) -> list[MapFigure]:
    """Return the maps of an HTML report; ``window`` is the side of the ZNCC window in pixels, None if not known."""
    small = figures.reduced(MAX_MAP_SIDE)
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
    drawn = sample(values, known)
    median = float(np.median(np.abs(drawn) if symmetric else drawn))
    summary = f"Median{' magnitude' if symmetric else ''} {number_text(median, 3)}{f' {unit}' if unit else ''}"
    return MapFigure(key, title, meaning, picture, colours.colours, ticks, unit, summary)
