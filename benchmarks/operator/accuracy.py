"""Errors of the contenders against the truth in float64, on easy and on ill-conditioned images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.operator import truth
from benchmarks.operator.contenders import EPS, LOSS, STD, Contender, relative_eps
from benchmarks.operator.images import Case, cases


@dataclass(frozen=True)
class Errors:
    """Errors of one contender on one image; NaN where its result is NaN.

    ``value``: StdMap's largest relative error, or the loss's absolute error. ``gradient``: the largest error over the
    RMS of the true gradient, or the largest error itself where that RMS is zero; None where there is no gradient.
    """

    contender: str
    task: str
    case: str
    window: int
    value: float | None
    gradient: float | None
    failure: str = ""


def errors(
    contenders: list[Contender], size: int, window: int, device: torch.device, case_names: tuple[str, ...] = ()
) -> list[Errors]:
    """Return the errors of every contender that computes one of the two tasks, on every image or on the named ones."""
    rows = []
    for case in [case for case in cases(size) if not case_names or case.name in case_names]:
        std_truth = _std_truth(case, window)
        loss_truths: dict[tuple[str, str], truth.Truth] = {}
        for contender in contenders:
            if contender.task == STD and contender.is_std:
                rows.append(_judge(_std, contender, case, window, device, std_truth))
            if contender.task == LOSS and case.moving is not None:
                kind = (contender.formula, contender.border)
                if kind not in loss_truths:
                    loss_truths[kind] = _loss_truth(case, window, *kind)
                rows.append(_judge(_loss, contender, case, window, device, loss_truths[kind]))
    return rows


def _judge(
    compare: Callable[..., tuple[float, float | None]],
    contender: Contender,
    case: Case,
    window: int,
    device: torch.device,
    expected: truth.Truth,
) -> Errors:
    try:
        value, gradient = compare(contender, case, window, device, expected)
    except Exception as error:  # a failure is a line of the table, not the end of it
        return Errors(contender.name, contender.task, case.name, window, None, None, str(error).split("\n")[0])
    return Errors(contender.name, contender.task, case.name, window, value, gradient)


def _incoming_gradient(size: int, window: int) -> NDArray[np.float32]:
    side = size - window + 1
    return np.random.default_rng(1).standard_normal((side, side)).astype(np.float32)


def _std_truth(case: Case, window: int) -> truth.Truth:
    g = _incoming_gradient(case.image.shape[0], window)
    return truth.std(case.image.astype(np.float64), g.astype(np.float64), window, EPS)


def _loss_truth(case: Case, window: int, formula: str, border: str) -> truth.Truth:
    assert case.moving is not None
    eps = relative_eps(window) if formula == "relative" else EPS
    return truth.loss(case.image.astype(np.float64), case.moving.astype(np.float64), window, eps, formula, border)


def _std(
    contender: Contender, case: Case, window: int, device: torch.device, expected: truth.Truth
) -> tuple[float, float | None]:
    image = torch.from_numpy(case.image).to(device)
    if not contender.differentiable:
        std = np.asarray(contender.call(image, window), dtype=np.float64)
        if contender.border == "same":
            rows, columns = expected.value.shape
            std = std[window // 2 : window // 2 + rows, window // 2 : window // 2 + columns]
        return _max_abs(std / expected.value - 1), None
    image = image.clone().requires_grad_()
    out = contender.call(image, window)
    out.backward(torch.from_numpy(_incoming_gradient(image.shape[0], window)).to(device))
    return _max_abs(_array(out) / expected.value - 1), _over_rms(image, expected.gradient)


def _loss(
    contender: Contender, case: Case, window: int, device: torch.device, expected: truth.Truth
) -> tuple[float, float | None]:
    fixed = torch.from_numpy(case.image).to(device)
    moving = torch.from_numpy(case.moving).to(device).clone().requires_grad_()
    out = contender.call(fixed, moving, window)
    out.backward()
    return _max_abs(_array(out) - expected.value), _over_rms(moving, expected.gradient)


def _over_rms(leaf: Tensor, gradient: NDArray[np.float64]) -> float:
    assert leaf.grad is not None
    rms = float(np.sqrt(np.square(gradient).mean()))
    return _max_abs(_array(leaf.grad) - gradient) / (rms or 1.0)


def _array(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.detach().double().cpu().numpy()


def _max_abs(error: NDArray[np.float64]) -> float:
    return float(np.abs(error).max())
