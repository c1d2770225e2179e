"""Every command keeps its promises for random options, sizes, dtypes and files.

The examples are the same in each run. `make soak` draws others for as long as you like.
"""

from __future__ import annotations

from collections import Counter

import pytest
from cases import KINDS, Case
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from promises import check_promises

from zncc_cli.errors import ExitCode

# How many commands are run: about ten seconds of each.
EXAMPLES = {"zncc-align": 30, "zncc-stdmap": 40, "stack": 30, "apply": 40, "points": 60, "register": 30}
SEED = 3  # of all examples: one that Hypothesis derives from the text of a test would change with every renaming
SHORT = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a failing case can be run again as it is; shrinking it would take minutes
    suppress_health_check=list(HealthCheck),
)


def assert_promises_kept(cases: st.SearchStrategy[Case], count: int) -> None:
    """Run ``count`` cases; at least a quarter must finish with a result, because the others test only refusals."""
    codes: Counter[int] = Counter()

    @seed(SEED)
    @settings(SHORT, max_examples=count)
    @given(cases)
    def run(case: Case) -> None:
        codes[check_promises(case)] += 1

    run()
    assert codes[ExitCode.OK] + codes[ExitCode.NOT_TRUSTED] + codes[ExitCode.INCOMPLETE] >= count / 4, codes


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_keeps_its_promises(kind: str) -> None:
    assert_promises_kept(KINDS[kind](), EXAMPLES[kind])


@pytest.mark.parametrize("kind", ["zncc-align", "zncc-stdmap", "stack", "apply"])
def test_a_command_keeps_its_promises_with_a_side_beyond_1024_pixels(kind: str) -> None:
    """Pictures of such images are downsampled."""
    assert_promises_kept(KINDS[kind](long=True), EXAMPLES[kind] // 2)
