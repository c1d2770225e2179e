"""The live table of a batch, on a real terminal."""

from __future__ import annotations

import pytest
from conftest import SAMPLES, Run
from terminal import run_on_terminal

from zncc_cli.text import span


def test_a_terminal_shows_what_is_done_and_the_rest_goes_to_stdout(run: Run) -> None:
    code, stdout, shown = run_on_terminal(run.folder, "zncc-batch", SAMPLES / "batch", "-o", "out", "-m", "rigid")
    assert code == 0
    assert "3 of 3 pairs aligned" in stdout
    for word in ("done", "suspect", "failed", "pairs/s", "time left", "3/3", "━"):
        assert word in shown, shown


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (187, "3:07 min"), (45900, "12:45 h")]
)
def test_time_left_in_words(seconds: float, text: str) -> None:
    assert span(seconds) == text
