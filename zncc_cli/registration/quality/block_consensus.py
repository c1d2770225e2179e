"""Whether the parts of two images, each for itself, find the place that was found for the whole.

The overlap is cut into blocks. Each block of the fixed image is compared with the aligned moving image at all shifts
of up to `_REACH` pixels, by the orientation of edges (`inputs.orientation_map`), and decides for one of them or for
none (`metric.block_surfaces`). With n blocks that decide and k of them for no shift, the consensus is

    -log10 P(at least k - m of n - m),    by chance each with the probability that a random shift is none

where m is how many blocks the parameters of the model can bring to agree by themselves, two a block. Unrelated images
give what chance gives, whatever their spectra, since a block is compared with its own surroundings only.

The a-contrario test of Desolneux, Moisan and Morel 2000, "Meaningful alignments", doi:10.1023/A:1026593302236.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from zncc_cli.config import Model
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.metric.block_surfaces import BLOCK_PX
from zncc_cli.registration.quality.bounds import MIN_CONSENSUS
from zncc_cli.registration.transforms.linear import LinearTransform

REACH_PX = 14  # pixels of a level: the largest shift along an axis
# Blocks overlap by half, so that it matters less where the first one begins; every pixel counts once.
STEP_PX = BLOCK_PX // 2
_SHARE = (STEP_PX / BLOCK_PX) ** 2
# Shifts up to this long are none: half of a window of the texture maps, which find the place. So are most of those in
# scenes of some depth, where no one transform is right everywhere.
SAME_PX = 3.5
_SECOND_TRY = math.log10(2)  # of a consensus: either of two tries has by chance what each has in half of the cases


@dataclass(frozen=True)
class Consensus:
    """How far the blocks of a level agree on a place.

    Attributes:
        significance: of their number, 0 to about 300: 4 is one chance in ten thousand.
        tolerance: to within how many full-resolution pixels of it they do.
    """

    significance: float
    tolerance: float


def block_consensus(pair: OrientedPair, matrix: np.ndarray, model: Model) -> Consensus:
    """Return the consensus of the blocks of the fixed image.

    Args:
        pair: both images, as blocks are compared.
        matrix: (3, 3), fixed -> moving, full-resolution pixels.
        model: of the matrix.
    """
    found = pair.shifts(pair.at_level(matrix), REACH_PX, STEP_PX)
    same = torch.hypot(*found.shifts.unbind(dim=1)) <= SAME_PX
    free = math.ceil(LinearTransform(model, (2, 2)).size / 2)
    count, hits = (round(_SHARE * number) - free for number in (len(same), int(same.sum())))
    lengths = np.hypot(*np.mgrid[-REACH_PX : REACH_PX + 1, -REACH_PX : REACH_PX + 1])
    return Consensus(significance(hits, count, float((lengths <= SAME_PX).mean())), SAME_PX * pair.factor)


def clearest_consensus(pair: OrientedPair, matrix: np.ndarray, model: Model) -> Consensus:
    """Return the consensus of the blocks; where they are too few, that of the finer level, if it is clearer.

    A finer level has four times as many blocks. It is a second try for chance, whose price is taken from it.

    Arguments as of `block_consensus`.
    """
    found = block_consensus(pair, matrix, model)
    if found.significance >= MIN_CONSENSUS or pair.finer is None:
        return found
    finer = block_consensus(pair.finer, matrix, model)
    finer = replace(finer, significance=max(0.0, finer.significance - _SECOND_TRY))
    return max(found, finer, key=lambda each: each.significance)


def significance(hits: int, count: int, chance: float) -> float:
    """Return -log10 of the probability of at least so many hits among ``count``, each of probability ``chance``.

    In logarithms: of some hundred hits the probability itself is no float64 any more.
    """
    if hits <= 0:
        return 0.0
    k = range(hits, count + 1)
    logs = np.array([math.lgamma(count + 1) - math.lgamma(i + 1) - math.lgamma(count - i + 1) for i in k])
    logs += np.array(k) * math.log(chance) + (count - np.array(k)) * math.log1p(-chance)
    return max(0.0, -float(np.logaddexp.reduce(logs)) / math.log(10))
