"""The tools that return a field: zncc-cli, OpenCV DIS, elastix, SimpleITK demons; each on one thread."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.nonrigid.pairs import Array, Image
from zncc_cli import register

OURS = "zncc-cli bspline"
_DEMONS_LEVELS, _DEMONS_ITERATIONS, _DEMONS_SIGMA_PX = (4, 2, 1), 60, 1.5


@dataclass(frozen=True, eq=False)
class Answer:
    """Displacements (H, W, 2), moving less fixed, pixels; the tool's verdict, and what error it expects, (H, W)."""

    displacements: Array
    verdict: str = ""
    expected_error: Array | None = None


Call = Callable[[Image, Image], Answer]


def find() -> tuple[dict[str, Call], dict[str, str]]:
    """Return the tools that are installed, ours first, and the missing packages with the reasons."""
    tools, missing = {OURS: ours}, dict[str, str]()
    peers = (("cv2", "opencv-python-headless", _dis), ("itk", "itk-elastix", _elastix), ("SimpleITK", "", _demons))
    for module, package, make in peers:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                # itk and SimpleITK cannot share a process: itk is loaded in one of its own.
                loaded = importlib.util.find_spec(module) if module == "itk" else importlib.import_module(module)
        except ImportError as error:
            missing[package or module] = str(error)
            continue
        if loaded is None:
            missing[package] = "not installed"
            continue
        tools |= make(loaded)
    return tools, missing


def ours(fixed: Image, moving: Image) -> Answer:
    result = register(fixed, moving, "bspline")
    assert result.field is not None
    assert result.bending is not None
    lines = tuple(range(n) for n in fixed.shape)
    error = result.bending.expected_error
    return Answer(
        result.field.displacements(*lines), str(result.status.value), None if error is None else error.at(*lines)
    )


def _dis(cv2: Any) -> dict[str, Call]:
    cv2.setNumThreads(1)
    flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def call(fixed: Image, moving: Image) -> Answer:
        return Answer(flow.calc(_bytes(fixed), _bytes(moving), None).astype(np.float64))

    return {"OpenCV DIS, medium": call}


def _bytes(image: Image) -> Any:
    low, high = np.percentile(image, (0.1, 99.9))
    return np.clip((image - low) * (255 / (high - low)), 0, 255).astype(np.uint8)


def _demons(sitk: Any) -> dict[str, Call]:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def call(fixed: Image, moving: Image) -> Answer:
        demons = sitk.FastSymmetricForcesDemonsRegistrationFilter()
        demons.SetNumberOfIterations(_DEMONS_ITERATIONS)
        demons.SetStandardDeviations(_DEMONS_SIGMA_PX)
        first, second = (sitk.GetImageFromArray((image - image.mean()) / image.std()) for image in (fixed, moving))
        field = None
        for factor in _DEMONS_LEVELS:
            level = [sitk.DiscreteGaussian(one, (factor / 2) ** 2) if factor > 1 else one for one in (first, second)]
            small = [sitk.Shrink(one, (factor, factor)) for one in level]
            if field is None:
                field = demons.Execute(*small)
                continue
            start = sitk.Resample(field, small[0], sitk.Transform(), sitk.sitkLinear, 0.0, field.GetPixelID())
            field = demons.Execute(*small, start)
        return Answer(sitk.GetArrayFromImage(field).astype(np.float64))

    return {"SimpleITK demons": call}


def _elastix(_: Any) -> dict[str, Call]:
    def call(fixed: Image, moving: Image) -> Answer:
        return Answer(_process().submit(_by_elastix, fixed, moving).result())

    return {"elastix affine + B-spline": call}


@functools.cache
def _process() -> ProcessPoolExecutor:
    """Return the process of itk, which starts with its first task."""
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _by_elastix(fixed: Image, moving: Image) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SWIG, when itk loads its modules
        import itk

        parameters = itk.ParameterObject.New()
        for name in ("affine", "bspline"):
            settings = parameters.GetDefaultParameterMap(name)
            settings["WriteResultImage"] = ["false"]
            parameters.AddParameterMap(settings)
        frames = [itk.image_from_array(image) for image in (fixed, moving)]
        _, found = itk.elastix_registration_method(
            *frames, parameter_object=parameters, log_to_console=False, number_of_threads=1
        )
        with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):  # it leaves a file where it is
            field = itk.transformix_deformation_field(frames[1], found)
        return np.asarray(itk.array_from_image(field), dtype=np.float64)[: fixed.shape[0], : fixed.shape[1], :2]
