"""elastix (Klein et al. 2010, doi:10.1109/TMI.2009.2035616) with its default parameter maps, on one thread.

It runs in a process of its own, for itk and SimpleITK cannot share one; its times hold the way of the images there.
"""

from __future__ import annotations

import functools
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.registration.tools.contender import (
    GREEDY_SIDE_PX,
    WITHOUT_HOMOGRAPHY,
    Answer,
    Array,
    Contender,
    Image,
    Masks,
)

_TRANSFORMS = {
    "translation": "TranslationTransform",
    "rigid": "EulerTransform",
    "similarity": "SimilarityTransform",
    "affine": "AffineTransform",
}


def contenders(_: Any) -> list[Contender]:
    """Return elastix."""

    def call(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        return Answer(_process().submit(_register, fixed, moving, model).result())

    return [Contender("elastix", call, WITHOUT_HOMOGRAPHY, max_side=GREEDY_SIDE_PX)]


@functools.cache
def _process() -> ProcessPoolExecutor:
    """Return the process, which starts with its first task and ends with this one: itk takes seconds to load."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _register(fixed: Image, moving: Image, model: str) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SWIG, when itk loads its modules
        import itk

        parameters = itk.ParameterObject.New()
        settings = parameters.GetDefaultParameterMap("translation" if model == "translation" else "affine")
        settings["Transform"] = [_TRANSFORMS[model]]
        settings["WriteResultImage"] = ["false"]
        parameters.AddParameterMap(settings)
        frames = (itk.image_from_array(image) for image in (fixed, moving))
        _, found = itk.elastix_registration_method(
            *frames, parameter_object=parameters, log_to_console=False, number_of_threads=1
        )
    return _matrix(dict(found.GetParameterMap(0)), model)


def _matrix(found: dict[str, tuple[str, ...]], model: str) -> Array:
    """Return the (3, 3) matrix, fixed -> moving: A (p - c) + c + t of elastix's parameters and its centre c."""
    values = np.array(found["TransformParameters"], dtype=np.float64)
    centre = np.array(found.get("CenterOfRotationPoint", (0, 0)), dtype=np.float64)
    matrix = np.eye(3)
    if model == "affine":
        matrix[:2, :2] = values[:4].reshape(2, 2)
    elif model != "translation":
        scale, angle = (1.0, values[0]) if model == "rigid" else values[:2]
        cos, sin = scale * np.cos(angle), scale * np.sin(angle)
        matrix[:2, :2] = [[cos, -sin], [sin, cos]]
    matrix[:2, 2] = values[-2:] + centre - matrix[:2, :2] @ centre
    return matrix
