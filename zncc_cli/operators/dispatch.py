"""Call a kernel directly where nobody but autograd has to see the operator, else through torch's dispatcher.

The dispatcher calls a kernel that is written in Python in 25 microseconds, twice where autograd comes first; on an
image of 512 x 512 all of them together are a tenth of the operator's time.

To tell whether somebody looks on takes names that are private to torch. A torch that lacks one of them sends every call
through the dispatcher: slower, with the same results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import is_grad_enabled
from torch.autograd import forward_ad
from torch.compiler import is_compiling

from zncc_cli.config import Backend
from zncc_cli.operators import native

try:
    # Each name by itself: a look into torch's own crowded namespaces, which a kernel has driven out of the nearest
    # caches, costs more than the question.
    from torch._C import (
        _are_functorch_transforms_active,
        _is_tracing,
        _len_torch_dispatch_stack,
        _len_torch_function_stack,
    )
    from torch._C._autograd import _profiler_enabled
    from torch._C._functorch import is_legacy_batchedtensor

    HAS_DIRECT_CALLS = isinstance(forward_ad._current_level, int)
except (ImportError, AttributeError):
    HAS_DIRECT_CALLS = False

_PLAIN_TYPES = (torch.Tensor, torch.nn.Parameter)


def is_plain(*tensors: torch.Tensor | None) -> bool:
    """Return whether nobody but autograd looks on.

    No compiler, tracer, profiler, derivative in forward mode, transform, mode or subclass.
    """
    return (
        HAS_DIRECT_CALLS
        and not (
            is_compiling()
            or _is_tracing()
            or _are_functorch_transforms_active()
            or _len_torch_dispatch_stack()
            or _len_torch_function_stack()
            or _profiler_enabled()
            or forward_ad._current_level >= 0
        )
        and all(map(_is_ordinary, tensors))
    )


def _is_ordinary(x: torch.Tensor | None) -> bool:
    # Gradients for several vectors at once (is_grads_batched) come in tensors that look like any other.
    return x is None or (type(x) in _PLAIN_TYPES and not x.is_meta and not is_legacy_batchedtensor(x))


def direct_apply(function: type[torch.autograd.Function]) -> Callable[..., Any]:
    """Return the apply of a torch.autograd.Function for plain arguments.

    It omits what torch asks before it, which `is_plain` has asked.
    """
    apply: Callable[..., Any] = getattr(super(torch.autograd.Function, function), "apply", function.apply)
    return apply


def run(plain: bool, operator: str, kernel: Callable[..., Any], *arguments: Any) -> Any:
    """Return kernel(*arguments): directly if the arguments are plain, else by the dispatcher.

    Args:
        plain: nobody but autograd looks on (`is_plain`).
        operator: what the kernel is called in torch.ops.zncc; looked up where it is needed, for the same reason as
            above.
        kernel: what computes it.
        arguments: those of both.
    """
    return (kernel if plain else getattr(torch.ops.zncc, operator))(*arguments)


def gradient(
    backend: Backend,
    operator: str,
    kernel: Callable[..., Any],
    tensors: tuple[torch.Tensor | None, ...],
    options: tuple[Any, ...] = (),
) -> Any:
    """Return kernel(*tensors, *options) within a backward pass, as `run` does.

    ``backend`` is that of the forward pass: torch may call a backward pass on a thread of its own, and the user outside
    the block in which the backend was chosen. With create_graph autograd is to see the operator, and refuses the
    gradient's own derivative when it is asked for.
    """
    if native.selection() is not backend:
        with native.selected(backend):
            return gradient(backend, operator, kernel, tensors, options)
    return run(not is_grad_enabled() and is_plain(*tensors), operator, kernel, *tensors, *options)


def refuse_forward_mode(name: str, *tensors: torch.Tensor | None) -> None:
    """Raise NotImplementedError where a tensor carries a tangent, which the operator ``name`` would lose.

    A compiler does not follow the question, and has no tangents.
    """
    if is_compiling():
        return
    if any(x is not None and forward_ad.unpack_dual(x).tangent is not None for x in tensors):
        raise NotImplementedError(f"{name} has no derivative in forward mode (jvp); use torch.autograd.grad")
