"""The three fused kernels alone: native against plain torch, and what no comparison may swallow."""

from __future__ import annotations

import math

import pytest
import torch

from zncc_cli.operators import local_std, native, native_ops

EPS = 1e-5
N = 121
SIZES = [0, 1, 3, 1000, 70_001]  # empty, less than a vector, less and more than one thread's share


def planes(count: int, size: int, device: torch.device) -> torch.Tensor:
    return torch.randn(count, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(device)


def on_both_backends(function: object, *arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
    results = []
    for choice in ("native", "reference"):
        with native.selected(choice):
            results.append(function(*arguments))  # type: ignore[operator]
    return results[0], results[1]


@pytest.fixture
def native_device(device: torch.device) -> torch.device:
    loaded = native.load(device)
    if loaded.used != "native":
        pytest.skip(loaded.reason)
    return device


# Both do the same float64 operations in the same order, without fused multiply-add, so that not one bit may differ.
EXACTLY = {"rtol": 0.0, "atol": 0.0}
# The one exception: torch's square root on the CPU, MKL's, is off in the last place now and then.
LAST_PLACE = {torch.float32: {"rtol": 1.2e-7, "atol": 0.0}, torch.float64: {"rtol": 4.5e-16, "atol": 0.0}}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("size", SIZES)
def test_native_and_reference_agree(native_device: torch.device, size: int, dtype: torch.dtype) -> None:
    S1, S2, g, I, _ = planes(5, size, native_device)  # noqa: E741
    S2 = S2.abs() * 0.05  # so that Var is clamped in about half of the elements
    std, expected = on_both_backends(local_std.std_map, S1, S2, N, EPS, dtype)
    torch.testing.assert_close(std, expected, **LAST_PLACE[dtype])
    assert std.dtype == dtype

    dS, expected = on_both_backends(local_std.sum_gradients, g.to(dtype), std, S1, N, EPS, EPS)
    torch.testing.assert_close(dS, expected, **EXACTLY)

    dI, expected = on_both_backends(local_std.image_gradient, S1, S2, I, dtype)
    torch.testing.assert_close(dI, expected, **EXACTLY)


def test_the_formulas(backend: str, device: torch.device) -> None:
    S1, S2 = torch.tensor([[3.0], [10.0]], dtype=torch.float64, device=device)
    g = torch.tensor([2.0], dtype=torch.float64, device=device)
    std = local_std.std_map(S1, S2, 4, EPS, torch.float64)
    root = math.sqrt(10.0 - 9.0 / 4.0 + EPS)
    assert std.item() == pytest.approx(root, rel=1e-15)
    dS1, dS2 = local_std.sum_gradients(g, std, S1, 4, EPS, EPS)
    assert dS2.item() == pytest.approx(2.0 / (2.0 * root + EPS), rel=1e-15)
    assert dS1.item() == pytest.approx(2.0 / (2.0 * root + EPS) * (-2.0 / 4.0 * 3.0), rel=1e-15)
    assert local_std.image_gradient(S1, S2, g, torch.float64).item() == 3.0 + 2.0 * 2.0 * 10.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_clamped_variance_gives_sqrt_eps_and_no_gradient(
    backend: str, device: torch.device, dtype: torch.dtype
) -> None:
    S1 = torch.full((70,), 22.0, dtype=torch.float64, device=device)
    S2 = S1 * S1 / 121 - 1.0
    g = torch.ones(70, dtype=dtype, device=device)
    for eps in (1e-12, 1e-9, 3e-7, 1e-5, 2e-5, 3e-3, 0.7, 50.0):
        std = local_std.std_map(S1, S2, 121, eps, dtype)
        torch.testing.assert_close(std, torch.full_like(std, math.sqrt(eps)), **LAST_PLACE[dtype])
        assert local_std.sum_gradients(g, std, S1, 121, eps, eps).eq(0).all()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_comparison_swallows_what_is_not_finite(backend: str, device: torch.device, value: float) -> None:
    fine = torch.ones(3, dtype=torch.float64, device=device)
    broken = torch.tensor([1.0, value, 1.0], dtype=torch.float64, device=device)
    expected = torch.tensor([True, False, True], device=device)

    assert local_std.std_map(fine, broken, 4, EPS, torch.float64).isfinite().equal(expected)
    clamped = torch.full_like(fine, math.sqrt(EPS))
    for std in (fine, clamped):  # also where the factor that clamps is zero
        assert local_std.sum_gradients(broken, std, fine, 4, EPS, EPS)[1].isfinite().equal(expected)
    assert local_std.image_gradient(broken, fine, fine, torch.float64).isfinite().equal(expected)


def test_a_nan_sum_is_a_nan_in_the_map(backend: str, device: torch.device) -> None:
    nan = torch.full((2,), math.nan, dtype=torch.float64, device=device)
    fine = torch.ones_like(nan)
    assert local_std.std_map(nan, fine, 4, EPS, torch.float32).isnan().all()
    assert local_std.std_map(fine, nan, 4, EPS, torch.float32).isnan().all()
    assert local_std.sum_gradients(fine.float(), nan.float(), fine, 4, EPS, EPS).isnan().all()


def test_the_native_kernels_check_what_they_are_given(native_device: torch.device) -> None:
    good = planes(1, 12, native_device)[0]
    std = torch.empty_like(good)
    forward = torch.ops.zncc.local_std_forward
    for bad, message in [
        (good[:6], "S2 has 6 elements, expected 12"),
        (torch.cat((good, good))[::2], "S2 must be contiguous"),
        (good.float(), "S2 has another dtype"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            forward(good, bad, N, EPS, std)
    with pytest.raises(RuntimeError, match="float32 or float64"):
        forward(good, good, N, EPS, std.half())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", [(1, 1), (3, 3), (11, 4), (31, 31), (150, 140)])
def test_window_sums(window: tuple[int, int], dtype: torch.dtype) -> None:
    if native.load(torch.device("cpu")).used != "native":
        pytest.skip("no native kernels")
    planes_ = torch.randn(2, 150, 140, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)
    expected = planes_.double().unfold(-2, window[0], 1).unfold(-2, window[1], 1).sum(dim=(-2, -1))
    # Summed in double, rounded once: half a unit in the last place, and next to zero what adding 21000 numbers leaves.
    rtol, atol = {torch.float32: (6e-8, 1e-11), torch.float64: (1e-12, 1e-11)}[dtype]
    torch.testing.assert_close(native_ops.window_sums(planes_, *window).double(), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e30])
def test_window_sums_forget_what_has_left(value: float) -> None:
    if native.load(torch.device("cpu")).used != "native":
        pytest.skip("no native kernels")
    plane = torch.rand(40, 50, generator=torch.Generator().manual_seed(2))
    sums = native_ops.window_sums(plane, 5, 7)
    plane[20, 25] = value
    with_it = torch.zeros(40, 50, dtype=torch.bool)
    with_it[16:21, 19:26] = True
    changed = native_ops.window_sums(plane, 5, 7)
    # Nothing is subtracted where a value was large: other sums differ by their own rounding alone.
    torch.testing.assert_close(changed[~with_it[:36, :44]], sums[~with_it[:36, :44]], rtol=1.2e-7, atol=0.0)
    assert not bool((changed[with_it[:36, :44]].abs() < 1e29).any())
