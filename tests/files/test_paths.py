"""URLs in place of paths, which are told from files by their first words."""

from __future__ import annotations

from pathlib import Path

import pytest

from zncc_cli.errors import InputError, OutputError
from zncc_cli.files.images import read_image
from zncc_cli.files.output_folder import OutputFolder, atomic_write
from zncc_cli.files.paths import as_url


@pytest.mark.parametrize("url", ["https://example.org/a/b.tif", "s3://bucket/image.ome.zarr", "HTTP://host/x.png"])
def test_a_url_is_not_read_and_said_to_be_one(url: str) -> None:
    """A path has lost one of its slashes; the message shows what the user wrote."""
    with pytest.raises(InputError) as error:
        read_image(Path(url))
    assert str(error.value) == f"{url}: expected a file on this machine, found a URL; download it, and name the copy"


def test_the_path_of_a_file_url_is_to_be_given_alone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found a URL; give its path alone"):
        read_image(Path(f"file://{tmp_path}/a.tif"))


def test_nothing_is_written_to_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputError, match="s3://bucket/result: expected a path on this machine, found a URL"):
        OutputFolder("s3://bucket/result", names=["a.tif"]).__enter__()
    with pytest.raises(OutputError, match="found a URL"), atomic_write(Path("https://example.org/a.json")):
        pass
    assert not list(tmp_path.iterdir())


def test_paths_that_hold_a_colon_are_no_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_url(Path("file.h5:/images/first")) is None
    assert as_url(Path("C:/images/a.tif")) is None
    assert as_url(Path("s3:a.tif")) is None
    Path("s3:").mkdir()
    Path("s3:/a.tif").touch()
    assert as_url(Path("s3:/a.tif")) is None  # it is there
