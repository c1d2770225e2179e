"""The key of a pair depends on content and settings, and outlives a change of names."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from zncc_cli.config import PairConfig, RegistrationConfig
from zncc_cli.jobs.batch.key import pair_key

SAMPLES = Path(__file__).parents[3] / "sample_data" / "batch"
CONFIG = PairConfig(
    fixed=SAMPLES / "cells_fixed.png",
    moving=SAMPLES / "cells_moving.png",
    write="aligned,html,report",
    registration=RegistrationConfig(window=13, max_motion=4.0),
)


def test_a_batch_of_version_0_1_is_resumed_though_its_page_is_called_html_now() -> None:
    """That version computed these keys, with write="aligned,page,report" and write="aligned, page ,report"."""
    assert pair_key(CONFIG) == "31facca099be73af012aa26426bc2e2d"
    with_blanks = dataclasses.replace(CONFIG, write="aligned, html ,report")
    assert pair_key(with_blanks) == "3105e2ee0ed6434ec6ad1badf0c05c06"


def test_the_key_depends_on_settings_but_not_on_where_files_lie() -> None:
    key = pair_key(CONFIG)
    assert pair_key(dataclasses.replace(CONFIG, out=Path("elsewhere"), overwrite=True)) == key
    assert pair_key(dataclasses.replace(CONFIG, moving=CONFIG.fixed)) != key
    assert pair_key(dataclasses.replace(CONFIG, write="aligned,html")) != key
    assert pair_key(dataclasses.replace(CONFIG, registration=RegistrationConfig(window=11))) != key
