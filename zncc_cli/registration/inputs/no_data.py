"""Find the values that stand for "no data" in an image: gaps of a scan, dead lines, zeros where nothing was measured.

Pixels of exactly one value are common: black ground, saturation, drawings, labels. They belong to the scene where the
pixels around them come near to that value. A value is taken as no data where the pixels next to it are like any others
of the image: its pixels were cut out of the scene without regard to the scene.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.random import default_rng  # here: numpy loads it when it is first asked for, and swallows an interrupt
from numpy.typing import NDArray

from zncc_cli.config import AUTO, NONE

_TINY = 1e-300
_T = TypeVar("_T", bound=np.generic)
Rows = Callable[[slice], tuple[NDArray[np.generic], NDArray[np.bool_]]]

_SAMPLE_PIXELS = 2**14  # drawn to find frequent values
# Of the pixels: a value that is rarer does little harm, and one that most of them have is the ground of the scene.
_MIN_SHARE, _MAX_SHARE = 0.005, 0.5
_SPIKE_RATIO = 4.0  # times as frequent as the values next to it: others are ordinary grey levels
_CANDIDATES = 3  # the most frequent values, which are examined
_STRIPS, _STRIP_PIXELS = 8, 2**16  # of rows, all over the image, in which the surroundings of a value are examined
_MIN_STRIP_ROWS = 24  # gaps are cut off at the edges of a strip
# The largest distance between the distribution of the pixels beside the value and that of all others (Kolmogorov and
# Smirnov's). On 240 images with gaps it came to 0.05 at most; on 521 images without, where the value was no single
# noisy pixel and the rest not flat, it was above 0.2 (black ground, saturation, a frame with a caption).
_MAX_DISTANCE = 0.1
# Of neighbours in what is left, that are of one value: drawings, labels and binary images have 0.8 and more, grey
# images of 8 bit at most 0.4.
_MAX_FLAT = 0.5
# How much likelier than by chance a pixel beside one of the value has it too. Noise that is cut off at the end of the
# range comes to 0.14, lines and patches to 0.47 and more. Below it the value must lie apart from all others: of these
# the share within a tenth of their standard deviation must be below a fiftieth of the value's (clipped noise: a tenth).
_MIN_COHERENCE = 0.25
_CLOSE_SIGMAS, _MAX_CLOSE = 0.1, 0.02
# Correlation of neighbours in what is left. Scenes have 0.8 and more, with noise as strong as the texture 0.4; sparse
# events (photons, localizations) on a ground of zeros have none, and their zeros lie as gaps would.
_MIN_CORRELATION = 0.25
_DISTRIBUTION_PIXELS = 2**16
# A value that lies beyond all others by more than their whole range (-9999 among grey levels) belongs to no scene.
_MIN_GAP_RANGES = 1.0


def no_data_values(read: Rows, shape: tuple[int, int], no_data: str = AUTO) -> tuple[float, ...]:
    """Return the values that stand for no data in an image; most images have none.

    Args:
        read: rows -> their values (h, W), real, and which of them count, bool (h, W).
        shape: (H, W) of the image.
        no_data: ``auto`` to find the values, ``none``, or the value; as in `zncc_cli.config.RegistrationConfig`.
    """
    if no_data != AUTO:
        return () if no_data == NONE else (float(no_data),)
    height, width = shape
    rows = max(_MIN_STRIP_ROWS, _STRIP_PIXELS // width)
    if _STRIPS * rows >= height:
        strips = [slice(0, height)]
    else:
        strips = [slice(first, first + rows) for first in np.linspace(0, height - rows, _STRIPS).astype(int).tolist()]
    parts = [read(strip) for strip in strips]
    sizes = [int(np.count_nonzero(counts)) for _, counts in parts]
    if sum(sizes) < _SAMPLE_PIXELS // 16:
        return ()
    places = _drawn_places(sum(sizes))
    drawn = np.split(places, np.searchsorted(places, np.cumsum(sizes)[:-1]))
    sample = np.concatenate(
        [
            (values if size == values.size else values[counts]).reshape(-1)[place - before]
            for (values, counts), size, place, before in zip(
                parts, sizes, drawn, np.cumsum([0, *sizes[:-1]]), strict=True
            )
        ]
    )
    values, count = np.unique(sample, return_counts=True)
    gaps = list[float]()
    for i in np.argsort(-count)[:_CANDIDATES].tolist():
        next_to = max(count[max(0, i - 1) : i].tolist() + count[i + 1 : i + 2].tolist(), default=0)
        frequent = count[i] >= max(_MIN_SHARE * _SAMPLE_PIXELS, _SPIKE_RATIO * next_to)
        if frequent and _is_cut_out(parts, values[i]):
            gaps.append(float(values[i]))
    return tuple(gaps)


@lru_cache(maxsize=8)
def _drawn_places(count: int) -> NDArray[np.int64]:
    """Return which of ``count`` pixels are drawn, rising: the same for all images of as many."""
    places = np.sort(default_rng(0).integers(0, count, _SAMPLE_PIXELS))
    places.setflags(write=False)
    return places


def gap_note(name: str, value: float) -> str:
    """Return the note that pixels of ``value`` in the image ``name`` are left out as no data."""
    return f"{gap_words(name, value)}, and are left out of registration and maps as no data"


def gap_words(name: str, value: float) -> str:
    """Return the beginning of a note: which value of the image ``name`` lies in the scene like gaps."""
    return f"{name}: pixels of exactly {value:g} lie in the scene like gaps"


def _is_cut_out(parts: list[tuple[NDArray[np.generic], NDArray[np.bool_]]], value: np.generic) -> bool:
    """Tell whether the pixels of a value were cut out of the scene without regard to what lies there."""
    beside, others = list[NDArray[np.generic]](), list[NDArray[np.generic]]()
    # Pairs of neighbours: in the rest, and of one value in it; and pixels beside one of the value, with it and without.
    pairs = alike = within = at_edge = pixels = 0
    for grey, counts in parts:
        of_value: NDArray[np.bool_] = (grey == value) & counts
        rest = counts & ~of_value
        near = np.zeros_like(of_value)
        for axis in (0, 1):
            first, second = _neighbours(grey, axis)
            (a, b), (a_rest, b_rest) = _neighbours(of_value, axis), _neighbours(rest, axis)
            both = a_rest & b_rest
            pairs += int(np.count_nonzero(both))
            alike += int(np.count_nonzero((first == second) & both))
            within += 2 * int(np.count_nonzero(a & b))
            at_edge += int(np.count_nonzero((a & b_rest) | (b & a_rest)))
            for part, touched in zip(_neighbours(near, axis), (b, a), strict=True):
                np.logical_or(part, touched, out=part)
        pixels += int(np.count_nonzero(counts))
        others.append(grey[rest])
        beside.append(grey[rest & near])
    edge, scene = np.concatenate(beside), np.concatenate(others)
    share = 1 - scene.size / pixels
    if not edge.size or not pairs or share > _MAX_SHARE or alike > _MAX_FLAT * pairs:
        return False
    low, high = float(scene.min()), float(scene.max())
    if max(low - float(value), float(value) - high) > _MIN_GAP_RANGES * (high - low):
        return True
    if _distance(edge, scene) > _MAX_DISTANCE:
        return False
    grey_levels = scene.astype(np.float64)
    if _correlation_without(parts, value, float(grey_levels.mean())) < _MIN_CORRELATION:
        return False
    coherence = (within / (within + at_edge) - share) / (1 - share)
    close = float((np.abs(grey_levels - float(value)) < _CLOSE_SIGMAS * grey_levels.std()).mean())
    return coherence > _MIN_COHERENCE or close < _MAX_CLOSE * share


def _correlation_without(
    parts: list[tuple[NDArray[np.generic], NDArray[np.bool_]]], value: np.generic, centre: float
) -> float:
    """Return the correlation of neighbours that count and have not the value; ``centre``: their mean, or near it."""
    sums = np.zeros(6)
    for grey, counts in parts:
        rest = counts & (grey != value)
        x = np.where(rest, grey.astype(np.float64) - centre, 0)
        planes = rest.astype(np.float64), x, x * x
        for axis in (0, 1):
            (r, r_next), (v, v_next), (vv, vv_next) = (_neighbours(plane, axis) for plane in planes)
            pairs = (r, r_next), (v, r_next), (r, v_next), (vv, r_next), (r, vv_next), (v, v_next)
            sums += [np.einsum("ij,ij->", *pair) for pair in pairs]
    n, a, b, aa, bb, ab = sums.tolist()
    return (ab - a * b / n) / max(math.sqrt(max((aa - a * a / n) * (bb - b * b / n), 0)), _TINY)


def _neighbours(plane: NDArray[_T], axis: int) -> tuple[NDArray[_T], NDArray[_T]]:
    """Return the first and the second pixel of all pairs of neighbours along an axis, as views of ``plane``."""
    return (plane[:-1], plane[1:]) if axis == 0 else (plane[:, :-1], plane[:, 1:])


def _distance(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Return the largest difference between the distribution functions of two samples, at the values of the first."""
    # Every so many of the second, whose distribution they tell to a two hundredth.
    b = b[:: max(1, b.size // _DISTRIBUTION_PIXELS)]
    a, b = (np.sort(sample, kind="stable" if sample.itemsize <= 2 else None) for sample in (a, b))  # digit by digit
    places = np.append(np.flatnonzero(a[1:] != a[:-1]), a.size - 1)  # the last of each value
    share_a, share_b = (places + 1) / a.size, np.searchsorted(b, a[places], side="right") / b.size
    return float(np.abs(share_a - share_b).max())
