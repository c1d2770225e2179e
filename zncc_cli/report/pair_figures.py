"""The figures of report.html: both images before and after the alignment on one frame, and maps of local measures."""

from __future__ import annotations

import base64
import dataclasses
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from zncc_cli.registration.nonrigid.error_map import ErrorMap
from zncc_cli.registration.transforms.spline_field import SplineField
from zncc_cli.report.colours import MAGMA, ORANGE_PURPLE, RED_BLUE, VIRIDIS, ColourMap, colour_png
from zncc_cli.report.grey import Limits, block_means, box_means, robust_limits, sample
from zncc_cli.report.layers import Layers
from zncc_cli.report.words import number_text

_MAX_VIEW_SIDE = 1024  # pixels; what a screen shows of a picture, and what a file of a few megabytes holds
MAX_MAP_SIDE = 400
"""Pixels of a map's longer side: maps are means over a window, and a card of the page is some 330 pixels wide."""
# JPEG qualities, of which the first is taken whose five pictures stay below the bound: texture stays above 80 even at
# the largest size; white noise, which does not compress, comes to the end of the list.
_QUALITIES = (92, 85, 75, 60, 45, 30)
_MAX_VIEW_BYTES = 1_600_000  # before base64, which adds a third


@dataclass(frozen=True, eq=False)
class DrawnBend:
    """A transform that bends, for the report.

    Attributes:
        field: the transform, in pixels of the images.
        moving_shape: (H, W) of the moving image; where a place lies outside it, nothing is shown.
        expected_error: of the field; None where it is not known.
    """

    field: SplineField
    moving_shape: tuple[int, int]
    expected_error: ErrorMap | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PairFigures:
    """The images that an HTML report shows, on the fixed image's frame, or on one reduced from it.

    The maps may be reduced further, each to a shape of its own.

    Attributes:
        layers: both images.
        zncc: local ZNCC after the alignment, NaN where there is none.
        std_fixed, std_aligned: local standard deviations, NaN where there is none.
        matrix: (3, 3), fixed -> moving, in pixels (x, y) of the frame of ``layers``.
        expected_error: expected error of the position, in pixels of the fixed image; None if it is not known.
        pixel: side of a pixel of that frame in pixels of the fixed image: 4 for a frame reduced to a quarter.
        bend: the transform where it bends; None where the matrix is all.
        compared: the texture maps of the fixed and of the aligned image, where these were compared and not brightness,
            NaN where there is none; else None.
    """

    layers: Layers
    zncc: NDArray[Any]
    std_fixed: NDArray[Any]
    std_aligned: NDArray[Any]
    matrix: NDArray[np.float64]
    expected_error: NDArray[Any] | None = None
    pixel: float = 1.0
    bend: DrawnBend | None = None
    compared: tuple[NDArray[Any], NDArray[Any]] | None = None

    def reduced(self, max_side: int = _MAX_VIEW_SIDE) -> PairFigures:
        """Return these images reduced by area averaging to at most ``max_side`` pixels of width and height."""
        factor = math.ceil(max(self.layers.fixed.shape) / max_side)
        if factor <= 1:
            return self
        # The centre of a reduced pixel lies on the centre of its area.
        to_fine = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
        return dataclasses.replace(
            self,
            layers=self.layers.reduced(max_side),
            matrix=np.linalg.inv(to_fine) @ self.matrix @ to_fine,
            pixel=self.pixel * factor,
        )


def _reduced_map(values: NDArray[Any]) -> NDArray[Any]:
    """Return a map (H, W) as means of blocks of its finite values, at most `MAX_MAP_SIDE` a side."""
    factor = math.ceil(max(values.shape) / MAX_MAP_SIDE)
    return values if factor == 1 else block_means(values, np.isfinite(values), factor)[0]


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


def load_jpeg() -> None:
    """Load Pillow and its JPEG encoder."""
    jpeg(np.zeros((1, 1), np.uint8), _QUALITIES[0])


def jpeg(pixels: NDArray[np.uint8], quality: int, *, small: bool = False) -> bytes:
    """Return ``pixels``, (H, W) or (H, W, 3), as a JPEG file.

    ``small`` makes it smaller: colours have half the resolution, and the Huffman code is fitted to the picture.
    """
    from PIL import Image as PillowImage  # takes its time to load

    file = io.BytesIO()
    PillowImage.fromarray(pixels).save(file, "JPEG", quality=quality, subsampling=2 if small else 0, optimize=small)
    return file.getvalue()


def embedded_views(pixels: Mapping[str, NDArray[np.uint8]]) -> dict[str, EmbeddedImage]:
    """Return `Layers.views` as embedded images, at the best quality at which together they stay below the bound."""
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
    windows = f"windows of {window} x {window} pixels" if isinstance(window, int) else "local windows"
    maps = [
        *_compared_figures(figures),
        map_figure(
            "zncc",
            "ZNCC",
            _reduced_map(figures.zncc),
            f"Correlation of the aligned images in {windows}: 1 means the same, 0 unrelated, -1 inverted.",
            RED_BLUE,
            limits=(-1.0, 1.0),
        ),
        map_figure(
            "residual",
            "Residual",
            residual(figures.layers),
            "Fixed minus aligned image, each divided by its standard deviation (SD); broad differences such as shading "
            "are subtracted. Edges that are visible here do not match.",
            ORANGE_PURPLE,
            unit="SD",
            symmetric=True,
        ),
        map_figure(
            "std-fixed",
            "Texture, fixed",
            _reduced_map(figures.std_fixed),
            f"Standard deviation in {windows}: windows without texture cannot be aligned.",
            VIRIDIS,
            unit="grey levels",
        ),
        map_figure(
            "std-aligned",
            "Texture, aligned",
            _reduced_map(figures.std_aligned),
            f"Standard deviation of the aligned image in {windows}.",
            VIRIDIS,
            unit="grey levels",
        ),
    ]
    if figures.expected_error is not None:
        maps.append(
            map_figure(
                "expected-error",
                "Expected error",
                _reduced_map(figures.expected_error),
                "Expected error of the position that the transform gives a pixel, as far as it comes from noise.",
                MAGMA,
                unit="px",
            )
        )
    return maps


def _compared_figures(figures: PairFigures) -> list[MapFigure]:
    """Return what was compared instead of brightness, one map of each image; nothing where brightness was."""
    if figures.compared is None:
        return []
    meaning = (
        "What was compared instead of brightness: the logarithm of the local standard deviation, from its mean, in its "
        "own standard deviations. What is alike in this map and in that of the other image holds the result."
    )
    names = ("fixed", "aligned")
    return [
        map_figure(f"compared-{name}", f"Compared, {name}", _reduced_map(values), meaning, VIRIDIS, unit="SD")
        for name, values in zip(names, figures.compared, strict=True)
    ]


def residual(layers: Layers) -> NDArray[np.float32]:
    """Return the fixed minus the aligned image without broad differences; NaN where one has no value.

    They are reduced to (H', W'), at most `MAX_MAP_SIDE` a side, and normalised to mean zero and variance one over the
    pixels that they share. The local mean of the difference, over squares of a sixteenth of the longer side, is
    subtracted.
    """
    fixed, after = _reduced_map(layers.fixed), layers.after
    factor = math.ceil(max(after.shape) / MAX_MAP_SIDE)
    if factor > 1:
        after, known = block_means(after, layers.after_known, factor)
        known &= np.isfinite(fixed)
    else:
        known = layers.shared_after
    difference = _normalised(fixed, known) - _normalised(after, known)
    difference -= box_means(difference, known, max(3, max(known.shape) // 16))
    difference[~known] = np.nan
    return difference


def _normalised(image: NDArray[Any], known: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return ``image`` (H, W) with mean zero and variance one over the ``known`` pixels, zero elsewhere."""
    values = np.where(known, image, 0).astype(np.float64)
    count = int(known.sum()) or 1
    values -= values.sum() / count
    values *= known
    deviation = math.sqrt(float(np.vdot(values, values)) / count)
    return (values / (deviation or 1.0)).astype(np.float32)


def map_figure(
    key: str,
    title: str,
    values: NDArray[Any],
    meaning: str,
    colours: ColourMap,
    *,
    unit: str = "",
    limits: Limits | None = None,
    symmetric: bool = False,
    marked: NDArray[np.bool_] | None = None,
) -> MapFigure:
    """Return a map of ``values`` (H, W) between ``limits``, by default robust ones; ``symmetric`` ones about zero.

    Pixels that are ``marked`` (H, W) are striped.
    """
    known = np.isfinite(values)
    if not known.any():
        return MapFigure(key, title, meaning, None, colours.colours, (), unit, "")
    if limits is None:
        limits = robust_limits(np.abs(values) if symmetric else values, known)
        limits = (-limits[1], limits[1]) if symmetric else limits
    low, high = limits
    picture = embedded_image(colour_png(values, limits, colours, marked), "image/png", values.shape)
    ticks = (
        tuple(number_text(float(tick), 3) for tick in np.linspace(low, high, 5))
        if high > low
        else (number_text(low, 3),)
    )
    drawn = sample(values, known)
    median = float(np.median(np.abs(drawn) if symmetric else drawn))
    summary = f"Median{' magnitude' if symmetric else ''} {number_text(median, 3)}{f' {unit}' if unit else ''}"
    return MapFigure(key, title, meaning, picture, colours.colours, ticks, unit, summary)
