"""Pairs that need too much memory or disk are refused before any work. Free memory and disk are simulated."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from zncc_cli.errors import ContentError, ResourceError
from zncc_cli.files.images import Image
from zncc_cli.files.metadata import Metadata
from zncc_cli.jobs import budget, disk
from zncc_cli.registration.resampling.canvas import Frame


def image(height: int, width: int, *leading: int) -> Image:
    """An image of any size that takes no memory: all its pixels are the same number."""
    data = np.broadcast_to(np.zeros((), np.uint16), (*leading, height, width))
    return Image(data, "ZCYX"[2 - len(leading) :], Metadata(path=Path("large.tif"), format="TIFF"))


@pytest.mark.parametrize(("gigabytes", "factor"), [(64, 7), (2.0, 11), (1.2, 24)])
def test_with_less_memory_larger_blocks_are_registered(
    monkeypatch: pytest.MonkeyPatch, gigabytes: float, factor: int
) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: int(gigabytes * 1e9))
    blocks = budget.affordable_factor(image(20000, 20000), image(600, 600), window=11)
    assert blocks == factor
    assert (20000 / blocks) ** 2 * 200 < gigabytes * 1e9


def test_a_pair_that_does_not_fit_even_downsampled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: int(0.8e9))
    with pytest.raises(ResourceError, match=r"large\.tif: expected .* GB of memory for 20000 x 30000 pixels, found"):
        budget.affordable_factor(image(500, 500), image(30000, 20000), window=11)


@pytest.mark.parametrize(
    ("large", "small", "window", "factor"), [(4200, 44, 11, 2), (4200, 32, 3, 2), (4000, 25, 11, 1)]
)
def test_the_smaller_image_keeps_two_windows_and_sixteen_pixels_a_side(
    monkeypatch: pytest.MonkeyPatch, large: int, small: int, window: int, factor: int
) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: int(64e9))
    for pair in ((image(large, large), image(small, 300)), (image(300, small), image(large, large))):
        assert budget.affordable_factor(*pair, window) == factor
    if factor > 1:
        with pytest.raises(ContentError, match=f"expected at least {factor * max(2 * window, 16)} pixels a side"):
            budget.affordable_factor(image(large, large), image(small - 1, 300), window)


def test_the_default_window_does_not_limit_downsampling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: int(64e9))
    assert budget.affordable_factor(image(4200, 4200), image(32, 300), None) == 2
    with pytest.raises(ContentError, match=r"expected at least 32 pixels a side, for a pair .* crop the larger image$"):
        budget.affordable_factor(image(4200, 4200), image(31, 300), None)


@pytest.mark.parametrize(("gigabytes", "large", "blocks"), [(64, 20000, 7), (64, 4200, 2)])
def test_an_image_too_small_to_be_downsampled_is_named_with_its_size_and_the_blocks(
    monkeypatch: pytest.MonkeyPatch, gigabytes: float, large: int, blocks: int
) -> None:
    monkeypatch.setattr(budget, "available_memory", lambda: int(gigabytes * 1e9))
    expected = (
        f"expected at least {22 * blocks} pixels a side .--window 11., for a pair of up to {large} x {large} is "
        f"registered on means of {blocks} x {blocks} pixels, found 50 x 40; crop the larger image"
    )
    with pytest.raises(ContentError, match=expected):
        budget.affordable_factor(image(large, large), image(40, 50), window=11)


def test_files_that_do_not_fit_on_the_disk_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 0, 10**9))
    frame = Frame(0, 0, 5000, 2000)
    assert budget.file_bytes(image(100, 100, 3, 2), frame) == 10_000_000 * 6 * 2
    # With a pyramid: a third more, which lies in temporary files as well.
    assert budget.file_bytes(image(100, 100, 3, 2), Frame(0, 0, 10000, 1000)) == 10_000_000 * 6 * 2 * 5 // 3
    disk.check_disk(tmp_path / "not" / "yet", budget.map_bytes(frame))
    with pytest.raises(
        ResourceError, match=r"out: expected 1\.20 GB of free disk .*, found 1\.00 GB; choose another --out"
    ):
        disk.check_disk(tmp_path / "out", budget.file_bytes(image(100, 100, 30, 2), frame))
