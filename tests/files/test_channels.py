"""Channels have names that differ."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.errors import OptionError
from zncc_cli.files.channels import channels_of, unique_names
from zncc_cli.files.images import read_image


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


def test_a_number_wins_over_a_name_that_is_a_number(tmp_path: Path) -> None:
    """As for one image (tests/jobs/test_channel_view.py): names often count from one, --channel from zero."""
    names = {"axes": "CYX", "Channel": {"Name": ["1", "2", "DAPI"]}}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((3, 8, 9), np.uint8), ome=True, metadata=names)
    channels = channels_of(read_image(tmp_path / "a.ome.tif"))
    assert [channels.number(word, "channel") for word in ("1", "2", " dapi")] == [1, 2, 2]
    with pytest.raises(OptionError, match=r"`channel` 7: expected a channel of .* by its name or its number"):
        channels.number("7", "channel")
