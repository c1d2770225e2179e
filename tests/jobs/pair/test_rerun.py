"""An earlier run is read from its report.json, also from one that an earlier version wrote."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from zncc_cli.config import InputConfig, PairConfig, Product, RegistrationConfig
from zncc_cli.config.settings import pair_config
from zncc_cli.errors import InputError, OptionError
from zncc_cli.jobs.pair import rerun
from zncc_cli.jobs.pair.rerun import image_digests, rerunnable_run
from zncc_cli.jobs.pair.run_folder import RunFolder, names_of_earlier_run

FILES = {"fixed": "a.tif", "moving": "b.tif", "fixed_mask": "c.tif", "moving_mask": "d.tif", "init": "e.json"}
SAMPLES = Path(__file__).parents[3] / "sample_data"
VERSIONS = {"zncc-cli": "0.1.0", "torch": "2.9.0", "numpy": "2.3.0"}


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


def test_a_report_holds_the_settings_and_the_digests(report: Path) -> None:
    run = rerunnable_run(report)
    assert run.config.fixed == Path("a.tif")
    assert run.digests == {"fixed": "1", "moving": "2"}


def test_identity_as_init_is_no_file(report: Path) -> None:
    content = json.loads(report.read_text())
    content["settings"]["init"] = "identity"
    report.write_text(json.dumps(content))
    assert rerunnable_run(report).config.init == "identity"


@pytest.mark.parametrize("missing", FILES.values())
def test_a_file_that_is_not_there_is_named_with_the_folder_it_was_looked_up_from(report: Path, missing: str) -> None:
    Path(missing).unlink()
    expected = (
        f"^{missing}: expected the file that {report} names, looked up from {Path.cwd()}, found nothing there; "
        ".*without --rerun$"
    )
    with pytest.raises(InputError, match=expected):
        rerunnable_run(report)


def earlier_settings(**registration: Any) -> dict[str, Any]:
    """The settings in a report.json, as the first version with --write wrote them."""
    return {
        "fixed": "a.tif",
        "moving": "b.tif",
        "out": None,
        "fixed_mask": None,
        "moving_mask": None,
        "init": None,
        "write": "aligned,page,report",
        "overwrite": False,
        "inputs": {"series": None, "page": "1", "channel": None},
        "registration": {
            "model": "rigid",
            "window": 11,
            "min_overlap": 0.25,
            "max_iterations": 60,
            "tolerance": 0.002,
            "optimizer": "bfgs",
            "device": "auto",
            "backend": "auto",
            **registration,
        },
        "resampling": {"interpolation": "cubic", "canvas": "fixed", "fill": None},
    }


@pytest.mark.parametrize(
    "further", [{}, {"max_motion": None, "no_data": "auto"}], ids=["without", "with later settings"]
)
def test_settings_of_an_earlier_version_are_read_with_the_products_names_of_today(further: dict[str, Any]) -> None:
    config = pair_config(earlier_settings(**further))
    registration = RegistrationConfig(model="rigid", window=11, min_overlap=0.25)  # type: ignore[arg-type]
    assert config.registration == registration  # what it does not have is the default
    assert config.accept == PairConfig.accept
    assert config.products == {Product.ALIGNED, Product.HTML, Product.REPORT}
    assert config.inputs.each_page == (1, 1)  # the option --page is no product


def test_files_of_an_earlier_version_are_recognised_by_its_report(tmp_path: Path) -> None:
    report = {"settings": earlier_settings(), "versions": VERSIONS}
    (tmp_path / "report.json").write_text(json.dumps(report))
    assert set(names_of_earlier_run(tmp_path)) == {"aligned.tif", "report.html", "report.json"}


@pytest.mark.parametrize("name", ["window", "min_overlap"])
@pytest.mark.parametrize("sign", [1, -1])
def test_huge_numbers_in_a_report_do_not_stop_a_run_into_its_folder(tmp_path: Path, name: str, sign: int) -> None:
    report = {"settings": earlier_settings(**{name: sign * 10**400}), "versions": VERSIONS}
    (tmp_path / "report.json").write_text(json.dumps(report))
    # A window of any size is a window; the other numbers are none of a report of ours.
    expected = {"aligned.tif", "report.html", "report.json"} if (name, sign) == ("window", 1) else set()
    assert set(names_of_earlier_run(tmp_path)) == expected


@pytest.mark.parametrize(
    "content",
    [
        {"settings": {"fixed": "a.tif", "moving": "b.tif"}},
        {"settings": {"fixed": "a.tif", "moving": "b.tif"}, "versions": VERSIONS},
        {"settings": earlier_settings()},
        {"settings": earlier_settings(), "versions": {"torch": "2.9.0"}},
        {"settings": earlier_settings(), "versions": "zncc-cli 0.1.0"},
        {"settings": {**earlier_settings(), "resampling": None}, "versions": VERSIONS},
    ],
)
def test_the_report_of_another_program_vouches_for_no_file(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert names_of_earlier_run(tmp_path) == ()


def test_the_users_files_beside_the_report_of_another_program_stay(tmp_path: Path) -> None:
    contents = {"report.json": '{"settings": {"fixed": "a", "moving": "b"}}', "mask.tif": "a mask of the user's"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    images = {name: SAMPLES / "translation" / f"{name}.tif" for name in ("fixed", "moving")}
    config = PairConfig(**images, out=tmp_path, write="aligned", overwrite=True)  # type: ignore[arg-type]
    with RunFolder.of(config) as folder:
        (folder.staging / "aligned.tif").touch()
    assert {name: (tmp_path / name).read_text() for name in contents} == contents
    assert (tmp_path / "aligned.tif").exists()


def test_a_setting_that_is_gone_is_ignored_where_it_asked_for_nothing_and_refused_otherwise() -> None:
    for value in (None, False):
        assert pair_config(earlier_settings(smoothing=value)) == pair_config(earlier_settings())
    with pytest.raises(OptionError, match=r"^--rerun: .* got settings\.registration\.smoothing = 3; use the version"):
        pair_config(earlier_settings(smoothing=3))


def test_settings_without_an_image_are_refused() -> None:
    with pytest.raises(OptionError, match=r"^--rerun: expected settings\.moving in a report\.json, found none; name"):
        pair_config({"fixed": "a.tif"})


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("registration", "window", "13; rm -rf"),
        ("registration", "window", True),
        ("registration", "tolerance", 10**400),
        ("resampling", "fill", 3),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_setting_with_a_value_of_another_type_is_refused_by_name(part: str, key: str, value: object) -> None:
    settings = earlier_settings()
    settings[part][key] = value
    with pytest.raises(OptionError, match=rf"^--rerun: expected settings\.{part}\.{key} of a report\.json, got"):
        pair_config(settings)


def test_the_digest_of_one_page_of_a_large_file_depends_on_that_page_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rerun, "_MAX_WHOLE_BYTES", 1000)
    stack = np.random.default_rng(0).integers(0, 250, (3, 40, 50)).astype(np.uint8)
    path = tmp_path / "a.tif"

    def digests_after(**changes: int) -> dict[str, str]:
        changed = stack.copy()
        for page, value in changes.items():
            changed[int(page[-1]), 0, 0] = value
        tifffile.imwrite(path, changed, photometric="minisblack", metadata=None)
        return image_digests(PairConfig(fixed=path, moving=path, inputs=InputConfig(page="1,2")))

    before = digests_after()
    assert before["fixed"] != before["moving"]
    assert digests_after(page0=255) == before
    assert digests_after(page1=255)["fixed"] != before["fixed"]
    assert digests_after(page1=255)["moving"] == before["moving"]
