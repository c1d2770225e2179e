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
    is_grad_enabled,
)
from torch._C._autograd import _profiler_enabled
from torch._C._functorch import is_legacy_batchedtensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from zncc_cli.config import Backend
from zncc_cli.operators import native

_PLAIN = (torch.Tensor, torch.nn.Parameter)


def is_plain(*tensors: torch.Tensor | None) -> bool:
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
    ) and all(map(_is_ordinary, tensors))


def _is_ordinary(x: torch.Tensor | None) -> bool:
    # Gradients for several vectors at once (is_grads_batched) come in tensors that look like any other.
    return x is None or (type(x) in _PLAIN and not x.is_meta and not is_legacy_batchedtensor(x))


def straight(function: Any) -> Callable[..., Any]:
    """Return the apply of a torch.autograd.Function for plain arguments.

    Without what torch asks before it: `is_plain` has asked that.
    """
    beneath: Any = super(torch.autograd.Function, function)
    apply: Callable[..., Any] = beneath.apply
    return apply


def run(plain: bool, operator: str, kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Return kernel(*arguments), which is ``operator`` to torch, when autograd has seen it already.

    Args:
        plain: nobody but autograd looks on (`is_plain`).
        operator: its name; looked up where it is needed, for the same reason as above.
        kernel: what computes it.
    """
    if plain:
        return kernel(*arguments)
    with _AutoDispatchBelowAutograd():
        return getattr(torch.ops.zncc, operator)(*arguments)


def gradient(
    backend: Backend,
    operator: str,
    kernel: Callable[..., Any],
    tensors: tuple[torch.Tensor | None, ...],
    options: tuple[Any, ...] = (),
) -> Any:
    """Return kernel(*tensors, *options), which is ``operator`` to torch, within a backward pass.

    ``backend`` is that of the forward pass: torch may call a backward pass on a thread of its own, and the user outside
    the block in which the backend was chosen. With create_graph autograd is to see the operator, and refuses the
    gradient's own derivative when it is asked for.
    """
    with native.selected(backend):
        if is_grad_enabled():
            return getattr(torch.ops.zncc, operator)(*tensors, *options)
        return run(is_plain(*tensors), operator, kernel, *tensors, *options)
