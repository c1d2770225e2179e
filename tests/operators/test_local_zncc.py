"""The fused sum of the local ZNCC: against the naive oracle, its composition from variances, and itself."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests import reference
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.operators.local_zncc import local_zncc_sum, local_zncc_sum_reference

Array = NDArray[np.float64]
EPS = (1e-2, 3e-2)
WINDOWS = [3, 4, (1, 6), (7, 2), (24, 31), (24, 1)]  # odd, even, oblong, as large as the image
# Sums of float64, rounded once at the end; a gradient is relative to the largest of the image.
TOLERANCE = {torch.float32: 3e-7, torch.float64: 1e-11}


def sides(window: int | tuple[int, int]) -> tuple[int, int]:
    return (window, window) if isinstance(window, int) else window


def pair(*shape: int, seed: int = 0) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    fixed = rng.normal(size=shape)
    moving = 0.6 * fixed + rng.normal(size=shape)
    return fixed.astype(np.float32).astype(np.float64), moving.astype(np.float32).astype(np.float64)


def weights(*shape: int) -> Array:
    """Between zero and one, a third of them zero."""
    w = np.random.default_rng(5).uniform(-0.5, 1.0, shape).clip(0.0)
    return w.astype(np.float32).astype(np.float64)


def assert_near(ours: torch.Tensor, expected: Array, tolerance: float) -> None:
    scale = max(float(np.abs(expected).max()), 1e-300)
    np.testing.assert_allclose(ours.detach().double().cpu().numpy() / scale, expected / scale, rtol=0, atol=tolerance)


# Values and gradients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", WINDOWS)
def test_value_and_gradients(
    window: int | tuple[int, int], dtype: torch.dtype, backend: str, device: torch.device
) -> None:
    h, w = sides(window)
    fixed, moving = pair(24, 31)
    weight = weights(24 - h + 1, 31 - w + 1)
    leaves = [torch.tensor(x, dtype=dtype, device=device, requires_grad=True) for x in (fixed, moving, weight)]
    total = local_zncc_sum(leaves[0], leaves[1], window, EPS, leaves[2])
    df, dm, dw = torch.autograd.grad(3.0 * total, leaves)
    z = reference.local_zncc(fixed, moving, h, w, EPS)
    # relative to the sum of what is summed
    assert abs(float(total.detach()) - (weight * z).sum()) < TOLERANCE[dtype] * (weight * np.abs(z)).sum() + 1e-12
    assert_near(dw, 3.0 * z, TOLERANCE[dtype])
    assert_near(dm, 3.0 * reference.local_zncc_gradient(fixed, moving, weight, h, w, EPS), TOLERANCE[dtype])
    assert_near(df, 3.0 * reference.local_zncc_gradient(moving, fixed, weight, h, w, EPS[::-1]), TOLERANCE[dtype])


def test_the_reference_twin_agrees(backend: str, device: torch.device) -> None:
    """On planes that are cut into several strips."""
    fixed, moving = (torch.tensor(x, device=device, requires_grad=True) for x in pair(2, 300, 40))
    weight = torch.tensor(weights(2, 296, 34), device=device, requires_grad=True)
    upstream = torch.tensor([1.0, -2.0], device=device, dtype=torch.float64)
    results = []
    for function in (local_zncc_sum, local_zncc_sum_reference):
        total = function(fixed, moving, (5, 7), 1e-3, weight)
        results.append((total, *torch.autograd.grad(total, (fixed, moving, weight), upstream)))
    # The twin takes its covariance as the difference of three variances.
    for ours, twin in zip(*results, strict=True):
        torch.testing.assert_close(ours, twin, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("window", [3, (4, 3)])
def test_gradcheck(window: int | tuple[int, int], backend: str, device: torch.device) -> None:
    fixed, moving = (torch.tensor(x, device=device, requires_grad=True) for x in pair(2, 6, 7))
    h, w = sides(window)
    weight = torch.rand(2, 7 - h, 8 - w, dtype=torch.float64, device=device).requires_grad_()
    arguments = (fixed, moving, weight)
    assert torch.autograd.gradcheck(lambda f, m, w: local_zncc_sum(f, m, window, EPS, w), arguments)
    assert torch.autograd.gradcheck(lambda m: local_zncc_sum(fixed.detach(), m, window, EPS), moving)


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), ()])
def test_only_the_gradients_that_are_wanted_are_computed(wanted: tuple[int, ...], backend: str) -> None:
    tensors = [torch.tensor(x) for x in (*pair(20, 24), weights(16, 20))]
    complete = [x.clone().requires_grad_() for x in tensors]
    local_zncc_sum(complete[0], complete[1], 5, EPS, complete[2]).backward()
    some = [x.clone().requires_grad_(i in wanted) for i, x in enumerate(tensors)]
    total = local_zncc_sum(some[0], some[1], 5, EPS, some[2])
    assert total.requires_grad == bool(wanted)
    if wanted:
        total.backward()
    for i, (one, other) in enumerate(zip(some, complete, strict=True)):
        torch.testing.assert_close(one.grad, other.grad if i in wanted else None, rtol=0, atol=0)
    got = torch.ops.zncc.local_zncc_sum(*tensors, 5, 5, *EPS, *(i in wanted for i in range(3)))
    assert [x.numel() > 0 for x in got[1:]] == [i in wanted for i in range(3)]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_is_computed_in_float32(dtype: torch.dtype, backend: str) -> None:
    fixed, moving = (torch.tensor(x).to(dtype) for x in pair(20, 24))
    total = local_zncc_sum(fixed, moving, 5, EPS)
    assert total.dtype == dtype
    torch.testing.assert_close(total, local_zncc_sum(fixed.float(), moving.float(), 5, EPS).to(dtype))


def test_strides_do_not_matter(backend: str, device: torch.device) -> None:
    fixed, moving = (torch.tensor(x, device=device) for x in pair(3, 40, 30))
    for view in (lambda x: x.transpose(1, 2), lambda x: x[:, ::2, 1::3], lambda x: x.flip(2)):
        f, m = view(fixed), view(moving).detach().requires_grad_()
        copy = m.detach().contiguous().requires_grad_()
        ours, expected = local_zncc_sum(f, m, 5, EPS), local_zncc_sum(f.contiguous(), copy, 5, EPS)
        torch.testing.assert_close(ours, expected)
        torch.testing.assert_close(
            *(torch.autograd.grad(x.sum(), leaf)[0] for x, leaf in ((ours, m), (expected, copy)))
        )


# Images on which the sums lose their digits ---------------------------------------------------------------------------


@pytest.mark.parametrize("case", ["offset", "ramp", "hot pixel", "flat areas", "saturated"])
def test_ill_conditioned_images(case: str, backend: str, device: torch.device) -> None:
    fixed, moving = (np.round(30000.0 + 5.0 * x) for x in pair(60, 80))
    if case == "ramp":
        moving = moving + np.linspace(0.0, 30000.0, 80).round()
    elif case == "hot pixel":
        moving[20, 30] = 1e6
    elif case == "flat areas":
        moving[:, :40] = fixed[:, :40] = 12.0
        moving[:, 20:30] = 65535.0
    elif case == "saturated":
        moving = np.minimum(moving, 30000.0)
    leaf = torch.tensor(moving, dtype=torch.float32, device=device, requires_grad=True)
    total = local_zncc_sum(torch.tensor(fixed, dtype=torch.float32, device=device), leaf, 7, 1e-2)
    (gradient,) = torch.autograd.grad(total, leaf)
    eps = (1e-2, 1e-2)
    z = reference.local_zncc(fixed, moving, 7, 7, eps)
    assert float(total.detach()) == pytest.approx(z.sum(), abs=1e-6 * np.abs(z).sum())
    # float32 keeps a gradient to 6e-8 of its size.
    assert_near(gradient, reference.local_zncc_gradient(fixed, moving, np.ones_like(z), 7, 7, eps), 1e-6)


def test_an_outlier_leaves_no_trace_where_it_is_not(backend: str, device: torch.device) -> None:
    """A pixel 10^6 times the noise: its square is 10^12 times the noise's, whose digits a running sum would lose."""
    fixed, moving = pair(60, 80)
    moving[20, 30] = 1e6
    leaf = torch.tensor(moving, device=device, requires_grad=True)
    weight = np.ones((54, 74))
    weight[14:21, 24:31] = 0.0  # the windows that hold it
    weights = torch.tensor(weight, device=device)
    total = local_zncc_sum(torch.tensor(fixed, device=device), leaf, 7, EPS, weights)
    (gradient,) = torch.autograd.grad(total, leaf)
    moving[20, 30] = 0.0
    z = reference.local_zncc(fixed, moving, 7, 7, EPS)
    assert float(total.detach()) == pytest.approx((weight * z).sum(), abs=1e-9)
    expected = reference.local_zncc_gradient(fixed, moving, weight, 7, 7, EPS)
    assert np.abs(gradient.cpu().numpy() - expected).max() < 1e-9


@pytest.mark.parametrize("scale", [2.0**-90, 2.0**-41, 1.0, 3.0, 1e5, 2.0**89])
def test_the_scale_of_the_images_makes_no_difference(scale: float, backend: str, device: torch.device) -> None:
    # Variances from 1e-53 to 1e55, and both even and odd exponents of their product, whose root is taken.
    fixed, moving = pair(20, 24)
    z = reference.local_zncc(fixed, moving, 5, 5, EPS)
    total = local_zncc_sum(
        torch.tensor(fixed * 2.0, device=device),
        torch.tensor(moving * scale, device=device),
        5,
        (EPS[0] * 4.0, EPS[1] * scale**2),
    )
    assert float(total) == pytest.approx(z.sum(), rel=1e-13)  # some hundred numbers, each rounded a few times


def test_constant_images_agree_with_nothing(backend: str, device: torch.device) -> None:
    moving = torch.full((20, 24), 0.1, device=device, requires_grad=True)
    total = local_zncc_sum(torch.full((20, 24), 30000.0, device=device), moving, 5, EPS)
    total.backward()
    assert float(total.detach()) == 0.0
    assert moving.grad is not None
    assert moving.grad.eq(0).all()


# Pixels that are not finite -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_windows_of_weight_zero_contribute_nothing_whatever_they_hold(
    value: float, dtype: torch.dtype, backend: str, device: torch.device
) -> None:
    fixed, moving = pair(200, 40)
    lost = np.zeros((200, 40), dtype=bool)
    lost[70:150, 5:32] = True
    weight = 1.0 - (reference.correlate_valid(lost.astype(float), np.ones((5, 5))) > 0)
    results = []
    for filling in (value, 0.0):
        f, m = (np.where(lost, filling, x) for x in (fixed, moving))
        leaves = [torch.tensor(x, dtype=dtype, device=device, requires_grad=True) for x in (f, m, weight)]
        total = local_zncc_sum(leaves[0], leaves[1], 5, EPS, leaves[2])
        results.append((total.detach(), *torch.autograd.grad(total, leaves)))
    (total, df, dm, dw), (expected, expected_df, expected_dm, expected_dw) = results
    torch.testing.assert_close(total, expected)
    held = torch.tensor(lost, device=device)
    for ours, other in ((df, expected_df), (dm, expected_dm)):
        torch.testing.assert_close(ours, other, rtol=1e-6, atol=1e-6)
        assert ours[held].eq(0).sum() > 0
    assert dw.isfinite().all()
    counts = torch.tensor(weight != 0, device=device)
    torch.testing.assert_close(dw[counts], expected_dw[counts])


def test_a_lost_pixel_loses_exactly_its_windows(backend: str, device: torch.device) -> None:
    fixed, moving = pair(30, 40)
    moving[12, 20] = math.nan
    leaves = [torch.tensor(x, device=device, requires_grad=True) for x in (fixed, moving, np.ones((26, 36)))]
    total = local_zncc_sum(leaves[0], leaves[1], 5, EPS, leaves[2])
    assert total.isnan()
    df, dm, dw = torch.autograd.grad(total, leaves)
    for gradient, rows, columns in ((dw, (8, 13), (16, 21)), (df, (8, 17), (16, 25)), (dm, (8, 17), (16, 25))):
        expected = np.zeros(gradient.shape, dtype=bool)
        expected[slice(*rows), slice(*columns)] = True
        np.testing.assert_array_equal(~gradient.isfinite().cpu().numpy(), expected)


# A citizen of PyTorch -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("need", [(False, True, False), (True, True, True)])
@pytest.mark.parametrize("with_weight", [False, True])
def test_dispatcher_contract(need: tuple[bool, bool, bool], with_weight: bool, backend: str) -> None:
    fixed, moving = (torch.tensor(x, requires_grad=needed) for x, needed in zip(pair(2, 14, 15), need, strict=False))
    weight = torch.tensor(weights(2, 10, 12), requires_grad=need[2]) if with_weight else None
    need = (*need[:2], need[2] and with_weight)
    torch.library.opcheck(torch.ops.zncc.local_zncc_sum, (fixed, moving, weight, 5, 4, *EPS, *need))
    torch.library.opcheck(
        torch.ops.zncc.local_zncc_sum_backward,
        (
            torch.ones(2).double(),
            moving.detach(),
            fixed.detach(),
            moving.detach(),
            weight if weight is None else weight.detach(),
        ),
    )


def test_it_compiles_without_a_graph_break(backend: str) -> None:
    def loss(fixed: torch.Tensor, moving: torch.Tensor) -> torch.Tensor:
        return 1 - local_zncc_sum(fixed, 2 * moving, 5, EPS).mean() / 100

    fixed, moving = (torch.tensor(x, requires_grad=True) for x in pair(14, 15))
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    ours, expected = (torch.autograd.grad(f(fixed, moving), (fixed, moving)) for f in (compiled, loss))
    torch.testing.assert_close(ours, expected)


def test_in_inference_mode(backend: str) -> None:
    fixed, moving = (torch.tensor(x) for x in pair(14, 15))
    with torch.inference_mode():
        got = local_zncc_sum(fixed, moving, 5, EPS)
    torch.testing.assert_close(got.clone(), local_zncc_sum(fixed, moving, 5, EPS))


def test_results_do_not_depend_on_the_number_of_threads(backend: str) -> None:
    fixed, moving = (torch.tensor(x) for x in pair(2, 400, 50))

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = moving.clone().requires_grad_()
        total = local_zncc_sum(fixed, leaf, 5, EPS)
        return total.detach(), torch.autograd.grad(total.sum(), leaf)[0]

    before = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(run())
    finally:
        torch.set_num_threads(before)
    with ThreadPoolExecutor(4) as pool:
        results += [future.result() for future in [pool.submit(copy_context().run, run) for _ in range(8)]]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=0, atol=0 if backend == "native" else 1e-12)


def test_a_second_derivative_is_refused() -> None:
    fixed, moving = (torch.tensor(x, requires_grad=True) for x in pair(9, 9))
    (gradient,) = torch.autograd.grad(local_zncc_sum(fixed, moving, 3, EPS), moving, create_graph=True)
    with pytest.raises(NotImplementedError, match="once"):
        gradient.sum().backward()


# Edges and errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 20, 20), (2, 0, 3, 20, 20)])
def test_an_empty_batch_gives_no_sums(shape: tuple[int, ...], backend: str, device: torch.device) -> None:
    fixed, moving = (torch.empty(shape, device=device, requires_grad=True) for _ in range(2))
    total = local_zncc_sum(fixed, moving, (5, 4), EPS)
    total.sum().backward()
    assert total.shape == shape[:-2]
    assert moving.grad is not None
    assert moving.grad.shape == shape


def test_one_pixel_has_no_correlation(backend: str, device: torch.device) -> None:
    fixed, moving = (torch.tensor(x * 20000 + 30000, device=device, requires_grad=True) for x in pair(20, 24))
    total = local_zncc_sum(fixed, moving, 1, EPS)
    total.backward()
    assert float(total.detach()) == 0.0
    assert fixed.grad is not None
    assert moving.grad is not None
    assert fixed.grad.eq(0).all()
    assert moving.grad.eq(0).all()


def test_what_does_not_fit_is_refused() -> None:
    image = torch.ones(20, 30)
    with pytest.raises(WindowError, match="must fit into the image of 20x30"):
        local_zncc_sum(image, image, 21)
    with pytest.raises(OptionError, match="moving must be as fixed"):
        local_zncc_sum(image, image[:19], 5)
    with pytest.raises(OptionError, match="moving must be as fixed"):
        local_zncc_sum(image, image.double(), 5)
    with pytest.raises(OptionError, match=r"weight must hold one torch.float32 for each window, \(16, 26\)"):
        local_zncc_sum(image, image, 5, weight=torch.ones(16, 25))
    with pytest.raises(ContentError, match="image must"):
        local_zncc_sum(image[0], image[0], 5)
    with pytest.raises(OptionError, match="eps"):
        local_zncc_sum(image, image, 5, (1e-5, 0.0))
