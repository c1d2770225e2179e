"""The commands run as real processes, as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forked import ForkServer, may_be_forked

Run = Callable[..., "subprocess.CompletedProcess[str]"]
SCRIPTS = Path(sysconfig.get_path("scripts"))
_TIMEOUT = 120  # seconds
SAMPLES = Path(__file__).parents[2] / "sample_data"


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    server = ForkServer()
    yield server
    server.close()


@pytest.fixture
def run(tmp_path: Path, fork_server: ForkServer) -> Run:
    """Run a command in an empty folder; the result has returncode, stdout and stderr.

    ``wrap`` is a command line in front of it; ``fresh`` demands an interpreter that has imported nothing before.
    """
    folder = tmp_path / "work"
    folder.mkdir()

    def runner(
        command: str, *args: object, wrap: tuple[str, ...] = (), fresh: bool = False
    ) -> subprocess.CompletedProcess[str]:
        line = [*wrap, str(SCRIPTS / command), *map(str, args)]
        env = {**os.environ, "COLUMNS": "200"}
        if not wrap and not fresh and may_be_forked(line[1:]):
            return fork_server.run(line, folder, env, _TIMEOUT)
        return subprocess.run(line, cwd=folder, env=env, capture_output=True, text=True, timeout=_TIMEOUT, check=False)

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
