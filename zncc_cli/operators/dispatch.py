"""The way to a kernel: through torch's dispatcher where somebody has to see the operator, else straight to it.

The dispatcher calls a kernel that is written in Python in 25 microseconds, twice where autograd comes first; on an
image of 512 x 512 all of them together are a tenth of the operator's time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def is_plain(*arguments: Any) -> bool:
    """Return whether nobody but autograd looks on.

    No compiler, tracer, profiler, derivative in forward mode, transform, mode or subclass.
    """
    return not (
        torch.compiler.is_compiling()
        or torch._C._is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch._C._len_torch_dispatch_stack()
        or torch._C._len_torch_function_stack()
        or torch._C._autograd._profiler_enabled()
        or torch.autograd.forward_ad._current_level >= 0
        or any(isinstance(x, torch.Tensor) and not _is_ordinary(x) for x in arguments)
    )


def _is_ordinary(x: torch.Tensor) -> bool:
    # Gradients for several vectors at once (is_grads_batched) come in tensors that look like any other.
    return type(x) in _PLAIN and not x.is_meta and not torch._C._functorch.is_legacy_batchedtensor(x)


def below_autograd(operator: Callable[..., Any], kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Return kernel(*arguments), which ``operator`` is to torch; for what autograd has seen already."""
    if is_plain(*arguments):
        return kernel(*arguments)
    with torch._C._AutoDispatchBelowAutograd():
        return operator(*arguments)


def gradient(operator: Callable[..., Any], kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Return the same within a backward pass.

    With create_graph autograd is to see it, which refuses the gradient's own derivative when it is asked for.
    """
    return operator(*arguments) if torch.is_grad_enabled() else below_autograd(operator, kernel, *arguments)
