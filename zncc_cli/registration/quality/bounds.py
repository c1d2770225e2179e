"""The bounds of the verdict, each with the data that set it, and the statistic that most of them bound.

Bounds were set on one half of the pairs of `benchmarks` (trust: 120 right results, 80 pairs that cannot be aligned) and
tested on the other half, where not said otherwise.
"""

from __future__ import annotations

import math

import numpy as np

# Of 81 unrelated pairs (noise, random scenes, different photographs) on which the search and the optimiser had done
# their best, none came above 51; of 56 pairs that were aligned, none below 85 (docs/method.md, "Verdict").
MIN_BLOCK_SIGNIFICANCE = 55.0
# All of n blocks are above zero by chance with a probability of 2^-n: n such blocks count for this times n at most, so
# that fewer than `MIN_BLOCKS` can say nothing.
_MAX_SIGNIFICANCE_PER_BLOCK = 4.0
MIN_BLOCKS = 14
# The best of many places that all agree by chance is hardly better than the next. Of 55 unrelated pairs none stood out
# by more than 1.6, and none whose blocks agreed by more than 1.45; of 26 aligned ones that were searched a noisy brick
# wall, beside itself a period off, stood out by 1.79, the others by more than 2.1.
MIN_START_RATIO = 1.6
# Where the starts do not stand out, the places where they lead on the judged level may: there the other one, too, did
# its best. Of 180 unrelated pairs none that converged came above 2; right ones came to 5.6 and 9.1.
MIN_FINE_RATIO = 3.0
# Of all evidence together (`quality.probability`). On the half of the pairs that it was fitted to wrong results came to
# 0.32 at most, and right ones that are called ok to 0.67 and more, on textures that repeat themselves nearly.
MIN_PROBABILITY = 0.5
# From here on the blocks may agree by less than they must: noise hides the agreement, and the other figures show it. On
# the half that was not fitted wrong results came to 0.71 at most.
BELIEVED_PROBABILITY = 0.9
# And only where noise leaves no more than this to the ZNCC: else nothing hides the agreement, and its lack is one.
NOISY_CEILING = 0.3
# Where a result stands out by this much, less agreement will do, as where noise hides most of it or tissue differs from
# section to section: of 73 unrelated pairs those that stood out by more than 1.8 agreed by less than 13, and those that
# agreed by more than 20 stood out by less than 1.4.
CLEAR_START_RATIO, MIN_SIGNIFICANCE_IF_CLEAR = 1.8, 25.0
# Where blocks agree by less than this share of what is needed, a refinement takes its time for nothing: unrelated
# images are refused without one.
PROMISING_SHARE = 0.5
# Against the best other shift none of the wrong results whose blocks agree stood out by more than 1.8 (textures that
# repeat themselves), of the others none by more than 2.2; of the right ones none by less than 5.3. Photographs come
# lower, down to 2.5: a noisy brick wall of which a third is seen.
MIN_PEAK_RATIO = 2.2
# A place that stands out among the starts, and that blocks find by themselves, need only stand out from what repeats
# itself: a brick wall that was off by many periods came to 1.2 so, and noise of the camera's own pixels to 0.8 at most.
MIN_PEAK_RATIO_IF_CONFIRMED = 1.8
# What stands out by this much leaves no doubt, and more says no more: nearly three times what any wrong result came to.
CLEAR_PEAK_RATIO = 6.0
# Twice the standard deviation is as far as a result may be off to be right: a pixel, or where blocks judge it what they
# tell (`Evidence.consensus_tolerance`). Right ones expected 0.12 at most.
MAX_EXPECTED_ERROR_PX = 0.5
# Halves of the overlap that want to move apart by this much more than chance explains (right ones: 2.8 at most), and by
# pixels that matter.
MAX_FOLD_DISTANCE_RATIO, MIN_FOLD_DISTANCE_PX = 5.0, 0.1
# RMS that a richer model would move the result by. On twenty right results of every damage it is zero, chance explains
# it all; photographs turned by half a degree and registered by a translation show 1.8 to 2.6.
MAX_MODEL_MISFIT_PX = 0.5
# Where noise alone holds a motion it agrees along it by chance: 90 fits of every model to parallel lines and to rings
# came to 6.7 at most; of 120 right results none below 150, the most that so few blocks allow.
MIN_APERTURE_AGREEMENT = 10.0
# On a level of 128 pixels forward and backward may differ by so much; right results differ by 0.42 at most.
MAX_ROUND_TRIP_PX = 0.75
# One chance in a thousand that as many blocks find a place by themselves, of places that stand out. Of 102 pairs
# of unrelated images of different sensors none of the best places that their blocks found came above 1.5. Wrong places
# in images of one scene do: terraces in two seasons to 3.8, a facade a period off to 31 where the right place has 130.
# Of 80 pairs of unrelated images of objects that are all alike (discs, squares) ten came above 3, one to 6.1; neither
# their starts nor their peaks stood out.
MIN_CONSENSUS = 3.0
# Where blocks find a place by themselves so surely, and none of the other shifts that agree nearly as well more than
# chance does (`MIN_CONSENSUS`), they tell it apart: twice what objects that are all alike came to. A place that is off
# by a period has the right one among the others, and that has a consensus of its own.
CLEAR_CONSENSUS = 12.0
# Where blocks agree on a place, they do so to within half of the texture maps' windows of seven pixels, and to within
# what they take for the same place on their level: what a richer model changes by less they cannot tell.
MAX_TEXTURE_MISFIT_PX = 3.5
# Where brightness explains less than this share of what noise leaves to it, the images differ by what they show, and a
# richer model by brightness fits that, not the motion. A photograph of which 30 percent are saturated comes to 0.48.
MIN_EXPLAINED_SHARE = 0.25
# What both images show agrees by more than this, where noise does not hide it: of 120 right results that blocks did not
# confirm 0.47 is the least; a single cell that was put in place, and walls of a scene with depth, came to 0.22 to 0.35.
MIN_SIGNAL_AGREEMENT = 0.35
# Parts that another transform explains, over those that the result does. Clouds that moved come to 0.13, a wall beside
# the one that was aligned to 0.32; scenes of two and more depths, off by a median of 20 to 90 px, to 0.54 and more.
MAX_SECOND_MOTION = 0.5
# Where less of what both images show agrees, a note says so. It is no doubt: images of other sensors, and noise that is
# not heavy, come as low. Where a fifth of the scene is hidden 0.85 agrees and more; of two scenes with depth, of which
# one wall is aligned, 0.54 and 0.59.
NOTED_AGREEING_SHARE = 0.7
# RMS over the overlap, by parts that lie elsewhere: what is right is off by less than a pixel.
MAX_LEFT_BEHIND_PX = 1.0
# Where it explains this share or more, they are images of one kind, that look alike: their parts tell a pixel, and what
# is in doubt by brightness, but for a repetition, stays so. Of 21 pairs of different sensors that end ok by texture one
# came to more, to 0.71.
MIN_ALIKE_SHARE = 0.5
# Of the ZNCC of all windows, what half of them must be able to say of the other half: 0.94 and more in right results,
# less than 0.63 in a twentieth of the wrong ones.
MIN_HELD_OUT_SHARE = 0.75
# A pull of a border that matters, at a corner. Frames that hide 8 percent on each side pull by 0.02 to 0.7.
MIN_BORDER_PULL_PX = 0.03
# Without its single pixels a scene agrees nearly as well: by a factor of 1.2 less at most on 19 scenes, of white noise,
# salt, and stars of 1.4 pixels' width among them. Results that hot pixels held lost factors of 88 and more.
MAX_SINGLE_PIXEL_RATIO = 2.0
# What no camera does: beyond it a result is more likely to have slipped. The global search looks for 0.5 to 2. An image
# that is finer than the other one by more is reduced first, and these are the scales of what is registered then.
SCALE_RANGE, MAX_SHEAR = (0.2, 5.0), 3.0
# The loss weighs windows by their signal and the ZNCC does not: a smaller fall of the ZNCC is no contradiction.
ZNCC_TOLERANCE = 0.01
_MIN_ZNCC = 1e-12  # blocks that are all zero agree by nothing


def block_significance(blocks: np.ndarray) -> float | None:
    """Return the mean ZNCC of ``blocks`` (any shape) over the error that chance leaves in it; None with too few blocks.

    NaN is left out. Unrelated images agree here and there and disagree elsewhere, however well the best position was
    chosen: chance scatters blocks to both sides of zero, so the blocks below zero show how much of it there is.
    How unequal the blocks above zero are says nothing, since texture, noise and occlusion differ from place to place.
    """
    values = blocks[np.isfinite(blocks)]
    n = len(values)
    if n < MIN_BLOCKS:
        return None
    chance = math.sqrt(2 * float(np.square(np.minimum(values, 0)).mean()))
    mean = float(values.mean())
    return mean / max(chance / math.sqrt(n), abs(mean) / (_MAX_SIGNIFICANCE_PER_BLOCK * n), _MIN_ZNCC)


def min_block_significance(start_ratio: float | None) -> float:
    """Return the block significance that a result needs whose start stood out by ``start_ratio``."""
    clear = start_ratio is not None and start_ratio >= CLEAR_START_RATIO
    return MIN_SIGNIFICANCE_IF_CLEAR if clear else MIN_BLOCK_SIGNIFICANCE
