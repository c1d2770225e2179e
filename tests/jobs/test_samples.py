"""The sample images are copied whole, and nothing is replaced."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from zncc_cli.config.samples import SamplesConfig
from zncc_cli.errors import OutputError
from zncc_cli.files.images import read_image
from zncc_cli.jobs.samples import copy_samples


def test_the_samples_are_whole_and_never_replace_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "tour"
    count = copy_samples(SamplesConfig(folder=folder))
    assert count == sum(path.is_file() for path in folder.rglob("*")) > 20
    shape = json.loads((folder / "affine" / "truth.json").read_text())["fixed_shape"]
    assert list(read_image(folder / "affine" / "fixed.tif").shape) == shape
    assert (folder / "corner_error.py").is_file()
    assert [path.name for path in folder.parent.iterdir()] == ["tour"]
    with pytest.raises(OutputError, match="tour exists already; name another folder"):
        copy_samples(SamplesConfig(folder=folder))
