"""A display for napari: that of the session, or else one that nobody sees."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

# Qt ends the process where it cannot open a window or has no OpenGL: it is asked in a process of its own.
_PROBE = """
from qtpy.QtGui import QOffscreenSurface, QOpenGLContext
from qtpy.QtWidgets import QApplication
application = QApplication([])
context, surface = QOpenGLContext(), QOffscreenSurface()
surface.create()
raise SystemExit(0 if context.create() and context.makeCurrent(surface) else "Qt finds no OpenGL (libgl1-mesa-dri)")
"""

_SERVERS: list[subprocess.Popen[str]] = []


@pytest.fixture(scope="session", autouse=True)
def display() -> Iterator[None]:
    """Skip every test, and say why, where napari can draw nowhere."""
    if sys.platform != "linux":
        yield
        return
    if not os.environ.get("DISPLAY"):
        start_server()
    probe = subprocess.run(
        [sys.executable, "-c", _PROBE],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if probe.returncode:
        lines = [line for line in probe.stderr.splitlines() if line.strip()]
        pytest.skip(f"napari cannot draw on the display: {lines[0] if lines else probe.returncode}")
    yield


def start_server() -> None:
    """Start an X server without a screen, which takes the first number that is free, and name it in DISPLAY.

    It ends when the other end of its input is gone, with this process: Qt stays connected until then, and ends a
    process whose server is gone.
    """
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("napari draws on a display: there is none, and no Xvfb (apt-get install xvfb)")
    script = '"$0" -displayfd 1 -screen 0 1280x1024x24 -nolisten tcp & exec >/dev/null; read -r end; kill $!'
    server = subprocess.Popen(
        ["sh", "-c", script, program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    _SERVERS.append(server)
    assert server.stdout is not None
    number = server.stdout.readline().strip()
    if not number:
        pytest.skip("napari draws on a display: Xvfb does not start")
    os.environ["DISPLAY"] = f":{number}"
