"""Values that stand for "no data" though nobody says so: gaps of a scan, dead lines, zeros where nothing was measured.

Pixels of exactly one value are common: black ground, saturation, drawings, labels. They belong to the scene where it
comes near to that value around them. A value is taken as no data where the pixels next to it are like any others of
the image: what lies there was cut out of the scene without regard to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from numpy.random import default_rng  # here: numpy loads it when it is first asked for, and swallows an interrupt
from numpy.typing import NDArray

from zncc_cli.config import AUTO, NONE

_SMALLEST = 1e-300
_T = TypeVar("_T", bound=np.generic)
Rows = Callable[[slice], tuple[NDArray[np.generic], NDArray[np.bool_]]]

_SAMPLE = 2**14  # pixels that are drawn to find frequent values
# Of the pixels: a value that is rarer does little harm, and one that most of them have is the ground of the scene.
_LEAST_SHARE, _MOST_SHARE = 0.005, 0.5
_SPIKE = 4.0  # times as frequent as the values next to it: others are ordinary grey levels
_CANDIDATES = 3  # values that are looked at closely
_STRIPS, _STRIP_PIXELS = 8, 2**16  # of rows, all over the image, in which their surroundings are looked at
_LEAST_ROWS = 24  # of a strip: gaps are cut off at its edges
# The largest distance between the distribution of the pixels beside the value and that of all others (Kolmogorov and
# Smirnov's). On 240 images with gaps it came to 0.05 at most; on 521 images without, where the value was no single
# noisy pixel and the rest not flat, it was above 0.2 (black ground, saturation, a frame with a caption).
_MOST_DISTANCE = 0.1
# Of neighbours in what is left, that are of one value: drawings, labels and binary images have 0.8 and more, grey
# images of 8 bit at most 0.4.
_MOST_FLAT = 0.5
# How much likelier than by chance a pixel beside one of the value has it too. Noise that is cut off at the end of the
# range comes to 0.14, lines and patches to 0.47 and more. Below it the value must lie apart from all others: of these
# the share within a tenth of their standard deviation must be below a fiftieth of the value's (clipped noise: a tenth).
_LEAST_COHERENCE = 0.25
_NEAR, _MOST_NEAR = 0.1, 0.02
# Correlation of neighbours in what is left. Scenes have 0.8 and more, with noise as strong as the texture 0.4; sparse
# events (photons, localizations) on a ground of zeros have none, and their zeros lie as gaps would.
_LEAST_RELATED = 0.25
# A value that lies beyond all others by more than their whole range (-9999 among grey levels) belongs to no scene.
_APART = 1.0


def no_data_values(read: Rows, shape: tuple[int, int], no_data: str = AUTO) -> tuple[float, ...]:
    """Return the values that stand for no data in an image, none as a rule.

    Args:
        read: rows -> their values (h, W), real, and which of them count, bool (h, W).
        shape: (H, W) of the image.
        no_data: ``auto`` to find them, ``none``, or the value; as in `zncc_cli.config.RegistrationConfig`.
    """
    if no_data != AUTO:
        return () if no_data == NONE else (float(no_data),)
    height, width = shape
    rows = max(_LEAST_ROWS, _STRIP_PIXELS // width)
    if _STRIPS * rows >= height:
        strips = [slice(0, height)]
    else:
        strips = [slice(first, first + rows) for first in np.linspace(0, height - rows, _STRIPS).astype(int).tolist()]
    parts = [read(strip) for strip in strips]
    known = np.concatenate([values[counts] for values, counts in parts])
    if known.size < _SAMPLE // 16:
        return ()
    drawn = known[default_rng(0).integers(0, known.size, _SAMPLE)]
    values, count = np.unique(drawn, return_counts=True)
    found = list[float]()
    for at in np.argsort(-count)[:_CANDIDATES].tolist():
        beside = max(count[max(0, at - 1) : at].tolist() + count[at + 1 : at + 2].tolist(), default=0)
        frequent = count[at] >= max(_LEAST_SHARE * _SAMPLE, _SPIKE * beside)
        if frequent and _is_cut_out(parts, values[at]):
            found.append(float(values[at]))
    return tuple(found)


def gap_note(name: str, value: float) -> str:
    """Return a sentence that says that pixels of ``value`` are no data."""
    return f"{gap_words(name, value)}, and are left out of registration and maps as no data"


def gap_words(name: str, value: float) -> str:
    """Return what of an image lies like gaps."""
    return f"{name}: pixels of exactly {value:g} lie in the scene like gaps"


def _is_cut_out(parts: list[tuple[NDArray[np.generic], NDArray[np.bool_]]], value: np.generic) -> bool:
    """Tell whether the pixels of a value were cut out of the scene without regard to what lies there."""
    beside, others = list[NDArray[np.float64]](), list[NDArray[np.float64]]()
    neighbours = list[NDArray[np.float64]]()
    alike = pairs = within = at_edge = pixels = 0
    for grey, counts in parts:
        of_value: NDArray[np.bool_] = (grey == value) & counts
        rest = counts & ~of_value
        near = np.zeros_like(of_value)
        for axis in (0, 1):
            first, second = _neighbours(grey, axis)
            (a, b), (a_rest, b_rest) = _neighbours(of_value, axis), _neighbours(rest, axis)
            pairs += int((a_rest & b_rest).sum())
            alike += int(((first == second) & a_rest & b_rest).sum())
            neighbours.append(np.stack((first[a_rest & b_rest], second[a_rest & b_rest])).astype(np.float64))
            within += 2 * int((a & b).sum())
            at_edge += int(((a & b_rest) | (b & a_rest)).sum())
            for part, touched in zip(_neighbours(near, axis), (b, a), strict=True):
                np.logical_or(part, touched, out=part)
        pixels += int(counts.sum())
        others.append(grey[rest].astype(np.float64))
        beside.append(grey[rest & near].astype(np.float64))
    edge, scene = np.concatenate(beside), np.concatenate(others)
    share = 1 - scene.size / pixels
    if not edge.size or not pairs or share > _MOST_SHARE or alike > _MOST_FLAT * pairs:
        return False
    low, high = float(scene.min()), float(scene.max())
    if max(low - float(value), float(value) - high) > _APART * (high - low):
        return True
    first, second = np.concatenate(neighbours, axis=1)
    if _distance(edge, scene) > _MOST_DISTANCE or _correlation(first, second) < _LEAST_RELATED:
        return False
    coherence = (within / (within + at_edge) - share) / (1 - share)
    close = float((np.abs(scene - float(value)) < _NEAR * scene.std()).mean())
    return coherence > _LEAST_COHERENCE or close < _MOST_NEAR * share


def _neighbours(plane: NDArray[_T], axis: int) -> tuple[NDArray[_T], NDArray[_T]]:
    return (plane[:-1], plane[1:]) if axis == 0 else (plane[:, :-1], plane[:, 1:])


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float((a * b).sum() / max(math.sqrt(float((a * a).sum() * (b * b).sum())), _SMALLEST))


def _distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Return the largest difference between the distribution functions of two samples."""
    a, b = np.sort(a), np.sort(b)
    here, there = (np.searchsorted(one, a, side="right") / one.size for one in (a, b))
    return float(np.abs(here - there).max())
