"""Each figure of the evidence says what it is, and its lengths are in the pixels of the images."""

from __future__ import annotations

import dataclasses

from zncc_cli.registration.optimizer import Ending
from zncc_cli.registration.quality.evidence import MEASURES, Evidence

# Figures that are lengths: everything that a reader would call a distance.
LENGTHS = {
    "motion",
    "fold_distance",
    "model_misfit",
    "residual_motion",
    "left_behind",
    "round_trip",
    "consensus_tolerance",
    "expected_error",
    "border_pull",
    "distance_beyond_bound",
}


def full() -> Evidence:
    values = {field.name: 2.0 for field in dataclasses.fields(Evidence)}
    return Evidence(**{**values, "ending": Ending.CONVERGED, "border_left_out": True})


def test_every_figure_has_a_label_and_a_meaning() -> None:
    assert list(MEASURES) == [field.name for field in dataclasses.fields(Evidence)]
    for measure in MEASURES.values():
        assert measure.label
        assert measure.meaning.endswith(".")
    assert len({measure.label for measure in MEASURES.values()}) == len(MEASURES)


def test_lengths_and_nothing_else_are_scaled() -> None:
    scaled = dataclasses.asdict(full().scaled(3))
    assert {name for name, value in scaled.items() if value == 6.0} == LENGTHS
    assert all(value == 2.0 for name, value in scaled.items() if name not in {*LENGTHS, "ending", "border_left_out"})


def test_what_could_not_be_computed_stays_so() -> None:
    nothing = Evidence(0.1, 0.2, 0.9, None, Ending.CONVERGED, 4.0)
    assert nothing.scaled(2) == dataclasses.replace(nothing, motion=8.0)


def test_what_noise_leaves_of_the_zncc_is_what_counts() -> None:
    known = dataclasses.replace(full(), zncc_coarse=0.3, zncc_ceiling=0.4)
    assert known.explained == 0.3 / 0.4
    # Below a ceiling of 0.02 noise is all there is: nothing is explained by nothing.
    assert dataclasses.replace(known, zncc_coarse=0.001, zncc_ceiling=0.001).explained == 0.001 / 0.02
    assert dataclasses.replace(known, zncc_ceiling=None).explained is None
