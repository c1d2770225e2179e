"""The pair metric: the native kernel, its twin in plain torch, and what both are by definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch

from tests.registration.metric.slow_pair_metric import slow_pair_metric
from zncc_cli.config import Interpolation
from zncc_cli.operators import native
from zncc_cli.operators.pair_metric import CellGrid, MetricWeights, PairPlanes, PairSums, Wanted, pair_metric
from zncc_cli.registration.metric.pair_metric import PairMetric
from zncc_cli.registration.metric.torch_pair_metric import tile_shift, torch_pair_metric
from zncc_cli.registration.warp import Sampler

AFFINE = torch.tensor([[0.97, 0.06, 1.3123], [-0.05, 1.03, -0.8317], [0, 0, 1]], dtype=torch.float64)
SCALED = 1.25 * AFFINE  # the same transform
TURNED = torch.tensor(
    [[1.15, -0.8, 20.4137], [0.8, 1.1, -31.7291], [0, 0, 1]], dtype=torch.float64
)  # 1.4 times as large
PROJECTIVE = torch.tensor([[0.98, 0.04, 1.1], [-0.05, 1.02, 0.7], [3e-4, -2e-4, 1]], dtype=torch.float64)
EVERYTHING = Wanted(scores=True, curvature=True, maps=True, pixels=True)
MASKS = ("none", "fixed", "moving", "both", "rectangle")

needs_native = pytest.mark.skipif(
    native.load(torch.device("cpu")).used != "native", reason="no native kernels on this machine"
)


class Pair(NamedTuple):
    """The arguments of a pair metric, and the windows' weights."""

    planes: PairPlanes
    transform: torch.Tensor
    window: int
    weights: MetricWeights
    weight: torch.Tensor | None

    def by(
        self,
        compute: Callable[..., PairSums],
        wanted: Wanted = EVERYTHING,
        tile_step: int = 1,
        projective: bool = True,
    ) -> PairSums:
        return compute(*self[:4], wanted, weight=self.weight, tile_step=tile_step, projective=projective)


def texture(shape: tuple[int, int], generator: torch.Generator) -> torch.Tensor:
    """Return smoothed noise of about unit variance, whose neighbours are alike."""
    noise = torch.randn(shape[0] + 2, shape[1] + 2, dtype=torch.float64, generator=generator)
    return noise.unfold(0, 3, 1).unfold(1, 3, 1).mean(dim=(-2, -1)) * 3


def smooth_field(shape: tuple[int, int]) -> torch.Tensor:
    """Return displacements of some pixels (H, W, 2), which turn, stretch and bend the frame."""
    y, x = (torch.arange(n, dtype=torch.float64) for n in shape)
    wave = torch.sin(x / 9)[None] * torch.cos(y / 7)[:, None]
    return torch.stack((0.7 + 0.8 * wave, -0.4 + 0.03 * x[None] - 0.5 * wave), dim=-1)


def pair(
    shape: tuple[int, int],
    window: int,
    transform: torch.Tensor = AFFINE,
    *,
    degree: int = 3,
    masks: str = "none",
    measured: bool = False,
    weighted: bool = False,
    dtype: torch.dtype = torch.float64,
    kappa: float = 1.0,
) -> Pair:
    """Return two images that are alike by half, the moving one three rows and two columns larger where it may be."""
    generator = torch.Generator().manual_seed(sum(shape) + window)
    own = texture((shape[0] + 3, shape[1] + 2), generator)
    moving, fixed = own, (0.8 * own[: shape[0], : shape[1]] + 0.5 * texture(shape, generator)).contiguous()

    def share(size: torch.Size, least: float) -> torch.Tensor:
        return (least + torch.rand(size, dtype=torch.float64, generator=generator)).clamp(0, 1)

    fixed_mask = share(fixed.shape, 0.997) >= 1 if masks in ("fixed", "both") else None
    moving_mask = torch.ones(moving.shape, dtype=torch.bool)
    if masks == "rectangle":
        moving_mask[: len(moving) // 4] = False
    if masks in ("moving", "both"):
        moving_mask[len(moving) // 3 : len(moving) // 2, 2:5] = False
    sampler = Sampler(
        moving.to(dtype)[None, None], Interpolation.CUBIC if degree == 3 else Interpolation.LINEAR, moving_mask
    )
    planes = PairPlanes(
        fixed.to(dtype),
        sampler.knots[0, 0],
        degree,
        sampler.box,
        fixed_mask,
        None if sampler.mask is None else sampler.mask[0],
        share(fixed.shape, 0.5).to(dtype) if measured else None,
        share(moving.shape, 0.4).to(dtype) if measured else None,
    )
    n = window**2
    weights = MetricWeights(1e-3 * n, 2e-3 * n, 1.0, 0.1 * n, 0.2 * n, 0.3 * n, 0.05 * n, kappa)
    maps = torch.Size((shape[0] - window + 1, shape[1] - window + 1))
    weight = share(maps, 0.0).to(dtype) * (share(maps, 0.8) >= 1).to(dtype) if weighted else None
    return Pair(planes, transform if transform.dim() == 2 else transform.to(dtype), window, weights, weight)


def assert_same(ours: PairSums, expected: PairSums, tolerance: float) -> None:
    """Compare what both hold; the tolerance is relative to the largest number of its kind."""

    def close(a: torch.Tensor, b: torch.Tensor, scale: torch.Tensor | float) -> None:
        assert a.isfinite().all()
        torch.testing.assert_close(a / scale, b / scale, rtol=0, atol=tolerance)

    assert_finite(ours)
    assert_finite(expected)
    totals, others = (torch.tensor(sums.totals, dtype=torch.float64) for sums in (ours, expected))
    close(totals, others, 1 + others[0] + others[4])
    for name in ("cells", "scores", "pixels"):
        a, b = getattr(ours, name), getattr(expected, name)
        assert (a is None) == (b is None), name
        if a is not None:
            by_kind = b.abs().flatten(1).amax(dim=1).view(-1, *[1] * (b.dim() - 1)) if b.numel() else 1.0
            close(a, b, 1e-2 + by_kind)
    if ours.curvature is not None:
        # Of entries that change the coordinates by one, by x, by y, by x^2, ... in a frame of 100 pixels.
        size = torch.tensor([1e2, 1e2, 1, 1e2, 1e2, 1, 1e4, 1e4, 1e2], dtype=torch.float64)
        scale = size[:, None] * size
        close(ours.curvature, expected.curvature, scale * (1e-12 + (expected.curvature / scale).abs().max()))
    if ours.z is not None:
        close(ours.w, expected.w, 1.0)
        # What a window without weight holds need not be the same.
        close(ours.z * (ours.w > 0), expected.z * (expected.w > 0), 1.0)


def assert_finite(sums: PairSums) -> None:
    assert np.isfinite(sums.totals).all()
    for name in ("cells", "scores", "curvature", "z", "w", "pixels"):
        plane = getattr(sums, name)
        assert plane is None or plane.isfinite().all(), name


def cell_sums(planes: np.ndarray, grid: CellGrid, window: int) -> np.ndarray:
    """Return the sums over the windows of each cell, one window after the other."""
    sums = np.zeros((len(planes), grid.rows, grid.columns))
    for y, x in np.ndindex(planes.shape[1:]):
        (row, down), (column, across) = divmod(y - grid.top, grid.height), divmod(x - grid.left, grid.width)
        fits = not grid.inside or (down + window <= grid.height and across + window <= grid.width)
        if 0 <= row < grid.rows and 0 <= column < grid.columns and fits:
            sums[:, row, column] += planes[:, y, x]
    return sums


BOTH = [pytest.param(pair_metric, id="native", marks=needs_native), pytest.param(torch_pair_metric, id="torch")]
SMALL = (13, 16)
SLOW_CASES = {
    "affine": {},
    "affine-linear": {"degree": 1},
    "scaled": {"transform": SCALED},
    "projective": {"transform": PROJECTIVE, "window": 4},
    "field": {"transform": smooth_field(SMALL)},
    "masks": {"masks": "both", "window": 3},
    "moving-hole-linear": {"masks": "moving", "degree": 1, "window": 3},
    "rectangle": {"masks": "rectangle"},
    "measured": {"measured": True, "masks": "fixed", "window": 3},
    "weights": {"weighted": True},
    "equal-weights": {"kappa": 0.0, "transform": PROJECTIVE, "measured": True},
    "one-pixel": {"window": 1},
    "whole-frame": {"window": 13},
}


@pytest.mark.parametrize("compute", BOTH)
@pytest.mark.parametrize("name", SLOW_CASES)
@pytest.mark.parametrize("projective", [False, True])
def test_it_is_what_the_definition_says(compute: Callable[..., PairSums], name: str, projective: bool) -> None:
    options = {"window": 5, **SLOW_CASES[name]}
    of = pair(SMALL, **options)
    for grid in (CellGrid(0, 0, 3, 4, 5, 4), CellGrid(2, 1, 6, 7, 1, 2), CellGrid(-1, 3, 6, 6, 3, 2, inside=True)):
        sums = of.by(compute, EVERYTHING._replace(cells=grid), projective=projective)
        slow = slow_pair_metric(*of, projective)
        cells = np.array([slow.W, slow.W * slow.e, slow.W * slow.z, slow.W * slow.e * slow.z, slow.W * slow.z2])
        totals = [*cells[:4].sum(axis=(1, 2)), slow.edge.sum()]
        expected = PairSums(
            type(sums.totals)(*totals),
            torch.from_numpy(cell_sums(cells, grid, of.window)),
            torch.from_numpy(slow.scores.sum(axis=(1, 2))[:, None]),  # this frame is a single block
            torch.from_numpy(slow.curvature),
            torch.from_numpy(slow.z),
            torch.from_numpy(slow.W * slow.e),
            torch.from_numpy(slow.pixels),
        )
        # float64: some hundred roundings of sums of up to 169 terms, and what torch's coordinates lose.
        assert_same(sums, expected, 1e-9)


# Of kernel and twin in float64: roundings. In float32 the twin rounds coordinates of w pixels to 6e-8 w, and sums in
# float32 whatever varies from window to window; the kernel sums in double.
TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-3}


@needs_native
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("degree", [1, 3])
@pytest.mark.parametrize("transform", [AFFINE, SCALED, TURNED, PROJECTIVE, smooth_field((90, 84))], ids="ASTPF")
@pytest.mark.parametrize("masks", MASKS)
def test_the_kernel_equals_its_twin(dtype: torch.dtype, degree: int, transform: torch.Tensor, masks: str) -> None:
    for extra in ({}, {"measured": True, "weighted": True, "kappa": 0.0}):
        of = pair((90, 84), 11, transform, degree=degree, masks=masks, dtype=dtype, **extra)
        for wanted in (EVERYTHING._replace(cells=CellGrid(5, 3, 20, 21, 4, 4)), Wanted(), Wanted(scores=True)):
            assert_same(of.by(pair_metric, wanted), of.by(torch_pair_metric, wanted), TOLERANCE[dtype])


@needs_native
@pytest.mark.parametrize("scale", [0.3, 2.0, 3.2, 4.5])
@pytest.mark.parametrize("perspective", [0.0, 1e-4])
def test_gradients_at_the_edge_reach_as_far_as_the_scale(scale: float, perspective: float) -> None:
    matrix = torch.tensor([[scale, 0.01, -9.3], [0.02, scale, -10.7], [perspective, 0, 1]], dtype=torch.float64)
    of = pair((90, 84), 5, matrix)
    assert_same(of.by(pair_metric), of.by(torch_pair_metric), 1e-9)


@needs_native
@pytest.mark.parametrize("window", [1, 2, 5, 11, 31, 60])
def test_windows_of_any_size_up_to_the_frame(window: int) -> None:
    of = pair((60, 71), window, PROJECTIVE, masks="rectangle" if window < 40 else "none", measured=True)
    assert_same(of.by(pair_metric), of.by(torch_pair_metric), 1e-9)


@needs_native
@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (2, 1), (2, 2), (1, 40), (40, 1), (3, 70), (70, 2), (4, 5)])
@pytest.mark.parametrize("transform", ["affine", "projective", "field"])
def test_frames_of_any_size(shape: tuple[int, int], transform: str) -> None:
    by = {"affine": AFFINE, "projective": PROJECTIVE, "field": torch.full((*shape, 2), 0.25, dtype=torch.float64)}
    for window in {1, min(shape)}:
        of = pair(shape, window, by[transform])
        assert_same(of.by(pair_metric), of.by(torch_pair_metric), 1e-9)


@needs_native
@pytest.mark.parametrize("shape", [(20, 4400), (530, 40)])
@pytest.mark.parametrize("inside", [False, True])
def test_strips_leave_no_seam(shape: tuple[int, int], inside: bool) -> None:
    """Strips are 4096 columns wide and some 130 rows high."""
    of = pair(shape, 7, masks="both", measured=True)
    grid = CellGrid(3, -5, 48, 50, 20, 90, inside)
    wanted = EVERYTHING._replace(cells=grid)
    assert_same(of.by(pair_metric, wanted), of.by(torch_pair_metric, wanted), 1e-9)


@needs_native
@pytest.mark.parametrize("tile_step", [2, 3, 4])
def test_every_which_tile_counts(tile_step: int) -> None:
    of = pair((300, 1100), 9)
    wanted = Wanted(cells=CellGrid(4, 6, 90, 100, 4, 12), scores=True, curvature=True)
    ours = of.by(pair_metric, wanted, tile_step)
    assert_same(ours, of.by(torch_pair_metric, wanted, tile_step), 1e-9)
    # Some tens of tiles of at most 64 x 128 pixels: some of them count, and not all.
    assert 0 < ours.totals.window_weight < 0.8 * of.by(pair_metric, Wanted()).totals.window_weight


@needs_native
def test_a_frame_of_one_tile_counts_whatever_the_step() -> None:
    of = pair((60, 120), 9)
    assert_same(of.by(pair_metric, tile_step=5), of.by(pair_metric, tile_step=1), 1e-9)


@pytest.mark.parametrize("compute", BOTH)
def test_a_field_gives_what_its_matrix_gives(compute: Callable[..., PairSums]) -> None:
    shape = (40, 50)
    y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape), indexing="ij")
    there = torch.stack((x, y, torch.ones_like(x)), dim=-1) @ AFFINE.T
    field = (there[..., :2] - torch.stack((x, y), dim=-1)).contiguous()
    by_matrix, by_field = (pair(shape, 7, by, masks="both").by(compute) for by in (AFFINE, field))
    assert_same(by_field, by_matrix, 1e-9)  # central differences of an affine field are exact


@needs_native
def test_results_do_not_depend_on_the_number_of_threads() -> None:
    of, results, before = pair((600, 130), 11, masks="both", measured=True), [], torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(of.by(pair_metric, EVERYTHING._replace(cells=CellGrid(0, 0, 70, 30, 9, 5))))
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert other.totals == results[0].totals
        for name in ("cells", "scores", "curvature", "z", "w", "pixels"):
            assert torch.equal(getattr(other, name), getattr(results[0], name)), name


@pytest.mark.parametrize("compute", BOTH)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("far", [200.0, -1e4, 1e12, 1e300])
def test_without_overlap_all_sums_are_zero_and_finite(
    compute: Callable[..., PairSums], dtype: torch.dtype, far: float
) -> None:
    matrix = AFFINE.clone()
    matrix[0, 2] = far
    sums = pair((40, 50), 7, matrix, dtype=dtype).by(compute, EVERYTHING._replace(cells=CellGrid(0, 0, 9, 9, 4, 5)))
    assert_finite(sums)
    assert not any(sums.totals)
    for name in ("cells", "scores", "curvature", "w", "pixels"):
        assert not getattr(sums, name).any(), name


@pytest.mark.parametrize("compute", BOTH)
@pytest.mark.parametrize("far", [1e4, 1e12, 1e30])
def test_a_field_that_leads_far_away_in_places_leaves_the_others_alone(
    compute: Callable[..., PairSums], far: float
) -> None:
    field = torch.zeros(40, 50, 2)
    near = pair((40, 50), 7, field, dtype=torch.float32).by(compute)
    field[20:, :, 1] = far
    sums = pair((40, 50), 7, field, dtype=torch.float32).by(compute)
    assert_finite(sums)
    torch.testing.assert_close(sums.z[:14], near.z[:14], rtol=0, atol=1e-5)
    # The first row and column of the moving image have no weight, and neither has what holds them.
    assert not sums.w[14:].any()
    assert sums.w[1:14, 1:].all()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("row", [(0.1, 0.0, 1.0), (-0.1, 0.0, 1.0), (0.0, 0.0, -1.0), (0.0, 0.0, 0.0), (np.nan, 0, 1)])
def test_a_matrix_whose_horizon_crosses_the_frame_has_no_metric(backend: str, row: tuple[float, float, float]) -> None:
    of = pair((40, 50), 7)
    with native.selected(backend):
        sampler = Sampler(of.planes.knots[None, None], Interpolation.LINEAR)
        metric = PairMetric(of.planes.fixed, None, sampler, 7, of.weights)
        matrix = np.eye(3)
        assert metric.at(matrix, EVERYTHING) is not None
        matrix[2] = row
        sums = metric.at(matrix, EVERYTHING, projective=True)
    if row == (0.1, 0.0, 1.0):
        assert sums is not None
        assert_finite(sums)
    else:
        assert sums is None


@pytest.mark.parametrize("compute", BOTH)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_flat_images_have_no_scores_and_no_curvature(compute: Callable[..., PairSums], dtype: torch.dtype) -> None:
    of = pair((40, 50), 7, dtype=dtype)
    planes = PairPlanes(torch.full_like(of.planes.fixed, 0.3), torch.zeros_like(of.planes.knots), 1, of.planes.box)
    sums = of._replace(planes=planes).by(compute)
    assert_finite(sums)
    assert sums.totals.window_weight > 0
    # Roundings of sums of 49 numbers of 0.3, over an eps of 0.05.
    for name in ("scores", "curvature", "z"):
        assert getattr(sums, name).abs().max() < 1e-4, name


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_some_windows_alone_are_those_whose_sums_are_returned(backend: str) -> None:
    of = pair((40, 50), 7, masks="both")
    with native.selected(backend):
        sampler = Sampler(of.planes.knots[None, None], Interpolation.LINEAR)
        metric = PairMetric(of.planes.fixed, of.planes.fixed_mask, sampler, 7, of.weights)
        windows = torch.zeros(34, 44, dtype=torch.bool)
        windows[3:30, 5:20] = True
        part, whole = (m.at(AFFINE.numpy(), EVERYTHING) for m in (metric.among(windows), metric))
    assert part is not None
    assert whole is not None
    torch.testing.assert_close(part.w, whole.w * windows, rtol=0, atol=0)
    assert part.totals.weight == pytest.approx(float(whole.w[windows].sum()), rel=1e-12)


@needs_native
@pytest.mark.parametrize("wanted", [Wanted(pixels=True), Wanted(maps=True), Wanted(curvature=True)])
def test_what_is_wanted_alone_is_the_same(wanted: Wanted) -> None:
    of = pair((50, 60), 7, PROJECTIVE)
    alone, together = of.by(pair_metric, wanted), of.by(pair_metric)
    for name in ("scores", "curvature", "z", "w", "pixels"):
        plane = getattr(alone, name)
        assert plane is None or torch.equal(plane, getattr(together, name)), name


@needs_native
def test_sizes_that_do_not_fit_are_refused() -> None:
    of = pair((20, 22), 5)
    with pytest.raises(RuntimeError, match="the window must fit"):
        of._replace(window=21).by(pair_metric, Wanted())
    with pytest.raises(RuntimeError, match="the step must be positive"):
        of.by(pair_metric, Wanted(), tile_step=0)
    with pytest.raises(RuntimeError, match="a cell must have a size"):
        of.by(pair_metric, Wanted(cells=CellGrid(0, 0, 0, 1, 1, 1)))
    with pytest.raises(RuntimeError, match="field"):
        of._replace(transform=torch.zeros(20, 21, 2, dtype=torch.float64)).by(pair_metric, Wanted())


@pytest.mark.parametrize("tile_step", [2, 3, 6, 8, 10, 32, 128, 190, 512])
def test_the_tiles_that_count_are_spread_over_the_frame(tile_step: int) -> None:
    """Of a frame in which 128 tiles count, no row, no column and no sixteenth of it is left out."""
    rows, columns = 16 * math.isqrt(tile_step), 8 * math.isqrt(tile_step)
    row, column = np.indices((rows, columns))
    counted = (column + row * tile_shift(tile_step)) % tile_step == 0
    assert counted.any(axis=0).all() or rows < tile_step  # a column may be shorter than the step
    assert counted.any(axis=1).all() or columns < tile_step  # and so may a row
    # A quarter of the frame either way, in which eight tiles are expected.
    side = rows // 4, columns // 4
    windows = np.lib.stride_tricks.sliding_window_view(counted, side)[:: side[0], :: side[1]]
    assert windows.any(axis=(2, 3)).all()
