"""The processes that are forked for commands end like those of `subprocess.run`."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from forked import ForkServer

_ENV = dict(os.environ)


def test_a_script_has_streams_exit_code_and_group_of_its_own(fork_server: ForkServer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys\n"
        "print(sys.argv[1], os.getpgid(0) == os.getpid())\n"
        "print('on stderr', file=sys.stderr)\n"
        "sys.exit(7)\n"
    )
    done = fork_server.run([str(script), "argument"], tmp_path, _ENV, 60)
    assert (done.returncode, done.stdout, done.stderr) == (7, "argument True\n", "on stderr\n")


def test_after_its_time_a_script_is_killed_with_its_children(fork_server: ForkServer, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(subprocess.TimeoutExpired) as caught:
        fork_server.run([str(script)], tmp_path, _ENV, 2)
    pid = int(caught.value.output)
    end = time.monotonic() + 10
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end
        time.sleep(0.05)
    script.write_text("print('next')")
    assert fork_server.run([str(script)], tmp_path, _ENV, 60).stdout == "next\n"


def test_a_server_that_cannot_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ForkServer()
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RuntimeError, match="fork server has ended with exit code 1"):
        server.run(["script.py"], tmp_path, _ENV, 60)
    server.close()


def test_what_an_import_prints_is_no_reply(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tifffile.py").write_text(
        "import os, sys\n"
        "os.write(1, b'printed by an import\\n')\n"
        f"sys.path.remove({str(tmp_path)!r})\n"
        "del sys.modules['tifffile']\n"
        "import tifffile\n"  # the real one
    )
    script = tmp_path / "script.py"
    script.write_text("print('out')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = ForkServer()
    done = server.run([str(script)], tmp_path, _ENV, 60)
    server.close()
    assert (done.returncode, done.stdout) == (0, "out\n")
