"""Tables on the terminal."""

import io
import sys

import pytest

from zncc_cli.report.terminal import summary_table

_ROWS = [("zncc", "0.21 -> 0.98"), ("file", "[bold]a[/bold].tif"), ("pairs", 3), ("reason", "long " * 100 + "end")]


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("stream", [io.StringIO, _Terminal])
def test_summary_table_prints_a_line_for_each_row_and_no_markup(stream, monkeypatch):
    monkeypatch.setattr(sys, "stdout", stream())
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    summary_table(_ROWS)
    printed = sys.stdout.getvalue()
    assert [line.split()[0] for line in printed.splitlines()] == ["zncc", "file", "pairs", "reason"]
    assert "[bold]a[/bold].tif" in printed
