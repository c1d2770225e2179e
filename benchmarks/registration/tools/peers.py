"""SimpleITK, pystackreg and scikit-image, each with the settings that its documentation proposes, on one thread."""

from __future__ import annotations

from collections.abc import Callable
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


def simpleitk(sitk: Any) -> list[Contender]:
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def register_by(set_metric: Callable[[Any], None]) -> Callable[[Image, Image, str, Masks | None], Answer]:
        return lambda fixed, moving, model, masks: Answer(_simpleitk(sitk, set_metric, fixed, moving, model, masks))

    correlation, mattes = (
        register_by(lambda method: method.SetMetricAsCorrelation()),
        register_by(lambda method: method.SetMetricAsMattesMutualInformation(50)),
    )
    return [
        Contender("SimpleITK, correlation", correlation, WITHOUT_HOMOGRAPHY, takes_masks=True),
        Contender("SimpleITK, Mattes MI", mattes, WITHOUT_HOMOGRAPHY, takes_masks=True),
    ]


def _simpleitk(
    sitk: Any, set_metric: Callable[[Any], None], fixed: Image, moving: Image, model: str, masks: Masks | None
) -> Array:
    f, m = sitk.GetImageFromArray(fixed), sitk.GetImageFromArray(moving)
    transform = {
        "translation": lambda: sitk.TranslationTransform(2),
        "rigid": sitk.Euler2DTransform,
        "similarity": sitk.Similarity2DTransform,
        "affine": lambda: sitk.AffineTransform(2),
    }[model]()
    if model != "translation":
        transform.SetCenter([(n - 1) / 2 for n in f.GetSize()])
    method = sitk.ImageRegistrationMethod()
    set_metric(method)
    if masks is not None:
        of_fixed, of_moving = (sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in masks)
        method.SetMetricFixedMask(of_fixed)
        method.SetMetricMovingMask(of_moving)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetInitialTransform(transform, True)
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([2, 1, 0])
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=2.0, minStep=1e-4, numberOfIterations=100, relaxationFactor=0.6, gradientMagnitudeTolerance=1e-8
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.Execute(f, m)
    origin, right, below = (np.array(transform.TransformPoint(p)) for p in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)))
    matrix = np.eye(3)
    matrix[:2] = np.column_stack((right - origin, below - origin, origin))
    return matrix


def pystackreg(package: Any) -> list[Contender]:
    kinds = {
        "translation": package.StackReg.TRANSLATION,
        "rigid": package.StackReg.RIGID_BODY,
        "similarity": package.StackReg.SCALED_ROTATION,
        "affine": package.StackReg.AFFINE,
    }

    def call(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
        return Answer(np.asarray(package.StackReg(kinds[model]).register(fixed, moving)))

    return [Contender("pystackreg", call, tuple(kinds), max_side=GREEDY_SIDE_PX)]


def scikit_image(registration: Any) -> list[Contender]:
    def register_by(normalization: str | None) -> Callable[[Image, Image, str, Masks | None], Answer]:
        def call(fixed: Image, moving: Image, model: str, masks: Masks | None) -> Answer:
            shift, *_ = registration.phase_cross_correlation(
                fixed, moving, upsample_factor=100, normalization=normalization
            )
            matrix = np.eye(3)
            matrix[:2, 2] = -shift[::-1]  # the shift (row, column) that brings moving back
            return Answer(matrix)

        return call

    return [
        Contender("scikit-image phase correlation", register_by("phase"), ("translation",)),
        Contender("scikit-image cross-correlation", register_by(None), ("translation",)),
    ]
