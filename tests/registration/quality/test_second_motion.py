"""Parts of a scene that move by a transform of their own are told; other scenes have none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.registration.analytic import Scene, level
from zncc_cli.registration.inputs.orientation_map import OrientedPair
from zncc_cli.registration.quality.second_motion import second_motion


def two_depths(share: float, apart: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a scene in two views, of which the lower ``share`` lies ``apart`` pixels off along x."""
    y, x = np.mgrid[:256, :300].astype(float)
    off = np.where(y >= 256 * (1 - share), apart, 0.0)
    return Scene(1).image((256, 300)), Scene(1)(np.stack([x - off, y], axis=-1))


@pytest.mark.parametrize(("share", "expected"), [(0.5, 1.0), (0.0, 0.0)])
def test_a_part_that_lies_elsewhere_is_a_second_motion(share: float, expected: float) -> None:
    pair = OrientedPair.of(*(level(image) for image in two_depths(share, 18.0)))
    # Blocks with all their surroundings of 32 pixels in the frame are few: one of the lower part counts for a tenth.
    assert second_motion(pair, np.eye(3)) == pytest.approx(expected, abs=0.25)


def test_unrelated_scenes_have_no_second_motion() -> None:
    pair = OrientedPair.of(*(level(Scene(seed).image((256, 300))) for seed in (1, 2)))
    assert second_motion(pair, np.eye(3)) == 0
