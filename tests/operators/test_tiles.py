"""The blocks of the CUDA kernels, run thread by thread on the CPU by `tiles_emulator.cpp`."""

from __future__ import annotations

import ctypes
import math

import numpy as np
import pytest
import torch

from tests.operators.emulators import compiled_emulator
from zncc_cli.operators import native_ops

EPS = 1e-3
DTYPES = [torch.float32, torch.float64]
# Planes, height, width, and a window that fits: one tile and several, one strip and several, and all their edges.
SHAPES = [
    (1, 24, 31, 3, 3),
    (2, 24, 31, 1, 1),
    (1, 24, 31, 4, 6),
    (1, 24, 31, 24, 31),
    (1, 24, 31, 24, 1),
    (1, 24, 31, 1, 31),
    (3, 17, 19, 7, 2),
    (1, 61, 1100, 11, 11),
    (1, 40, 530, 5, 8),
    (1, 150, 37, 40, 3),
    (1, 12, 900, 3, 384),
    (1, 20, 513, 2, 33),
    (1, 20, 600, 3, 40),
    (1, 20, 600, 3, 41),
    (1, 20, 600, 3, 42),
    (1, 20, 600, 3, 47),
    (2, 300, 70, 9, 32),
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return compiled_emulator("tiles", tmp_path_factory.mktemp("tiles"))


def call(
    emulator: ctypes.CDLL, name: str, shape: tuple[int, ...], eps: tuple[float, ...], order: int, *tensors: object
) -> int:
    """Return the number of tiles that were computed with care."""
    dtype = next(x.dtype for x in tensors if isinstance(x, torch.Tensor))
    function = getattr(emulator, f"{name}_{str(dtype).removeprefix('torch.')}")
    function.restype = ctypes.c_int64
    pointers = [ctypes.c_void_p(x.data_ptr() if isinstance(x, torch.Tensor) else None) for x in tensors]
    sizes = (ctypes.c_int64 * 5)(*shape)
    return int(function(sizes, *map(ctypes.c_double, eps), ctypes.c_int(order), *pointers))


def emulated_std(
    emulator: ctypes.CDLL, image: torch.Tensor, g: torch.Tensor, h: int, w: int, order: int = 0
) -> tuple[torch.Tensor, torch.Tensor, int]:
    shape = (*image.shape, h, w)
    std, dI = torch.full_like(g, -1.0), torch.full_like(image, -1.0)
    careful = call(emulator, "forward", shape, (EPS,), order, image, std)
    of_gradient = call(emulator, "backward", shape, (EPS,), order, g, image, std, dI)
    assert of_gradient >= 0, "rows that are remembered give another gradient than rows that are read again"
    return std, dI, careful + of_gradient


def emulated_pair(
    emulator: ctypes.CDLL, f: torch.Tensor, m: torch.Tensor, weight: torch.Tensor | None, h: int, w: int, order: int = 0
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]:
    planes, height, width = f.shape
    strip_sums = torch.full((planes, torch.ops.zncc.local_zncc_strips(height, width, h)), math.nan, dtype=torch.float64)
    dm, z = torch.full_like(m, -1.0), f.new_full((planes, height - h + 1, width - w + 1), -1.0)
    careful = call(emulator, "pair", (*f.shape, h, w), (EPS, 2 * EPS), order, f, m, weight, strip_sums, dm, z)
    return strip_sums.sum(-1), dm, z, careful


def cpu_pair(
    f: torch.Tensor, m: torch.Tensor, weight: torch.Tensor | None, h: int, w: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    planes, height, width = f.shape
    strip_sums = f.new_empty((planes, torch.ops.zncc.local_zncc_strips(height, width, h)), dtype=torch.float64)
    dm, z = torch.empty_like(m), f.new_empty((planes, height - h + 1, width - w + 1))
    torch.ops.zncc.local_zncc_box(f, m, weight, h, w, EPS, 2 * EPS, strip_sums, dm, z)
    return strip_sums.sum(-1), dm, z


def normal(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape), dtype=dtype)


def assert_same(ours: torch.Tensor, expected: torch.Tensor, float64: float = 1e-11) -> None:
    """Equal within the rounding of the last step, relative to the largest; and lost at the same places."""
    finite = expected.isfinite()
    torch.testing.assert_close(ours.isfinite(), finite, rtol=0, atol=0)
    scale = float(expected[finite].abs().max()) if finite.any() else 1.0
    tolerance = 3e-7 if expected.dtype == torch.float32 else float64
    difference = (ours[finite] - expected[finite]).abs().max() if finite.any() else torch.zeros(())
    assert float(difference) <= tolerance * max(scale, 1e-300)


def images(kind: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    _, height, width = shape
    image = normal(shape, dtype)
    if kind == "offset":
        return (30000 + 5 * image).round()
    if kind == "constant":
        return torch.full_like(image, 0.1)
    if kind == "ramp":
        return image + torch.linspace(0, 6000, width, dtype=dtype)
    if kind == "hot pixel":
        image[0, height // 2, width // 3] = 1e6
    elif kind == "lost pixels":
        image[0, height // 2, width // 3] = math.nan
        image[-1, 0, 0] = math.inf
        image[-1, height - 1, width - 1] = -math.inf
    elif kind == "a lost plane":
        image[0] = math.nan
    return image


# Both lose digits of a float64, and not the same ones: on a ramp up to 2e-11, beside a hot pixel up to 2e-10.
ILL_CONDITIONED = 1e-9
KINDS = ["noise", "offset", "constant", "ramp", "hot pixel", "lost pixels", "a lost plane"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_tiles_of_local_std(emulator: ctypes.CDLL, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    *sizes, h, w = shape
    image = normal(tuple(sizes), dtype)
    g = normal((sizes[0], sizes[1] - h + 1, sizes[2] - w + 1), dtype, seed=1)
    std, dI, careful = emulated_std(emulator, image, g, h, w)
    assert careful == 0
    assert_same(std, native_ops.box_forward(image, h, w, EPS))
    assert_same(dI, native_ops.box_backward(g, image, std, None, h, w, EPS))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("w", [10, 45])
def test_images_that_call_for_care(emulator: ctypes.CDLL, w: int, kind: str, dtype: torch.dtype) -> None:
    image = images(kind, (2, 60, 700), dtype)
    g = normal((2, 54, 701 - w), dtype, seed=1)
    std, dI, careful = emulated_std(emulator, image, g, 7, w)
    assert (careful > 0) == (kind in ("hot pixel", "lost pixels", "a lost plane"))
    assert_same(std, native_ops.box_forward(image, 7, w, EPS), ILL_CONDITIONED)
    assert_same(dI, native_ops.box_backward(g, image, std, None, 7, w, EPS), ILL_CONDITIONED)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("offset", [1, 2, 3])
def test_planes_that_begin_anywhere(emulator: ctypes.CDLL, offset: int, dtype: torch.dtype) -> None:
    """Several elements are read at once only where memory is aligned for it."""
    flat, gradients = normal((4 + 40 * 600,), dtype), normal((4 + 30 * 592,), dtype, seed=1)
    image, g = flat[offset:][: 40 * 600].view(1, 40, 600), gradients[offset:][: 30 * 592].view(1, 30, 592)
    std, dI, _ = emulated_std(emulator, image, g, 11, 9)
    assert_same(std, native_ops.box_forward(image, 11, 9, EPS))
    assert_same(dI, native_ops.box_backward(g, image, std, None, 11, 9, EPS))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_tiles_of_local_zncc(
    emulator: ctypes.CDLL, shape: tuple[int, ...], weighted: bool, dtype: torch.dtype
) -> None:
    *sizes, h, w = shape
    f = normal(tuple(sizes), dtype)
    m = 0.6 * f + normal(tuple(sizes), dtype, seed=1)
    weight = normal((sizes[0], sizes[1] - h + 1, sizes[2] - w + 1), dtype, seed=2).clamp(min=0) if weighted else None
    for ours, expected in zip(emulated_pair(emulator, f, m, weight, h, w), cpu_pair(f, m, weight, h, w), strict=False):
        assert_same(ours, expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("w", [10, 45])
def test_pairs_that_call_for_care(emulator: ctypes.CDLL, w: int, kind: str, dtype: torch.dtype) -> None:
    f, m = normal((2, 60, 700), dtype, seed=1), images(kind, (2, 60, 700), dtype)
    for ours, expected in zip(emulated_pair(emulator, f, m, None, 7, w), cpu_pair(f, m, None, 7, w), strict=False):
        assert_same(ours, expected, ILL_CONDITIONED)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("filling", [math.nan, math.inf, 1e30])
def test_windows_of_weight_zero_contribute_nothing(emulator: ctypes.CDLL, filling: float, dtype: torch.dtype) -> None:
    f, m = normal((1, 90, 600), dtype), normal((1, 90, 600), dtype, seed=1)
    weight = torch.ones(1, 84, 591, dtype=dtype)
    weight[:, 14:71, 91:551] = 0.0  # the windows that hold a pixel of rows 20 to 70 and columns 100 to 550
    results = []
    for value in (filling, 0.0):
        f[:, 20:71, 100:551] = m[:, 20:71, 100:551] = value
        results.append(emulated_pair(emulator, f, m, weight, 7, 10))
    (total, dm, z, careful), (expected, expected_dm, expected_z, _) = results
    assert careful > 0
    assert_same(total, expected)
    assert_same(dm, expected_dm)
    assert_same(z[weight != 0], expected_z[weight != 0])
    assert z.isfinite().all()


@pytest.mark.parametrize("kind", ["noise", "lost pixels"])
def test_no_thread_reads_what_another_one_writes_in_the_same_phase(emulator: ctypes.CDLL, kind: str) -> None:
    """Then the order in which the threads run decides nothing, and neither does what shared memory held before."""
    image, f = images(kind, (2, 60, 700), torch.float32), normal((2, 60, 700), torch.float32, seed=2)
    g = normal((2, 54, 691), torch.float32, seed=1)
    runs = [
        (*emulated_std(emulator, image, g, 7, 10, order), *emulated_pair(emulator, f, image, None, 7, 10, order))
        for order in range(3)
    ]
    for other in runs[1:]:
        for ours, expected in zip(other, runs[0], strict=True):
            torch.testing.assert_close(ours, expected, rtol=0, atol=0, equal_nan=True)
