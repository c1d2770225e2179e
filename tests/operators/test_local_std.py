from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests import reference
from zncc_cli.config import Method
from zncc_cli.errors import ContentError, OptionError, WindowError
from zncc_cli.operators.local_std import METHODS, LocalStandardDeviation, local_std, local_std_reference

EPS = 1e-5
ADDED = {"box": 0.0, "fft": EPS}  # to the denominator of dVar: 'fft' is the specification's form
WINDOWS = [3, 11, 4, (1, 6), (7, 2), (24, 31), (24, 1)]  # odd, even, oblong, as large as the image
# A float32 result of sums in float64: rounding of the last step. A gradient adds up to a window of such numbers, each
# of which may be larger than the sum, hence relative to the largest.
FLOAT32 = {"rtol": 3e-7, "atol": 3e-7}
FLOAT64 = {"rtol": 1e-11, "atol": 1e-11}


def normal(*shape: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def value_and_gradient(
    image: NDArray[np.float64], g: NDArray[np.float64], window: int | tuple[int, int], method: str, **options: object
) -> tuple[torch.Tensor, torch.Tensor]:
    """StdMap and dI in float64 on the CPU; options: dtype, device."""
    leaf = torch.tensor(image, **options).requires_grad_()  # type: ignore[arg-type]
    std = local_std(leaf, window, EPS, method)
    (gradient,) = torch.autograd.grad(std, leaf, torch.tensor(g, **options))  # type: ignore[arg-type]
    assert std.dtype == gradient.dtype == leaf.dtype
    return std.detach().double().cpu(), gradient.double().cpu()


@pytest.fixture(params=["box", "fft"])
def method(request: pytest.FixtureRequest) -> str:
    """Every test that takes this runs once with each method."""
    return str(request.param)


def sides(window: int | tuple[int, int]) -> tuple[int, int]:
    return (window, window) if isinstance(window, int) else window


# Values and gradients -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, FLOAT32), (torch.float64, FLOAT64)])
@pytest.mark.parametrize("window", WINDOWS)
def test_value_and_gradient(
    window: int | tuple[int, int],
    dtype: torch.dtype,
    tolerance: dict[str, float],
    method: str,
    backend: str,
    device: torch.device,
) -> None:
    h, w = sides(window)
    image = normal(24, 31).astype(np.float32).astype(np.float64)
    g = normal(24 - h + 1, 31 - w + 1, seed=1).astype(np.float32).astype(np.float64)
    std, gradient = value_and_gradient(image, g, window, method, dtype=dtype, device=device)
    expected = torch.from_numpy(reference.std_map_gradient(image, g, h, w, EPS, ADDED[method]))
    torch.testing.assert_close(std, torch.from_numpy(reference.std_map(image, h, w, EPS)), **tolerance)
    torch.testing.assert_close(gradient / expected.abs().max(), expected / expected.abs().max(), **tolerance)


@pytest.mark.parametrize("window", [3, (4, 3), (2, 5)])
def test_gradcheck(window: int | tuple[int, int], method: str, backend: str, device: torch.device) -> None:
    image = torch.tensor(normal(5, 7), device=device, requires_grad=True)
    # 'fft' divides by the specified 2 * StdMap + eps, which makes its gradient smaller by eps / (2 * StdMap).
    tolerance = {"atol": 1e-5, "rtol": 1e-4} if method == "fft" else {"atol": 1e-8, "rtol": 1e-7}
    assert torch.autograd.gradcheck(lambda image: local_std(image, window, EPS, method=method), image, **tolerance)


def test_the_reference_twin_agrees(method: str, backend: str, device: torch.device) -> None:
    image = torch.tensor(normal(2, 3, 12, 17), device=device, requires_grad=True)
    ours, twin = local_std(image, (5, 4), method=method), local_std_reference(image, (5, 4))
    torch.testing.assert_close(ours, twin, **FLOAT64)
    (ours_gradient,) = torch.autograd.grad(ours.square().sum(), image)
    (twin_gradient,) = torch.autograd.grad(twin.square().sum(), image)
    # 'fft' divides by the specified 2 * StdMap + eps, which makes its gradient smaller by eps / (2 * StdMap).
    tolerance = {"atol": 1e-5, "rtol": 1e-5} if method == "fft" else FLOAT64
    torch.testing.assert_close(ours_gradient, twin_gradient, **tolerance)


def test_every_plane_is_computed_as_if_alone(method: str, backend: str, device: torch.device) -> None:
    planes = torch.tensor(normal(2, 3, 12, 17) * 100 + 1000, device=device)
    together = local_std(planes, 5, method=method)
    assert together.shape == (2, 3, 8, 13)
    torch.testing.assert_close(together[1, 2], local_std(planes[1, 2], 5, method=method), **FLOAT64)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_is_computed_in_float32_and_returned_in_half(
    dtype: torch.dtype, method: str, backend: str, device: torch.device
) -> None:
    image = torch.tensor(normal(16, 18), device=device).to(dtype).requires_grad_()
    wide = image.detach().float().requires_grad_()
    std, expected = local_std(image, 5, method=method), local_std(wide, 5, method=method)
    std.sum().backward()
    expected.sum().backward()
    torch.testing.assert_close(std, expected.to(dtype))
    torch.testing.assert_close(image.grad, wide.grad.to(dtype))


def test_strides_do_not_matter(method: str, backend: str, device: torch.device) -> None:
    base = torch.tensor(normal(3, 40, 30), device=device)
    for view in (base.transpose(1, 2), base[:, ::2, 1::3], base[0].expand(2, 40, 30), base.flip(2)):
        leaf, copy = view.detach().requires_grad_(), view.contiguous().requires_grad_()
        std, expected = local_std(leaf, 5, method=method), local_std(copy, 5, method=method)
        g = std.detach().flip(-1)
        torch.testing.assert_close(std, expected, **FLOAT64)
        ours, theirs = torch.autograd.grad(std, leaf, g), torch.autograd.grad(expected, copy, g)
        torch.testing.assert_close(ours, theirs, **FLOAT64)


def test_dispatcher_contract_of_the_map_with_its_means(backend: str) -> None:
    image = torch.tensor(normal(2, 14, 15), requires_grad=True)
    torch.library.opcheck(torch.ops.zncc.local_std_box_with_mean, (image, 5, 4, 1e-3))


@pytest.mark.parametrize("window", [5, (24, 31)])
def test_dispatcher_contract(window: int | tuple[int, int], method: str, backend: str) -> None:
    """Schema, fake tensors, autograd registration and tracing of both operators."""
    h, w = sides(window)
    image = torch.tensor(normal(2, 24, 31), dtype=torch.float32)
    options = (h, w, EPS)
    forward, gradient = {
        "box": (torch.ops.zncc.local_std_box, torch.ops.zncc.local_std_box_gradient),
        "fft": (torch.ops.zncc.local_std_fft, torch.ops.zncc.local_std_fft_gradient),
    }[method]
    torch.library.opcheck(forward, (image.requires_grad_(), *options))
    output = forward(image, *options)
    saved = [x.detach() for x in output] if method == "fft" else [output.detach(), None]
    torch.library.opcheck(gradient, (torch.ones_like(saved[0]), image.detach(), *saved, *options))


def test_a_second_derivative_is_refused() -> None:
    image = torch.tensor(normal(9, 9), requires_grad=True)
    (gradient,) = torch.autograd.grad(local_std(image, 3).sum(), image, create_graph=True)
    with pytest.raises(NotImplementedError, match="once"):
        gradient.sum().backward()


# Images on which S2 - S1^2 / N is lost in rounding --------------------------------------------------------------------


def photograph(levels: int) -> NDArray[np.float64]:
    """Smooth blobs on black with a saturated corner: flat areas at both ends of the range."""
    y, x = np.mgrid[:96, :120]
    blobs = sum(
        np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s * s)) for cy, cx, s in ((30, 40, 9), (60, 90, 5), (70, 30, 14))
    )
    image = np.round(np.where(blobs > 0.01, blobs, 0.0) * 0.7 * levels)
    image[60:, 80:] = levels
    return np.minimum(image, levels)


def ill_conditioned() -> dict[str, NDArray[np.float64]]:
    noise = np.random.default_rng(0).uniform(-5.0, 5.0, (96, 120))
    hot = np.round(100.0 + noise)
    hot[40, 50] = 65535.0
    ramp = np.linspace(0.0, 65000.0, 120) * np.ones((96, 1))
    return {
        "16 bit, 30000 +- 5": np.round(30000.0 + noise),
        "16 bit ramp": np.round(ramp),
        "16 bit ramp with noise": np.round(ramp + noise),
        "8 bit photograph with flat areas": photograph(255),
        "16 bit photograph with flat areas": photograph(65535),
        "photograph in [0, 1] with flat areas": photograph(255) / 255.0,
        "one hot pixel": hot,
    }


@pytest.mark.parametrize("name", ill_conditioned())
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ill_conditioned_images(name: str, dtype: torch.dtype, method: str, backend: str, device: torch.device) -> None:
    image = ill_conditioned()[name].astype(np.float32).astype(np.float64)
    g = normal(86, 110, seed=1).astype(np.float32).astype(np.float64)
    std, gradient = value_and_gradient(image, g, 11, method, dtype=dtype, device=device)
    truth = reference.std_map(image, 11, 11, EPS)
    truth_gradient = reference.std_map_gradient(image, g, 11, 11, EPS, ADDED[method])
    # float32 rounds to 6e-8; what counts with 'fft' is its rounding, 1e-16 of the brightest window's S2.
    tolerance = 1e-5 if method == "fft" else 2e-7
    assert np.abs(std.numpy() / truth - 1.0).max() < tolerance
    assert np.abs(gradient.numpy() - truth_gradient).max() < tolerance * np.abs(truth_gradient).max()


def test_a_constant_offset_is_not_seen(method: str, backend: str, device: torch.device) -> None:
    image = torch.tensor(np.round(normal(40, 50) * 5), dtype=torch.float32, device=device)
    shifted = image + 30000.0
    torch.testing.assert_close(
        local_std(shifted, 7, method=method), local_std(image, 7, method=method), rtol=2e-7, atol=0.0
    )


@pytest.mark.parametrize("constant", [0.0, 0.1, 30000.0, -1e6])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_constant_image_gives_sqrt_eps_and_no_gradient(
    constant: float, dtype: torch.dtype, method: str, backend: str, device: torch.device
) -> None:
    image = torch.full((2, 20, 24), constant, dtype=dtype, device=device, requires_grad=True)
    std = local_std(image, 5, EPS, method=method)
    std.sum().backward()
    torch.testing.assert_close(std.detach(), torch.full_like(std, math.sqrt(EPS)), rtol=1.2e-7, atol=0.0)
    assert image.grad is not None
    assert image.grad.eq(0).all()


def test_a_window_of_one_pixel_gives_sqrt_eps_and_no_gradient(method: str, backend: str, device: torch.device) -> None:
    image = torch.tensor(normal(20, 24) * 20000 + 30000, device=device, requires_grad=True)
    std = local_std(image, 1, EPS, method=method)
    std.sum().backward()
    torch.testing.assert_close(std.detach(), torch.full_like(std, math.sqrt(EPS)), rtol=4.5e-16, atol=0.0)
    assert image.grad is not None
    assert image.grad.eq(0).all()


# Pixels that are not finite -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("window", "lost_values", "lost_gradients"), [(5, 25, 81), ((4, 3), 12, 7 * 5)])
def test_a_lost_pixel_loses_exactly_its_windows(
    value: float,
    window: int | tuple[int, int],
    lost_values: int,
    lost_gradients: int,
    method: str,
    backend: str,
    device: torch.device,
) -> None:
    h, w = sides(window)
    image = normal(30, 40) * 5 + 30000
    g = normal(30 - h + 1, 40 - w + 1, seed=1)
    image[12, 20] = value
    std, gradient = value_and_gradient(image, g, window, method, device=device)

    lost = np.zeros((30 - h + 1, 40 - w + 1), dtype=bool)
    lost[12 - h + 1 : 13, 20 - w + 1 : 21] = True
    assert lost.sum() == lost_values
    np.testing.assert_array_equal(~std.isfinite().numpy(), lost)
    lost_around = np.zeros((30, 40), dtype=bool)
    lost_around[12 - h + 1 : 12 + h, 20 - w + 1 : 20 + w] = True
    assert lost_around.sum() == lost_gradients
    np.testing.assert_array_equal(~gradient.isfinite().numpy(), lost_around)

    # Everything else is what it would be with any other value there.
    image[12, 20] = 30000
    assert np.abs(std.numpy() / reference.std_map(image, h, w, EPS) - 1.0)[~lost].max() < 1e-9
    expected = reference.std_map_gradient(image, np.where(lost, 0.0, g), h, w, EPS, ADDED[method])
    np.testing.assert_allclose(gradient.numpy()[~lost_around], expected[~lost_around], rtol=0, atol=1e-9)


def test_a_lost_plane_leaves_the_others_alone(method: str, backend: str, device: torch.device) -> None:
    image = torch.tensor(normal(3, 20, 20), device=device)
    image[1] = math.nan
    std = local_std(image, 5, method=method)
    assert std[1].isnan().all()
    torch.testing.assert_close(std[::2], local_std(image[::2], 5, method=method), **FLOAT64)


def test_lost_pixels_at_the_corners(method: str, backend: str, device: torch.device) -> None:
    image = normal(12, 14)
    image[0, 0] = image[-1, -1] = math.nan
    std, gradient = value_and_gradient(image, np.ones((10, 12)), 3, method, device=device)
    assert int((~std.isfinite()).sum()) == 2
    assert int((~gradient.isfinite()).sum()) == 18


def test_an_incoming_gradient_that_is_not_finite_loses_exactly_its_window(
    method: str, backend: str, device: torch.device
) -> None:
    g = np.ones((26, 36))
    g[7, 9] = math.nan
    _, gradient = value_and_gradient(normal(30, 40), g, 5, method, device=device)
    expected = np.zeros((30, 40), dtype=bool)
    expected[7:12, 9:14] = True
    np.testing.assert_array_equal(~gradient.isfinite().numpy(), expected)


# Edges and errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 20, 20), (2, 0, 3, 20, 20)])
def test_an_empty_batch_gives_an_empty_map(
    shape: tuple[int, ...], method: str, backend: str, device: torch.device
) -> None:
    image = torch.empty(shape, device=device, requires_grad=True)
    std = local_std(image, (5, 4), method=method)
    std.sum().backward()
    assert std.shape == (*shape[:-2], 16, 17)
    assert image.grad is not None
    assert image.grad.shape == shape


@pytest.mark.parametrize("window", [21, (5, 31), (21, 5)])
def test_a_window_larger_than_the_image_is_refused(window: int | tuple[int, int]) -> None:
    with pytest.raises(WindowError, match=r"must fit into the image of 20x30 pixels"):
        local_std(torch.ones(20, 30), window)


@pytest.mark.parametrize("window", [0, -3, (3, 0), 2.5, (3, 3, 3), "11", None])
def test_a_window_that_is_no_size_is_refused(window: object) -> None:
    with pytest.raises(WindowError, match="window"):
        local_std(torch.ones(20, 30), window)  # type: ignore[arg-type]


def test_integers_of_numpy_are_windows() -> None:
    assert local_std(torch.ones(20, 30), np.int64(5)).shape == (16, 26)  # type: ignore[arg-type]
    assert local_std(torch.ones(20, 30), [3, np.int32(5)]).shape == (18, 26)  # type: ignore[arg-type]


@pytest.mark.parametrize("image", [torch.ones(5), torch.ones(9, 9, dtype=torch.int32), torch.ones(9, 9) + 0j])
def test_what_is_no_image_is_refused(image: torch.Tensor) -> None:
    with pytest.raises(ContentError, match="image must"):
        local_std(image, 3)


@pytest.mark.parametrize("eps", [0.0, -1e-5, math.nan, math.inf])
def test_eps_must_be_positive(eps: float) -> None:
    with pytest.raises(OptionError, match="eps"):
        local_std(torch.ones(9, 9), 3, eps)


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(OptionError, match=r"auto, box, fft.*'fast'"):
        local_std(torch.ones(9, 9), 3, method="fast")


# The box method -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("window", [11, (40, 3), (3, 40)])
def test_box_and_fft_agree_on_planes_of_several_strips(
    window: int | tuple[int, int], dtype: torch.dtype, backend: str, device: torch.device
) -> None:
    image = torch.tensor(normal(2, 300, 60), dtype=dtype, device=device, requires_grad=True)
    eps = 1e-12  # which only 'fft' adds to a denominator of two or more
    std, expected = local_std(image, window, eps, method="box"), local_std(image, window, eps, method="fft")
    g = std.detach().flip(-1)
    tolerance = FLOAT32 if dtype == torch.float32 else FLOAT64
    torch.testing.assert_close(std, expected, **tolerance)
    ours, theirs = (torch.autograd.grad(x, image, g)[0] for x in (std, expected))
    torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), **tolerance)


def test_the_tiles_of_a_wide_plane_fit_together(backend: str, device: torch.device) -> None:
    image = torch.tensor(normal(7, 9000), device=device, requires_grad=True)
    std, expected = local_std(image, (3, 8), method="box"), local_std_reference(image, (3, 8))
    torch.testing.assert_close(std, expected, **FLOAT64)
    ours, theirs = (torch.autograd.grad(x.square().sum(), image)[0] for x in (std, expected))
    torch.testing.assert_close(ours, theirs, **FLOAT64)


# Of the pixels whose mean the image is taken less of, the second is one on the CPU, the third in a tile on CUDA.
@pytest.mark.parametrize("where", [(22, 31), (3, 5), (20, 30)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_an_outlier_leaves_no_trace_where_it_is_not(
    dtype: torch.dtype, where: tuple[int, int], backend: str, device: torch.device
) -> None:
    """A pixel 10^6 times the noise: its square is 10^12 times the noise's, whose digits a running sum would lose."""
    image = normal(60, 80).astype(np.float32).astype(np.float64)
    image[where] = 1e6
    std, gradient = value_and_gradient(image, np.ones((54, 74)), 7, "box", dtype=dtype, device=device)
    # float32 rounds; in float64 what counts is the outlier's own windows, whose other pixels are 10^-12 of the sum.
    assert np.abs(std.numpy() / reference.std_map(image, 7, 7, EPS) - 1.0).max() < (
        2e-7 if dtype == torch.float32 else 1e-11
    )
    expected = reference.std_map_gradient(image, np.ones((54, 74)), 7, 7, EPS)
    # A gradient of about one, and 49 at the outlier: float32 rounds it to 6e-8, and StdMap before.
    tolerance = {"rtol": 1e-7, "atol": 2e-7} if dtype == torch.float32 else {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(gradient.numpy(), expected, **tolerance)


def test_lost_pixels_far_down_and_in_several_strips(backend: str, device: torch.device) -> None:
    image = normal(400, 40)
    lost = [(0, 5), (127, 20), (128, 21), (299, 39), (399, 0)]
    for pixel in lost:
        image[pixel] = math.inf
    g = normal(396, 36, seed=1)
    std, gradient = value_and_gradient(image, g, 5, "box", device=device)
    marks = np.isinf(image).astype(float)
    lost_values = reference.correlate_valid(marks, np.ones((5, 5))) > 0
    np.testing.assert_array_equal(~std.isfinite().numpy(), lost_values)
    lost_gradients = reference.convolve_full(lost_values.astype(float), np.ones((5, 5))) > 0
    np.testing.assert_array_equal(~gradient.isfinite().numpy(), lost_gradients)


def test_results_do_not_depend_on_the_number_of_threads(backend: str) -> None:
    image = torch.tensor(normal(2, 400, 50), dtype=torch.float32)

    def run() -> tuple[torch.Tensor, torch.Tensor]:
        leaf = image.clone().requires_grad_()
        std = local_std(leaf, 7, method="box")
        return std.detach(), torch.autograd.grad(std.sum(), leaf)[0]

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
        torch.testing.assert_close(result, results[0], rtol=0, atol=0)


def test_box_saves_the_image_and_the_map_alone() -> None:
    image = torch.tensor(normal(40, 50), requires_grad=True)
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x) or x, lambda x: x):
        std = local_std(image, 5, method="box")
    assert sorted(x.data_ptr() for x in saved if x.numel()) == sorted((image.data_ptr(), std.data_ptr()))


def test_it_compiles_without_a_graph_break(method: str, backend: str) -> None:
    def loss(image: torch.Tensor) -> torch.Tensor:
        return local_std(2 * image, (5, 4), method=method).square().sum()

    image = torch.tensor(normal(14, 15), requires_grad=True)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    ours, expected = (torch.autograd.grad(f(image), image) for f in (compiled, loss))
    torch.testing.assert_close(ours, expected)


def test_in_inference_mode(method: str, backend: str) -> None:
    image = torch.tensor(normal(14, 15))
    with torch.inference_mode():
        std = local_std(image, 5, method=method)
    torch.testing.assert_close(std.clone(), local_std(image, 5, method=method))


def test_every_method_can_be_configured() -> None:
    assert [method.value for method in Method] == list(METHODS)


# The form of the specification ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_the_autograd_function_is_the_same_operator(backend: str, device: torch.device, dtype: torch.dtype) -> None:
    first = torch.tensor(normal(2, 12, 14), device=device).to(dtype).requires_grad_()
    second = first.detach().clone().requires_grad_()
    ours = LocalStandardDeviation.apply(first, torch.ones(5, 4, device=device), 1e-3)
    same = local_std(second, (5, 4), 1e-3)
    ours.square().sum().backward()
    same.square().sum().backward()
    torch.testing.assert_close(ours, same)
    torch.testing.assert_close(first.grad, second.grad)


def test_the_autograd_function_has_a_default_eps() -> None:
    std = LocalStandardDeviation.apply(torch.ones(9, 9), torch.ones(3, 3))
    torch.testing.assert_close(std, torch.full((7, 7), math.sqrt(EPS)))


@pytest.mark.parametrize("kernel", [torch.full((3, 3), 0.5), torch.ones(9), torch.ones(1, 1, 3, 3), torch.eye(3)])
def test_the_autograd_function_takes_ones_only(kernel: torch.Tensor) -> None:
    with pytest.raises(OptionError, match="ones_kernel"):
        LocalStandardDeviation.apply(torch.ones(9, 9), kernel)
