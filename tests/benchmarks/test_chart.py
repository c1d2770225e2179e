"""Pictures of the benchmarks where matplotlib is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.common import chart


def test_without_matplotlib_a_line_says_that_there_is_no_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert chart.save(tmp_path / "a.svg", 1, 1, lambda figure: None) == []
    assert "no picture a.svg: matplotlib is not installed" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())
