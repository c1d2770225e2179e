"""One pair of a batch: what stands in its folder, and whose it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import Model, PairConfig, RegistrationConfig
from zncc_cli.jobs.batch.worker import align_task

SAMPLE = Path(__file__).parents[3] / "sample_data" / "translation"
NAMES = {"transform.json", "report.json"}


@pytest.fixture
def do(tmp_path: Path) -> Any:
    base = PairConfig(
        fixed=Path(), moving=Path(), write="transform,report", registration=RegistrationConfig(model=Model.TRANSLATION)
    )

    def done(moving: Path = SAMPLE / "moving.tif", key: str = "", since: int = 0) -> dict[str, Any]:
        task = {"name": "a", "fixed": str(SAMPLE / "fixed.tif"), "moving": str(moving), "key": key}
        return align_task(task, {"out": str(tmp_path), "since": since}, base)

    return done


def written(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_recorded_pair_is_kept(do: Any, tmp_path: Path) -> None:
    first = do()
    before = written(tmp_path / "a")
    assert set(before) == NAMES
    assert do(key=first["key"]) == {"name": "a", "key": first["key"], "kept": True}
    assert written(tmp_path / "a") == before


def test_a_pair_whose_record_was_lost_is_not_done_twice(do: Any, tmp_path: Path) -> None:
    """As where a worker of a cluster is lost after the files, before the answer."""
    (tmp_path / "mark").touch()
    since = (tmp_path / "mark").stat().st_mtime_ns
    first = do(since=since)
    before = written(tmp_path / "a")
    again = do(since=since)
    assert {**again["row"], "seconds": 0} == {**first["row"], "seconds": 0}
    assert written(tmp_path / "a") == before


def test_half_renamed_files_of_this_run_are_replaced(do: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "transform.json").write_text("of a killed worker")
    assert do(since=(tmp_path / "a" / "transform.json").stat().st_mtime_ns)["row"]["status"] != "error"
    assert set(written(tmp_path / "a")) == NAMES


def test_files_of_this_run_that_are_no_longer_wanted_are_removed(do: Any, tmp_path: Path) -> None:
    do()
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    report["settings"]["write"] = "transform,mask,report"
    (tmp_path / "a" / "report.json").write_text(json.dumps(report))
    (tmp_path / "a" / "mask.tif").write_text("of other settings")
    assert do()["row"]["status"] != "error"
    assert set(written(tmp_path / "a")) == NAMES


def test_files_older_than_the_run_are_not_replaced(do: Any, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "transform.json").write_text("precious")
    os.utime(tmp_path / "a" / "transform.json", ns=(10**18, 10**18))
    row = do(since=10**18 + 1)["row"]
    assert row["status"] == "error"
    assert "transform.json: exists already" in row["reason"]
    assert (tmp_path / "a" / "transform.json").read_text() == "precious"


def test_an_image_that_cannot_be_registered_is_named(do: Any, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "flat.tif", np.full((64, 64), 7, np.uint16))
    row = do(moving=tmp_path / "flat.tif")["row"]
    assert row["reason"].startswith(f"moving {tmp_path / 'flat.tif'}: expected texture, found")
