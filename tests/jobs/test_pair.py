"""A pair from files to files, where the whole is more than its parts."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.config import PairConfig, RegistrationConfig
from zncc_cli.jobs import budget
from zncc_cli.jobs.pair import align_pair
from zncc_cli.jobs.summary import print_summary
from zncc_cli.registration.verdict import Status
from zncc_cli.registration.warp import corners, map_points

SAMPLE = Path(__file__).parents[2] / "sample_data" / "affine"


def test_a_large_pair_is_registered_on_blocks_and_moved_at_full_resolution(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Large is made to mean more than 100,000 pixels here."""
    monkeypatch.setattr(budget, "FULL", 100_000)
    truth = json.loads((SAMPLE / "truth.json").read_text())
    config = PairConfig(fixed=SAMPLE / "fixed.tif", moving=SAMPLE / "moving.tif", out=tmp_path / "out")
    outcome = align_pair(config, lambda _: None)
    assert "registered on means of 2 x 2 pixels, since the images are large" in outcome.report["notes"]
    assert outcome.report["registered_by"]["blocks"] == 2
    shape = tuple(truth["fixed_shape"])
    at = corners(shape)
    off = np.linalg.norm(map_points(outcome.result.matrix, at) - map_points(np.array(truth["matrix"]), at), axis=1)
    assert off.max() < 0.2  # a tenth of a block; at full resolution 0.02
    assert outcome.result.fixed_shape == shape
    assert tifffile.imread(tmp_path / "out" / "aligned.tif").shape == shape
    z = tifffile.imread(tmp_path / "out" / "zncc.tif")
    assert np.nanmedian(z) > 0.9


def test_the_report_names_what_was_registered(tmp_path: Path) -> None:
    scene = tifffile.imread(SAMPLE / "fixed.tif")
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([scene // 9, scene]), imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "rgb.tif", np.stack([scene // 2, scene, scene // 3], -1), photometric="rgb")
    config = PairConfig(
        fixed=tmp_path / "stack.tif",
        moving=tmp_path / "rgb.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation"),  # type: ignore[arg-type]
    )
    report = align_pair(config, lambda _: None).report
    assert report["registered_by"]["fixed"]["C"] in (0, 1)
    assert report["registered_by"]["moving"] == {"channel": "luminance"}


def test_the_summary_states_what_belongs_to_a_place_only_where_that_may_be_right(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = PairConfig(fixed=SAMPLE / "fixed.tif", moving=SAMPLE / "moving.tif", out=tmp_path, write="report")
    outcome = align_pair(config, lambda _: None)
    for status in Status:
        result = dataclasses.replace(outcome.result, inverted=True, status=status)
        print_summary(dataclasses.replace(outcome, result=result))
        labels = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
        assert {"inverted", "sure to"} & set(labels) == (set() if status == "failed" else {"inverted", "sure to"})


@pytest.mark.parametrize("backend", ["reference", "native"])
def test_all_is_computed_with_the_backend_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    from zncc_cli.operators import native

    asked = []
    load = native.load
    monkeypatch.setattr(native, "load", lambda device: asked.append(native._backend) or load(device))
    rng = np.random.default_rng(0)
    image = (1000 * sum(np.roll(rng.random((64, 64)), i, 1) for i in range(4))).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image)
    config = PairConfig(
        fixed=tmp_path / "a.tif",
        moving=tmp_path / "a.tif",
        out=tmp_path / "out",
        registration=RegistrationConfig(model="translation", backend=backend),  # type: ignore[arg-type]
    )
    align_pair(config, lambda _: None)
    assert {str(one) for one in asked} == {backend}
