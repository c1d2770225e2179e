"""The native filters: the same as plain torch, whatever the mask, the size of the image and the number of threads."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from zncc_cli.operators import filters, native, pixels

# The image, in the dtype of the test, and its mask.
Filter = Callable[[Tensor, Tensor], object]

pytestmark = pytest.mark.skipif(
    native.load(torch.device("cpu")).used != "native", reason="no native kernels on this machine"
)

SIZES = [(41, 300), (64, 40), (1, 50), (50, 1), (1, 1), (2, 3), (5, 4)]
TRUE = torch.tensor(True)
MASKS: dict[str, Callable[[Tensor], Tensor]] = {
    "all": lambda mask: mask.fill_(True),
    "none": lambda mask: mask.fill_(False),
    "rectangle": lambda mask: inner(mask, 1, 2),
    "holes": lambda mask: mask.copy_(torch.rand(mask.shape, generator=torch.Generator().manual_seed(1)) > 0.2),
    "a large hole": lambda mask: inner(mask.fill_(True), 9, 9, False),
    "a single pixel": lambda mask: mask.index_put_((torch.tensor(mask.shape[0] // 2), torch.tensor(0)), TRUE),
}


def inner(mask: Tensor, rows: int, columns: int, value: bool = True) -> Tensor:
    mask[rows : max(rows + 1, mask.shape[0] - rows), columns : max(columns + 1, mask.shape[1] - columns)] = value
    return mask


def gaussian(sigma: float) -> Tensor:
    radius = max(1, int(3 * sigma + 0.5))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1, dtype=torch.float64) / sigma) ** 2)
    return taps / taps.sum()


def texture(size: tuple[int, int], dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def masked(name: str, size: tuple[int, int]) -> Tensor:
    return MASKS[name](torch.zeros(size, dtype=torch.bool))


def spoilt(image: Tensor, mask: Tensor) -> Tensor:
    """Return the image with NaN where the mask is not set."""
    return torch.where(mask, image, torch.nan)


def rounding(dtype: torch.dtype) -> dict[str, float]:
    """Return tolerances: sums of up to a few hundred numbers of about one, in another order."""
    return {"rtol": 0, "atol": 1e-5 if dtype == torch.float32 else 1e-13}


def by_torch(filter_of: Filter, image: Tensor, mask: Tensor) -> object:
    with native.selected("reference"):
        return filter_of(image, mask)


every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
every_mask = pytest.mark.parametrize("name", MASKS)
every_size = pytest.mark.parametrize("size", SIZES)


@every_dtype
@every_mask
@every_size
@pytest.mark.parametrize(("sigma", "min_share", "step"), [(1.0, 0.95, 1), (0.85, 0.0, 2), (6.0, 0.5, 1), (3.0, 0.9, 2)])
def test_smoothed_pixels_and_their_mask_are_those_of_plain_torch(
    dtype: torch.dtype, name: str, size: tuple[int, int], sigma: float, min_share: float, step: int
) -> None:
    mask = masked(name, size)

    def smoothed(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return filters.smooth(image, mask, gaussian(sigma), min_share, step)

    image = spoilt(texture(size, dtype), mask)
    (ours, valid), (expected, where) = smoothed(image, mask), by_torch(smoothed, image, mask)
    torch.testing.assert_close(ours, expected, **rounding(dtype))
    torch.testing.assert_close(valid, where)
    assert ours.is_contiguous()


def test_a_smoothed_image_is_the_mean_of_its_valid_neighbours() -> None:
    image, mask, taps = texture((20, 21)), masked("holes", (20, 21)), gaussian(1.0)
    mask[7, 9] = True
    smoothed, valid = filters.smooth(image, mask, taps, 0.0)
    weights = torch.outer(taps, taps) * mask[4:11, 6:13]
    torch.testing.assert_close(smoothed[7, 9], (weights * image[4:11, 6:13]).sum() / weights.sum())
    torch.testing.assert_close(valid, mask)


def test_a_rectangle_of_valid_pixels_stays_one_with_its_corners() -> None:
    mask = masked("rectangle", (40, 30))
    _, valid = filters.smooth(texture((40, 30)), mask, gaussian(1.0), 0.9)
    box = filters.rectangle(valid)
    assert box is not None
    # Of a Gaussian of sigma 1, 0.30 lies beyond an edge pixel, 0.06 beyond the next one, 0.004 beyond the one after.
    assert (box[0].start, box[0].stop, box[1].start, box[1].stop) == (2, 38, 3, 27)


@every_dtype
@every_mask
@every_size
def test_decimated_pixels_are_every_second_smoothed_one_to_the_bit(
    dtype: torch.dtype, name: str, size: tuple[int, int]
) -> None:
    image, mask = texture(size, dtype), masked(name, size)
    whole = filters.smooth(image, mask, gaussian(1.0), 0.9)
    halved = filters.smooth(image, mask, gaussian(1.0), 0.9, 2)
    for ours, expected in zip(halved, whole, strict=True):
        torch.testing.assert_close(ours, expected[::2, ::2], rtol=0, atol=0)


def test_a_kernel_of_one_tap_copies_valid_pixels_to_the_bit() -> None:
    for name in ("rectangle", "holes"):
        image, mask = texture((30, 47), torch.float32), masked(name, (30, 47))
        copied, valid = filters.smooth(spoilt(image, mask), mask, torch.ones(1, dtype=torch.float64), 0.0)
        torch.testing.assert_close(copied, torch.where(mask, image, 0), rtol=0, atol=0)
        torch.testing.assert_close(valid, mask)


@every_mask
@every_size
def test_a_rectangle_is_found_and_nothing_else_is_taken_for_one(name: str, size: tuple[int, int]) -> None:
    mask = masked(name, size)
    found = filters.rectangle(mask)
    assert found == by_torch(lambda _, mask: filters.rectangle(mask), texture(size), mask)
    if found is not None:
        assert int(mask[found].sum()) == int(mask.sum()) == mask[found].numel() > 0


@pytest.mark.parametrize("place", [(3, 9), (0, 0), (11, 4), (5, 14)])
def test_a_pixel_more_or_less_makes_a_rectangle_another_shape(place: tuple[int, int]) -> None:
    mask = inner(torch.zeros(12, 15, dtype=torch.bool), 2, 3)
    assert filters.rectangle(mask) == (slice(2, 10), slice(3, 12))
    mask[place] = ~mask[place]
    assert filters.rectangle(mask) is None


@every_dtype
@every_mask
@every_size
def test_filled_holes_are_those_of_plain_torch(dtype: torch.dtype, name: str, size: tuple[int, int]) -> None:
    mask = masked(name, size)

    def filled(image: Tensor, mask: Tensor) -> Tensor:
        return filters.fill_holes(image, mask, gaussian(2.0), 1e-3)

    image = spoilt(texture(size, dtype) + 5, mask)
    ours = filled(image, mask)
    torch.testing.assert_close(ours, by_torch(filled, image, mask), rtol=1e-6, atol=1e-6)  # sums over few weights
    torch.testing.assert_close(ours[mask], image[mask], rtol=0, atol=0)
    assert ours.isfinite().all()


@every_size
def test_around_a_rectangle_stand_its_nearest_pixels(size: tuple[int, int]) -> None:
    image, mask = texture(size), masked("rectangle", size)
    box = filters.rectangle(mask)
    if box is None:
        pytest.skip("too small for a rectangle")

    def filled(image: Tensor, _: Tensor) -> Tensor:
        return filters.fill_around(image, *box)

    ours = filled(spoilt(image, mask), mask)
    torch.testing.assert_close(ours, by_torch(filled, spoilt(image, mask), mask), rtol=0, atol=0)


@every_dtype
@every_mask
@every_size
@pytest.mark.parametrize("longest", [1, 4, 60])
def test_filled_gaps_are_those_of_plain_torch(
    dtype: torch.dtype, name: str, size: tuple[int, int], longest: int
) -> None:
    mask = masked(name, size)

    def filled(image: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        return filters.fill_gaps(image, mask, longest)

    image = spoilt(texture(size, dtype), mask)
    (ours, valid), (expected, where) = filled(image, mask), by_torch(filled, image, mask)
    torch.testing.assert_close(ours, expected, equal_nan=True, **rounding(dtype))
    torch.testing.assert_close(valid, where)
    torch.testing.assert_close(ours.isfinite(), valid)
    assert (ours is image) == bool((valid == mask).all())


@every_mask
@pytest.mark.parametrize(
    "dtype",
    [torch.uint8, torch.int8, torch.int16, torch.uint16, torch.int32, torch.int64, torch.float16, torch.bfloat16,
     torch.float32, torch.float64],
)  # fmt: skip
@pytest.mark.parametrize("size", [(41, 300), (16, 16), (300, 400)])
def test_standardized_pixels_are_those_of_plain_torch(dtype: torch.dtype, name: str, size: tuple[int, int]) -> None:
    image = (texture(size) * 20 + 60).clamp(0, 120).to(dtype)
    if dtype.is_floating_point:
        image[0, :3] = torch.tensor([torch.nan, torch.inf, -torch.inf], dtype=dtype)
    image[7, 7:9] = 55

    def standardized(image: Tensor, mask: Tensor) -> pixels.Standardized:
        return pixels.standardized(image, mask, (55.0, 3.0))

    mask = masked(name, size)
    ours, expected = standardized(image, mask), by_torch(standardized, image, mask)
    # Once rounded, or twice: a unit in the last place of numbers up to four.
    torch.testing.assert_close(ours.image, expected.image, rtol=0, atol=1e-6)
    torch.testing.assert_close(ours.mask, expected.mask)
    assert (ours.count, ours.low, ours.high) == (expected.count, expected.low, expected.high)
    assert not ours.mask[7, 7]
    assert (ours.image is None) == (name in ("none", "a single pixel"))


@pytest.mark.parametrize("scale", [1e-320, 1e-300, 1e-160, 1e-20, 1e20, 1e160, 1e300])
@pytest.mark.parametrize("offset", [0.0, 1e3])
def test_pixels_of_any_scale_are_standardized(scale: float, offset: float) -> None:
    image = texture((40, 50))
    found = pixels.standardized((image + offset) * scale, None, ())
    assert found.image is not None
    # Numbers below 1e-308 have few digits left.
    expected = ((image - image.mean()) / image.std(correction=0)).float()
    torch.testing.assert_close(found.image, expected, rtol=0, atol=1e-3 if scale < 1e-310 else 1e-5)


def test_a_sum_beyond_float64_has_no_standardized_image() -> None:
    assert pixels.standardized(texture((40, 50)) * 1e308, None, ()).image is None


def test_outliers_and_offsets_cost_no_digits() -> None:
    """Also where the first pixel, about which the squares are summed, is the outlier."""
    image = texture((200, 300))
    image[0, 0] = 1e5
    image += 1e9
    found = pixels.standardized(image, None, ())
    assert found.image is not None
    expected = (image - image.mean()) / image.std(correction=0)
    torch.testing.assert_close(found.image, expected.float(), rtol=1e-6, atol=1e-7)  # float32


@every_dtype
@every_mask
@every_size
@pytest.mark.parametrize(("excess", "ranges"), [(0.0, 0.3), (1.0, 0.0), (9.0, 9.0)])
def test_single_pixels_are_those_of_plain_torch(
    dtype: torch.dtype, name: str, size: tuple[int, int], excess: float, ranges: float
) -> None:
    image, mask = texture(size, dtype), masked(name, size)

    def places(image: Tensor, mask: Tensor) -> Tensor:
        return pixels.single_pixels(image, mask, excess, ranges)

    ours, expected = places(image, mask), by_torch(places, image, mask)
    torch.testing.assert_close(ours, expected)
    if (size, name, excess) == ((41, 300), "all", 0.0):
        assert (ours >= 0).any()
        assert (ours < 0).any()


@every_dtype
@every_size
def test_images_without_single_pixels_are_those_of_plain_torch(dtype: torch.dtype, size: tuple[int, int]) -> None:
    def clamped(image: Tensor, _: Tensor) -> Tensor:
        return pixels.without_single_pixels(image)

    image = texture(size, dtype)
    torch.testing.assert_close(clamped(image, image), by_torch(clamped, image, image), rtol=0, atol=0)


FILTERS: dict[str, Filter] = {
    "smooth": lambda image, mask: filters.smooth(image, mask, gaussian(2.0), 0.5),
    "smooth and decimate": lambda image, mask: filters.smooth(image, mask, gaussian(1.0), 0.5, 2),
    "fill_holes": lambda image, mask: filters.fill_holes(image, mask, gaussian(2.0), 1e-3),
    "fill_around": lambda image, _: filters.fill_around(image, slice(3, 90), slice(5, 200)),
    "fill_gaps": lambda image, mask: filters.fill_gaps(image, mask, 3),
    "standardized": lambda image, mask: pixels.standardized(image, mask, ()).image,
    "single_pixels": lambda image, mask: pixels.single_pixels(image, mask, 0.0, 0.3),
    "without_single_pixels": lambda image, _: pixels.without_single_pixels(image),
}


@pytest.mark.parametrize("name", ["all", "rectangle", "holes"])
@pytest.mark.parametrize("filter_name", FILTERS)
def test_threads_and_strides_change_no_bit(filter_name: str, name: str) -> None:
    image, mask, before = texture((401, 500), torch.float32), masked(name, (401, 500)), torch.get_num_threads()
    results = []
    for threads in (1, 4):
        torch.set_num_threads(threads)
        results.append(FILTERS[filter_name](image, mask))
    torch.set_num_threads(before)
    results.append(FILTERS[filter_name](image.T.contiguous().T, mask.T.contiguous().T))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=0, atol=0)


def test_a_gradient_is_taken_through_plain_torch() -> None:
    image = texture((9, 11)).requires_grad_()
    mask = masked("holes", (9, 11))
    assert torch.autograd.gradcheck(lambda image: filters.smooth(image, mask, gaussian(1.0), 0.1)[0], image)
