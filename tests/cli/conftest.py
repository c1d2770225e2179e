"""The commands run as real processes, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCRIPTS = Path(sysconfig.get_path("scripts"))
SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a command in an empty folder; the result has returncode, stdout and stderr."""
    folder = tmp_path / "work"
    folder.mkdir()

    def runner(command: str, *args: object, wrap: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        line = [*wrap, str(SCRIPTS / command), *map(str, args)]
        env = {**os.environ, "COLUMNS": "200"}
        return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)

    runner.folder = folder  # type: ignore[attr-defined]
    return runner


def assert_one_line_error(got: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Check that a command failed with ``code`` and one clear line on stderr that holds all ``words``."""
    assert got.returncode == code, got.stderr
    assert got.stdout == ""
    lines = got.stderr.strip().splitlines()
    assert len(lines) == 1, got.stderr
    assert ": error: " in lines[0]
    assert "Traceback" not in got.stderr
    for word in words:
        assert word in lines[0], lines[0]
