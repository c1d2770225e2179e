"""The field metric: native and plain torch agree, and its scores point to where the images agree better."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.operators.field_cases import MATRIX, SPACING, WINDOWS, assert_same, bent, masked, measured, planes, random
from zncc_cli.operators import native
from zncc_cli.operators.field_metric import FieldMetric, FieldPlanes, field_metric
from zncc_cli.registration.transforms.spline_field import node_count

needs_native = pytest.mark.skipif(
    native.load(torch.device("cpu")).used != "native", reason="no native kernels on this machine"
)


def of_both(images: FieldPlanes, weight: Tensor | None = None) -> tuple[FieldMetric, FieldMetric]:
    results = []
    for backend in ("native", "reference"):
        with native.selected(backend):
            results.append(measured(images, weight))
    return results[0], results[1]


@needs_native
@pytest.mark.parametrize("shape", [(70, 61), (300, 40), (12, 15)])
def test_native_kernel_agrees_with_plain_torch(shape: tuple[int, int]) -> None:
    assert_same(*of_both(planes(shape)))


@needs_native
def test_masks_and_weights_agree_with_plain_torch() -> None:
    assert_same(*of_both(masked(planes()), weight=random(70, 61, seed=6).abs()))


def test_pixels_outside_a_mask_do_not_count() -> None:
    images = planes()
    mask = torch.ones(70, 61, dtype=torch.bool)
    mask[20:40, 10:50] = False
    spoilt = replace(images, fixed=torch.where(mask, images.fixed, 1e3))
    found, expected = (
        field_metric(replace(each, fixed_mask=mask), MATRIX, bent(images), SPACING, WINDOWS)
        for each in (spoilt, images)
    )
    torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-7)
    assert float(found.curvature[:, ~mask].abs().max()) == 0


def test_the_identity_has_a_local_zncc_of_one() -> None:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    knots = torch.sin(x / 3) * torch.cos(y / 4)  # any knots are those of a spline
    padded = torch.nn.functional.pad(knots[None, None], (1, 1, 1, 1), mode="reflect")
    kernel = torch.tensor([1.0, 4.0, 1.0]) / 6
    image = torch.nn.functional.conv2d(padded, torch.outer(kernel, kernel)[None, None])[0, 0]
    images = FieldPlanes(image, torch.stack(torch.gradient(image, dim=(1, 0))), knots, (0, 0, 47, 47))
    nodes = [node_count(n, SPACING) for n in image.shape]
    found = field_metric(images, np.eye(3), torch.zeros(2, *nodes), SPACING, WINDOWS, with_maps=True)
    assert found.maps is not None
    # A millionth of the images' variance is added to that of the windows.
    assert float(found.maps[0].min()) > 0.999
    assert found.valid == image.numel()
    assert float(found.scores.abs().max()) < 1e-4 * float(found.curvature.abs().max())
