"""Digests are equal where the content of a file, or of all files in a folder, is equal."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from zncc_cli.errors import InputError
from zncc_cli.files.digest import digest


def test_the_digest_of_a_file_is_its_blake2b(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"pixels")
    assert digest(tmp_path / "a") == "blake2b:" + hashlib.blake2b(b"pixels", digest_size=16).hexdigest()


def test_the_digest_of_a_folder_depends_on_all_files_in_it_and_linked_ones(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "chunks").mkdir()
    (tmp_path / "chunks" / "0").write_bytes(b"one")
    (tmp_path / "a.zarr" / "0").symlink_to("../chunks")
    linked = digest(tmp_path / "a.zarr")
    shutil.copytree(tmp_path / "a.zarr", tmp_path / "copy.zarr")
    assert digest(tmp_path / "copy.zarr") == linked
    (tmp_path / "chunks" / "0").write_bytes(b"two")
    assert digest(tmp_path / "a.zarr") != linked


def test_links_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(b"one")
    (tmp_path / "a" / "b" / "up").symlink_to("..")
    (tmp_path / "a" / "b" / "top").symlink_to("/")
    assert digest(tmp_path / "a").startswith("blake2b:")


def test_each_folder_is_read_once_however_many_ways_lead_there(tmp_path: Path) -> None:
    """Twenty folders, each with a link to all others, have more paths than can be walked."""
    folders = [tmp_path / "a" / str(number) for number in range(20)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "file").write_bytes(b"one")
    for folder in folders:
        for other in folders:
            (folder / f"to{other.name}").symlink_to(other)
    before = digest(tmp_path / "a")
    (folders[-1] / "file").write_bytes(b"two")
    assert digest(tmp_path / "a") != before


def test_folders_may_be_nested_deeper_than_the_recursion_limit(tmp_path: Path) -> None:
    made = [tmp_path / "a"]
    for _ in range(1100):
        made[-1].mkdir()
        made.append(made[-1] / "d")
    made.pop()
    try:
        assert digest(tmp_path / "a").startswith("blake2b:")
    finally:  # who clears the folder goes down by calls
        for folder in reversed(made):
            folder.rmdir()


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "0").symlink_to("nowhere")
    for path in (tmp_path / "none", tmp_path / "a.zarr"):
        with pytest.raises(InputError, match="expected a readable file, found No such file"):
            digest(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everywhere")
def test_a_folder_that_cannot_be_listed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zarr" / "0").mkdir(parents=True)
    (tmp_path / "a.zarr" / "0").chmod(0)
    with pytest.raises(InputError, match="Permission denied"):
        digest(tmp_path / "a.zarr")
