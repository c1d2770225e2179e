"""The way to a kernel: through torch's dispatcher where somebody has to see the operator, else straight to it.

The dispatcher calls a kernel that is written in Python in 25 microseconds, twice where autograd comes first; on an
image of 512 x 512 all of them together are a tenth of the operator's time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# Each name by itself: a look into torch's own crowded namespaces, which a kernel has driven out of the nearest caches,
# costs more than the question.
from torch._C import (
    _are_functorch_transforms_active,
    _AutoDispatchBelowAutograd,
    _is_tracing,
    _len_torch_dispatch_stack,
    _len_torch_function_stack,
)
from torch._C._autograd import _profiler_enabled
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def is_plain(*arguments: Any) -> bool:
    """Return whether nobody but autograd looks on.

    No compiler, tracer, profiler, derivative in forward mode, transform, mode or subclass.
    """
    return not (
        is_compiling()
        or _is_tracing()
        or _are_functorch_transforms_active()
        or _len_torch_dispatch_stack()
        or _len_torch_function_stack()
        or _profiler_enabled()
        or forward_ad._current_level >= 0
    ) and all(map(_is_ordinary, arguments))


def _is_ordinary(x: Any) -> bool:
    if type(x) in _PLAIN:
        # Gradients for several vectors at once (is_grads_batched) come in tensors that look like any other.
        return not x.is_meta and not is_legacy_batchedtensor(x)
    return not isinstance(x, torch.Tensor)


def below_autograd(operator: Callable[..., Any], *arguments: Any) -> Any:
    """Return operator(*arguments) for whoever looks on, when autograd has seen it already."""
    with _AutoDispatchBelowAutograd():
        return operator(*arguments)


def gradient(operator: Callable[..., Any], kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Return kernel(*arguments), which ``operator`` is to torch, within a backward pass.

    With create_graph autograd is to see it, which refuses the gradient's own derivative when it is asked for.
    """
    if torch.is_grad_enabled():
        return operator(*arguments)
    return kernel(*arguments) if is_plain(*arguments) else below_autograd(operator, *arguments)
