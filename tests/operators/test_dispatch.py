"""Whoever looks on at torch's operators sees ours, and where nobody does the kernels give the same."""

from __future__ import annotations

import ast
import contextlib
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from zncc_cli.operators import dispatch, native
from zncc_cli.operators.dispatch import is_plain
from zncc_cli.operators.local_std import LocalStandardDeviation, local_std
from zncc_cli.operators.local_zncc import local_zncc_sum


def std(image: torch.Tensor) -> torch.Tensor:
    return local_std(image, 5)


def zncc(image: torch.Tensor) -> torch.Tensor:
    return local_zncc_sum(image.flip(-1), image, 5)


def std_fft(image: torch.Tensor) -> torch.Tensor:
    return local_std(image, 5, method="fft")


def std_specified(image: torch.Tensor) -> torch.Tensor:
    std: torch.Tensor = LocalStandardDeviation.apply(image, torch.ones(5, 5))
    return std


OPERATORS = [(std, "local_std_box"), (zncc, "local_zncc_sum")]
GRADIENTS = ["local_std_box_gradient", "local_zncc_sum_backward"]
parametrized = pytest.mark.parametrize(("function", "name"), OPERATORS)
Function = Callable[[torch.Tensor], torch.Tensor]


def image() -> torch.Tensor:
    return torch.randn(12, 14, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Looking(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("function", "name", "gradient"), [(*row, gradient) for row, gradient in zip(OPERATORS, GRADIENTS, strict=True)]
)
def test_a_mode_sees_the_operator_and_its_gradient(function: Function, name: str, gradient: str, backend: str) -> None:
    with Looking() as looking:
        x = image().requires_grad_()
        function(x).sum().backward()
    expected = image().requires_grad_()
    function(expected).sum().backward()
    assert f"zncc::{name}" in looking.seen
    assert f"zncc::{gradient}" in looking.seen
    torch.testing.assert_close(x.grad, expected.grad, rtol=0, atol=0)


@parametrized
def test_a_tracer_sees_the_operator(function: Function, name: str, backend: str) -> None:
    traced = make_fx(function)(image())
    assert f"torch.ops.zncc.{name}.default" in traced.code
    torch.testing.assert_close(traced(image()), function(image()), rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore")  # torch warns of jit.trace, and the tracer of every shape that is looked at
@parametrized
def test_a_script_tracer_sees_the_operator(function: Function, name: str, backend: str) -> None:
    traced = torch.jit.trace(function, image())
    assert f"zncc::{name}(" in str(traced.graph)


@pytest.mark.filterwarnings("ignore:.*Profiler clears events")  # some versions say so of any profile
@parametrized
def test_a_profiler_sees_the_operator(function: Function, name: str, backend: str) -> None:
    with torch.profiler.profile() as profile:
        function(image())
    assert f"zncc::{name}" in {event.key for event in profile.key_averages()}


@pytest.mark.filterwarnings("ignore")  # torch's own forward mode warns of itself
@pytest.mark.parametrize("function", [std, std_fft, zncc])
@pytest.mark.parametrize("grad", [True, False])
def test_a_derivative_in_forward_mode_is_refused(function: Function, grad: bool, backend: str) -> None:
    """And not silently lost, whether gradients are recorded or not."""
    with torch.set_grad_enabled(grad), torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(image(), torch.ones_like(image()))
        with pytest.raises((RuntimeError, NotImplementedError), match=r"forward|jvp"):
            function(dual)


@parametrized
def test_without_recorded_gradients_the_values_are_the_same(function: Function, name: str, backend: str) -> None:
    x = image().requires_grad_()
    with torch.no_grad():
        result = function(x)
    assert not result.requires_grad
    torch.testing.assert_close(result, function(x).detach(), rtol=0, atol=0)


@parametrized
def test_gradients_are_taken_for_several_vectors_at_once(function: Function, name: str, backend: str) -> None:
    x = image().requires_grad_()
    result = function(x)
    vectors = torch.stack([torch.ones_like(result), 2 * torch.ones_like(result)])
    (batched,) = torch.autograd.grad(result, x, vectors, retain_graph=True, is_grads_batched=True)
    singly = torch.stack([torch.autograd.grad(result, x, one, retain_graph=True)[0] for one in vectors])
    torch.testing.assert_close(batched, singly, rtol=0, atol=0)


@parametrized
def test_what_is_saved_is_fetched_once(function: Function, name: str, backend: str) -> None:
    saved, fetched = [], []
    x = image().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(1) or t, lambda t: fetched.append(1) or t):
        function(x).sum().backward()
    assert len(fetched) == len(saved)


@parametrized
def test_a_tensor_without_values_has_a_result_without_values(function: Function, name: str) -> None:
    result = function(image().to("meta"))
    assert result.is_meta
    assert result.shape == function(image()).shape


@pytest.mark.parametrize("function", [std, std_fft, std_specified, zncc])
@pytest.mark.parametrize("seen", [False, True])
def test_a_gradient_is_computed_with_the_backend_of_its_forward_pass(
    function: Function, seen: bool, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on another thread, which knows nothing of the choice; and where a mode sees the operators."""
    x = image().requires_grad_()
    result = function(x).sum()
    selections = set[str]()

    def record_selection(module: ModuleType, name: str) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(
            module, name, lambda *arguments: selections.add(native.selection().value) or original(*arguments)
        )

    record_selection(native, "load")
    record_selection(dispatch, "run")  # kernels that are called directly need no load

    def backward() -> None:
        with Looking() if seen else contextlib.nullcontext():
            result.backward()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(native.selection).result().value == "auto"
        pool.submit(backward).result()
    assert selections == {backend}
    assert x.grad is not None


def test_what_is_plain() -> None:
    class Subclass(torch.Tensor):
        pass

    x = image()
    assert is_plain(x, None, torch.nn.Parameter(x))
    assert not is_plain(x, x.as_subclass(Subclass))
    assert not is_plain(x.to("meta"))
    with Looking():
        assert not is_plain(x)
    with torch.overrides.TorchFunctionMode():
        assert not is_plain(x)
    inside = []
    torch.func.vmap(lambda row: inside.append(is_plain(row)) or row)(x)
    assert inside == [False]
    assert is_plain(x)


# Imports the operators from a torch that lacks the private names of argv[1] on, which are given back for torch itself.
WITHOUT_PRIVATE_NAMES = """
import sys
import torch, torch.autograd.forward_ad
lacking = []
for place in sys.argv[1:]:
    module, name = place.rsplit(".", 1)
    lacking.append((sys.modules[module], name, getattr(sys.modules[module], name)))
    delattr(*lacking[-1][:2])
from zncc_cli.operators import dispatch, local_zncc
from zncc_cli.operators.local_std import LocalStandardDeviation, local_std
for module, name, value in lacking:
    setattr(module, name, value)
assert not dispatch.HAS_DIRECT_CALLS
random = torch.Generator().manual_seed(0)
fixed, moving = (torch.randn(40, 50, generator=random) for _ in range(2))
for function in (
    lambda x: local_std(x, 7, method="box"),
    lambda x: local_std(x, 7, method="fft"),
    lambda x: LocalStandardDeviation.apply(x, torch.ones(7, 7)),
    lambda x: local_zncc.local_zncc_sum(fixed, x, 7),
):
    leaf = moving.clone().requires_grad_()
    value = function(leaf)
    value.square().sum().backward()
    print(value.detach().double().numpy().tobytes().hex(), leaf.grad.double().numpy().tobytes().hex())
"""
PRIVATE_NAMES = (
    "torch._C._are_functorch_transforms_active",
    "torch._C._is_tracing",
    "torch._C._len_torch_dispatch_stack",
    "torch._C._len_torch_function_stack",
    "torch._C._autograd._profiler_enabled",
    "torch._C._functorch.is_legacy_batchedtensor",
    "torch.autograd.forward_ad._current_level",
)


def private_names_of_dispatch() -> set[str]:
    """What the file itself takes from torch by a name with an underscore."""
    names = set()
    for node in ast.walk(ast.parse(Path(dispatch.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("torch"):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            names.add(f"torch.autograd.{ast.unparse(node)}")
    return {name for name in names if "._" in name}


def test_the_private_names_of_torch_are_those_that_may_be_missing() -> None:
    assert private_names_of_dispatch() == set(PRIVATE_NAMES)


@pytest.mark.parametrize("missing", [PRIVATE_NAMES, PRIVATE_NAMES[-1:]], ids=["all", "one"])
def test_without_private_names_of_torch_the_results_are_the_same(missing: tuple[str, ...]) -> None:
    command = [sys.executable, "-W", "error", "-c", WITHOUT_PRIVATE_NAMES, *missing]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    usual = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVATE_NAMES.replace("not dispatch", "dispatch")],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.split() == usual.stdout.split()
    assert len(done.stdout.split()) == 8
