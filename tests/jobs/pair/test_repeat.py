"""What a report tells of the run that wrote it, and whether that can be run again."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from zncc_cli.config import PairConfig
from zncc_cli.errors import InputError
from zncc_cli.jobs.pair.repeat import run_again

FILES = {"fixed": "a.tif", "moving": "b.tif", "fixed_mask": "c.tif", "moving_mask": "d.tif", "init": "e.json"}


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A report, beside the files that its run read, in the working folder."""
    monkeypatch.chdir(tmp_path)
    for name in FILES.values():
        Path(name).touch()
    paths = {key: Path(name) if key != "init" else name for key, name in FILES.items()}
    content = {"settings": dataclasses.asdict(PairConfig(**paths)), "inputs": {"fixed": "1", "moving": "2"}}  # type: ignore[arg-type]
    Path("report.json").write_text(json.dumps(content, default=str))
    return Path("report.json")


def test_a_report_tells_the_settings_and_the_digests(report: Path) -> None:
    run = run_again(report)
    assert run.config.fixed == Path("a.tif")
    assert run.inputs == {"fixed": "1", "moving": "2"}


def test_a_start_from_the_identity_is_no_file(report: Path) -> None:
    content = json.loads(report.read_text())
    content["settings"]["init"] = "identity"
    report.write_text(json.dumps(content))
    assert run_again(report).config.init == "identity"


@pytest.mark.parametrize("missing", FILES.values())
def test_a_file_that_is_not_there_is_named_with_the_folder_it_was_looked_for_from(report: Path, missing: str) -> None:
    Path(missing).unlink()
    expected = (
        f"^{missing}: expected the file that {report} tells of, looked for from {Path.cwd()}, found nothing there; "
    )
    with pytest.raises(InputError, match=expected):
        run_again(report)
