"""Every command keeps its promises whatever it is given: options, sizes, dtypes and files drawn at random.

The examples are the same at each run. `make soak` draws others for as long as one likes.
"""

from __future__ import annotations

from collections import Counter

import pytest
from cases import KINDS, Case
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from promises import keep

from zncc_cli.errors import ExitCode

# How many commands are run: about ten seconds of each.
EXAMPLES = {"zncc-align": 30, "zncc-stdmap": 40, "stack": 30, "apply": 40, "points": 60, "register": 30}
SHORT = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # a case is a command that runs again: no minutes are spent to make it smaller
    suppress_health_check=list(HealthCheck),
)


def assert_kept(cases: st.SearchStrategy[Case], count: int) -> None:
    """Run ``count`` cases, of which a quarter at least must come to a result: the others say nothing of results."""
    codes: Counter[int] = Counter()

    @settings(SHORT, max_examples=count)
    @given(cases)
    def kept(case: Case) -> None:
        codes[keep(case)] += 1

    kept()
    assert codes[ExitCode.OK] + codes[ExitCode.NOT_TRUSTED] + codes[ExitCode.SOME_FAILED] >= count / 4, codes


@pytest.mark.parametrize("kind", KINDS)
def test_a_command_keeps_its_promises(kind: str) -> None:
    assert_kept(KINDS[kind](), EXAMPLES[kind])


@pytest.mark.parametrize("kind", ["zncc-align", "zncc-stdmap", "stack", "apply"])
def test_a_command_keeps_its_promises_with_a_side_beyond_1024_pixels(kind: str) -> None:
    """Beyond it pictures are reduced."""
    assert_kept(KINDS[kind](long=True), EXAMPLES[kind] // 2)
