"""The contenders: ours, the same formulas in plain PyTorch, and other packages where they are installed."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.operator import torch_forms
from zncc_cli.operators.local_std import METHODS, local_std
from zncc_cli.operators.local_zncc import local_zncc_sum
from zncc_cli.registration.metric.local_zncc import RELATIVE_EPS
from zncc_cli.registration.metric.zncc_loss import zncc_loss

EPS = 1e-5

# The two tasks: StdMap of an image, call(image, window); the loss of two images, call(fixed, moving, window).
STD, LOSS = "std", "loss"
TITLES = {STD: "local standard deviation", LOSS: "local ZNCC loss"}


@dataclass(frozen=True)
class Tolerance:
    """The errors stated for an image of normal noise: of the value, and of the gradient over its RMS."""

    value: float
    gradient: float


@dataclass(frozen=True)
class Contender:
    """One way to do a task.

    ``kind`` is 'ours', 'specification', 'torch' or 'peer'. ``border`` is 'valid' or 'same'. ``formula`` tells the loss:
    'zncc' with an absolute eps, 'relative' with eps times each image's variance, 'squared' for the mean of -zncc^2.
    ``is_std`` is false where a lesser task stands for comparison. ``package`` is what a peer's own is imported from.
    """

    name: str
    task: str
    kind: str
    call: Callable[..., Any]
    tolerance: Tolerance | None = None
    differentiable: bool = True
    border: str = "valid"
    formula: str = "zncc"
    is_std: bool = True
    devices: tuple[str, ...] = ("cpu", "cuda")
    package: str = ""


# The rounding errors of each form on normal noise. Ours sums in float64.
_OURS = Tolerance(2e-7, 2e-6)
# The specification's denominator 2 * StdMap + eps alone is off by 1.3e-5 for a 5 x 5 window; the truth divides by
# 2 * StdMap.
_OURS_FFT = Tolerance(1e-6, 2e-5)
_FLOAT32 = Tolerance(2e-5, 1e-4)

_FORMS = {
    "pooling": torch_forms.box_pooling,
    "convolution": torch_forms.box_convolution,
    "prefix sums float32": torch_forms.box_prefix_sums,
    "prefix sums float64": torch_forms.box_prefix_sums_float64,
}


def find(threads: int, packages: Collection[str] | None = None) -> tuple[list[Contender], dict[str, str]]:
    """Return the contenders, of peers only those of ``packages`` if given; and why other packages are missing."""
    contenders, missing = [*_ours(), *_plain_torch()], {}
    for package, make in _PEERS.items():
        if packages is not None and package not in packages:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                module = importlib.import_module(package)
        except ImportError as error:
            missing[package.partition(".")[0]] = str(error)
        else:
            contenders += [replace(peer, package=package) for peer in make(module, threads)]
    return contenders, missing


def _ours() -> list[Contender]:
    def std_by(method: str) -> Callable[[Tensor, int], Any]:
        return lambda image, w: local_std(image, w, EPS, method)

    def fused_loss(fixed: Tensor, moving: Tensor, w: int) -> Any:
        windows = (fixed.shape[-2] - w + 1) * (fixed.shape[-1] - w + 1)
        return 1 - local_zncc_sum(fixed, moving, w, EPS).sum() / windows

    methods: dict[Any, list[str]] = {}  # two names of one method are one row
    for method, compute in METHODS.items():
        methods.setdefault(compute, []).append(method)
    forms = []
    for names in methods.values():
        tolerance = _OURS_FFT if "fft" in names else _OURS
        forms.append(Contender(f"ours: local_std, {' = '.join(names)}", STD, "ours", std_by(names[0]), tolerance))
    return [
        *forms,
        Contender("ours: zncc_loss", LOSS, "ours", zncc_loss, _OURS, formula="relative"),
        Contender("ours: fused local_zncc_sum", LOSS, "ours", fused_loss, _OURS),
    ]


def _plain_torch() -> list[Contender]:
    def specification(image: Tensor, w: int) -> Any:
        apply: Callable[..., Any] = torch_forms.Specification.apply
        return apply(image, w, EPS)

    forms = [Contender("specification, FFT float32", STD, "specification", specification, _FLOAT32)]
    fft_loss = torch_forms.loss_by(torch_forms.box_fft, EPS)
    forms.append(Contender("specification, FFT float32", LOSS, "specification", fft_loss, _FLOAT32))
    for name, box in _FORMS.items():
        # A prefix sum in float32 has the rounding error of the whole plane's sum.
        tolerance = Tolerance(1e-2, 1e-1) if name == "prefix sums float32" else _FLOAT32
        forms.append(Contender(name, STD, "torch", torch_forms.std_by(box, EPS), tolerance))
        if name != "prefix sums float32":
            forms.append(Contender(name, LOSS, "torch", torch_forms.loss_by(box, EPS), tolerance))
    return forms


def compiled(contender: Contender) -> Contender:
    """Return the contender under torch.compile; compiling happens in its first calls."""
    torch.compiler.reset()
    name = f"torch.compile of {contender.name}"
    return replace(contender, name=name, call=torch.compile(contender.call, dynamic=False))


def _opencv(cv2: Any, threads: int) -> list[Contender]:
    cv2.setNumThreads(threads)

    def box(image: Tensor, w: int) -> Any:
        return cv2.boxFilter(image.numpy(), cv2.CV_32F, (w, w), normalize=False)

    def std(image: Tensor, w: int) -> Any:
        S1 = box(image, w)
        S2 = cv2.sqrBoxFilter(image.numpy(), cv2.CV_32F, (w, w), normalize=False)
        return np.sqrt(np.maximum(S2 - S1 * S1 / (w * w), 0) + np.float32(EPS))

    return [
        Contender("OpenCV boxFilter + sqrBoxFilter", STD, "peer", std, _FLOAT32, False, "same", devices=("cpu",)),
        Contender(
            "OpenCV boxFilter alone (no std)", STD, "peer", box, None, False, "same", is_std=False, devices=("cpu",)
        ),
    ]


def _scipy(ndimage: Any, threads: int) -> list[Contender]:
    def std(image: Tensor, w: int) -> Any:
        x = image.numpy()
        mean = ndimage.uniform_filter(x, w)
        variance = np.maximum(ndimage.uniform_filter(x * x, w) - mean * mean, 0)
        return np.sqrt(variance * np.float32(w * w) + np.float32(EPS))

    return [Contender("SciPy uniform_filter", STD, "peer", std, _FLOAT32, False, "same", devices=("cpu",))]


def _monai(losses: Any, threads: int) -> list[Contender]:
    made: dict[int, Any] = {}

    def loss(fixed: Tensor, moving: Tensor, w: int) -> Any:
        if w not in made:
            made[w] = losses.LocalNormalizedCrossCorrelationLoss(
                spatial_dims=2, kernel_size=w, kernel_type="rectangular", smooth_dr=EPS
            )
        return made[w](moving[None, None], fixed[None, None])

    return [Contender("MONAI LNCC", LOSS, "peer", loss, _FLOAT32, border="same", formula="squared")]


# What makes the contenders of each package; the keys are imported.
_PEERS = {"cv2": _opencv, "scipy.ndimage": _scipy, "monai.losses": _monai}


def relative_eps(window: int) -> float:
    """Return what zncc_loss adds to N times the variance of a window, over its image's own variance."""
    return RELATIVE_EPS * window**2
