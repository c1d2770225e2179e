"""The share of what both images show that agrees is that of the part which is in place."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, level
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.quality.agreeing_share import agreeing_share
from zncc_cli.registration.register import register

SHAPE = (256, 300)


def with_part_elsewhere(share: float) -> tuple[np.ndarray, np.ndarray]:
    """Return two images of a scene, of which the moving one shows another scene in its lower ``share``."""
    fixed, other = (Scene(seed).image(SHAPE) for seed in (1, 2))
    moving = fixed.copy()
    first = round(SHAPE[0] * (1 - share))
    moving[first:] = other[first:]
    return fixed, moving


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5])
def test_the_share_that_agrees_is_that_of_the_part_in_place(share: float) -> None:
    pair = OrientedPair.of(*(level(image) for image in with_part_elsewhere(share)))
    # A row of sixteen blocks lies across the seam, and of the other scene's blocks a tenth agrees by chance.
    assert agreeing_share(pair, np.eye(3)) == pytest.approx(1 - share, abs=0.12)


def test_flat_ground_has_no_share() -> None:
    image = np.zeros(SHAPE)
    image[100:110, 100:110] = np.random.default_rng(0).normal(size=(10, 10))
    assert agreeing_share(OrientedPair.of(level(image), level(image)), np.eye(3)) is None


def test_a_result_that_leaves_much_out_says_so() -> None:
    whole, part = (register(*with_part_elsewhere(share), "translation") for share in (0.0, 0.4))
    assert not any("is alike where" in note for note in whole.notes)
    assert (whole.evidence.agreeing_share or 0) > 0.95
    assert part.status != "ok" or any("is alike where" in note for note in part.notes)
