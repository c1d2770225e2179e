"""The inputs of the contenders on a device, and the calls that are timed, or whose memory is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.operator.contenders import STD, Contender

FORWARD, BOTH = "forward", "forward+backward"


@dataclass(frozen=True)
class Inputs:
    """Two related images of normal noise, (size, size) float32; ``moving`` is a leaf of autograd."""

    fixed: Tensor
    moving: Tensor

    @classmethod
    def make(cls, size: int, device: torch.device) -> Inputs:
        generator = torch.Generator(device).manual_seed(0)
        fixed, noise = (torch.randn(size, size, generator=generator, device=device) for _ in range(2))
        return cls(fixed, (0.8 * fixed + 0.5 * noise).requires_grad_())


def call_of(contender: Contender, inputs: Inputs, window: int, direction: str) -> Callable[[], Any]:
    """Return a call of one forward without autograd, or of one forward and backward into a fresh gradient."""
    fixed, moving = inputs.fixed, inputs.moving
    if direction == FORWARD:
        image = moving.detach()
        images = (image,) if contender.task == STD else (fixed, image)

        def forward() -> Any:
            with torch.no_grad():
                return contender.call(*images, window)

        return forward

    side = moving.shape[-1] - window + 1
    leaves, g = ((moving,), fixed[:side, :side].contiguous()) if contender.task == STD else ((fixed, moving), None)

    def both() -> None:
        contender.call(*leaves, window).backward(g)
        moving.grad = None

    return both


def directions(contender: Contender) -> tuple[str, ...]:
    return (FORWARD, BOTH) if contender.differentiable else (FORWARD,)
