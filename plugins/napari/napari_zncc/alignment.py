"""From layers to arrays and back: the registration of two layers, and layers moved by its transform. No Qt."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from numpy.typing import NDArray

from zncc_cli.config import AUTO, Interpolation, PairConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.files.image import Image
from zncc_cli.files.image_output import STRIP_ROWS
from zncc_cli.files.lazy import bits_as_uint8
from zncc_cli.files.metadata import Metadata
from zncc_cli.files.transforms.transform_json import write_transform
from zncc_cli.jobs.channel_view import ChannelView, exclude_no_data
from zncc_cli.jobs.downsampling import downsampled_matrix
from zncc_cli.jobs.pair.inputs import PairViews, downsampled_pair
from zncc_cli.jobs.pair.registering import register_views
from zncc_cli.jobs.resampled import Resampler
from zncc_cli.operators import native
from zncc_cli.progress import counted, say
from zncc_cli.registration.register import RegistrationResult
from zncc_cli.registration.resampling.canvas import Frame
from zncc_cli.registration.transforms.landmarks import fit_landmarks


@dataclass(frozen=True, eq=False)
class LayerImage:
    """The pixels of a layer: the image, and the index of the plane that is shown on its leading axes."""

    name: str
    image: Image
    index: tuple[int, ...]
    is_labels: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) of a plane."""
        return self.image.shape


def layer_image(layer: Any, step: Sequence[int]) -> LayerImage:
    """Return the pixels of an image or labels layer of napari, at full resolution.

    Args:
        layer: the layer.
        step: what the viewer shows, a number for each of its axes; the last ones are the layer's.

    Raises:
        ValueError: the layer has less than two axes, or complex numbers.
    """
    data = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    is_rgb = bool(getattr(layer, "rgb", False))
    spatial = 3 if is_rgb else 2
    if data.ndim < spatial:
        raise ValueError(f"{layer.name}: expected an image of two axes or more, found {data.ndim}")
    if np.dtype(data.dtype).kind not in "uifb":
        raise ValueError(f"{layer.name}: expected numbers without an imaginary part, found {data.dtype}")
    if np.dtype(data.dtype).kind == "b":
        data = bits_as_uint8(np.asarray(data))
    count = data.ndim - spatial
    own = list(step)[-layer.ndim :][:count] if count else []
    index = tuple(min(max(int(place), 0), n - 1) for place, n in zip(own, data.shape[:count], strict=True))
    alpha = is_rgb and data.shape[-1] == 4
    metadata = Metadata(
        path=Path(layer.name or "layer"), format="napari", photometric="rgb" if is_rgb else "minisblack", alpha=alpha
    )
    axes = "Q" * count + ("YXS" if is_rgb else "YX")
    return LayerImage(layer.name, Image(data, axes, metadata), index, isinstance(layer, Labels))


def register_layers(
    fixed: LayerImage,
    moving: LayerImage,
    model: str,
    landmarks: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None,
) -> RegistrationResult:
    """Register the planes that are shown; ``landmarks``: (x, y) pixels of the same places in both, for a start.

    Raises:
        ZnccError: the layers or the landmarks cannot be used.
    """
    say("reading the layers")
    config = PairConfig(
        fixed=Path(fixed.name),
        moving=Path(moving.name),
        registration=RegistrationConfig(model=model),  # type: ignore[arg-type]
    )
    views = PairViews(*(exclude_no_data(ChannelView(one.image, one.index), AUTO)[0] for one in (fixed, moving)), {}, ())
    pair = downsampled_pair(views, config)
    if landmarks is not None:
        start = fit_landmarks(*landmarks, model).matrix
        pair = dataclasses.replace(pair, init=downsampled_matrix(start, pair.factor))
    return register_views(views, pair, config)


def moved_pixels(moving: LayerImage, result: RegistrationResult) -> NDArray[Any]:
    """Return all planes of a layer on the fixed frame, in the layer's dtype; labels are copied from the nearest pixel.

    Raises:
        ValueError: the layer has another size than the moving image.
    """
    if moving.shape != result.moving_shape:
        (height, width), (own_height, own_width) = result.moving_shape, moving.shape
        raise ValueError(
            f"{moving.name}: expected {width} x {height} pixels, as the moving layer has, found "
            f"{own_width} x {own_height}"
        )
    canvas = Frame(0, 0, result.fixed_shape[1], result.fixed_shape[0])
    interpolation = Interpolation.NEAREST if moving.is_labels else Interpolation.CUBIC
    settings = ResamplingConfig(interpolation=interpolation)
    image = moving.image
    resampler = Resampler(image, lambda _: result.transform, canvas, settings)
    samples = image.data.shape[len(image.leading) + 2 :]
    out = np.empty((*image.leading, *canvas.shape, *samples), image.dtype)
    places = list(itertools.product(np.ndindex(*image.leading), range(0, canvas.shape[0], STRIP_ROWS)))
    say(f"moving {moving.name}")
    with native.selected("auto"):
        for index, row in counted(places, len(places)):
            out[(*index, slice(row, row + STRIP_ROWS))] = resampler.strip((index, row)).pixels
    return out


def save_transform(path: Path, result: RegistrationResult) -> None:
    """Write a result as transform.json; raise `OutputError` where that cannot be done."""
    write_transform(
        path,
        model=str(result.model),
        matrix=result.matrix,
        fixed_shape=result.fixed_shape,
        moving_shape=result.moving_shape,
        model_asked=str(result.model_asked),
        status=result.status.value,
        field=result.field,
    )
