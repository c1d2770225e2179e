"""The pictures that a run of a benchmark writes: one with matplotlib, none without."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from xml.etree import ElementTree


def expected_pictures(data: Path, stderr: str) -> list[str]:
    """Return the paths of the pictures beside ``data``, a benchmark's JSON file, after a check of what they hold.

    Without matplotlib there is none, and ``stderr`` says so.
    """
    picture = data.with_suffix(".svg")
    if importlib.util.find_spec("matplotlib") is None:
        assert not picture.exists()
        assert "matplotlib is not installed" in stderr
        return []
    assert ElementTree.fromstring(picture.read_text()).tag.endswith("svg")
    return [str(picture)]
