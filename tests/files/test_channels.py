"""Channels have names that differ."""

from __future__ import annotations

import pytest

from zncc_cli.files.channels import unique_names


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([("DAPI", "a"), ("GFP", "a")], ["DAPI", "GFP"]),
        ([("DAPI", "a"), ("dapi", "b")], ["DAPI a", "dapi b"]),
        ([("DAPI", "a"), ("DAPI", "a"), ("DAPI a 2", "b")], ["DAPI a", "DAPI a 2", "DAPI a 2 2"]),
    ],
)
def test_names_of_channels_are_unique(names: list[tuple[str, str]], expected: list[str]) -> None:
    assert unique_names(names) == expected
