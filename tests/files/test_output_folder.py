"""All files of a job appear in their folder, or none, and nothing is overwritten unasked."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from zncc_cli.errors import OutputError
from zncc_cli.files.output_folder import OutputFolder, atomic_write, refuse_existing, refuse_sources

NAMES = ["a.txt", "b.txt"]
SETPRIV = shutil.which("setpriv")


def fill(folder, text="new"):
    for name in NAMES:
        (folder.staging / name).write_text(text)


def run(path, *, overwrite=False, then=None, fail_with=None):
    """Run a job that writes both files, calls ``then`` and fails."""
    with OutputFolder(path, names=NAMES, overwrite=overwrite) as folder:
        fill(folder)
        if then:
            then(folder)
        if fail_with:
            raise fail_with


def tree(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


def contents(folder):
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_makes_the_folder_and_its_parents(tmp_path):
    with OutputFolder(tmp_path / "x" / "y" / "out", names=NAMES) as folder:
        fill(folder)
        assert not (tmp_path / "x").exists()
    assert tree(tmp_path) == ["x", "x/y", "x/y/out", "x/y/out/a.txt", "x/y/out/b.txt"]


def test_a_relative_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with OutputFolder("x/out", names=NAMES) as folder:
        fill(folder)
    with OutputFolder(".", names=NAMES) as folder:
        fill(folder)
    assert tree(tmp_path) == ["a.txt", "b.txt", "x", "x/out", "x/out/a.txt", "x/out/b.txt"]


def test_other_files_in_the_folder_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with OutputFolder(tmp_path, names=NAMES) as folder:
        fill(folder)
    assert contents(tmp_path) == {"a.txt": "new", "b.txt": "new", "notes.txt": "mine"}


def test_a_file_that_was_announced_may_be_left_out(tmp_path):
    with OutputFolder(tmp_path / "out", names=NAMES) as folder:
        (folder.staging / "a.txt").write_text("new")
    assert contents(tmp_path / "out") == {"a.txt": "new"}


def test_refuses_to_overwrite_and_names_the_file_and_the_option(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    with pytest.raises(OutputError) as caught, OutputFolder(tmp_path, names=NAMES):
        raise AssertionError("the block must not be entered")
    assert str(tmp_path / "b.txt") in str(caught.value)
    assert "--overwrite" in str(caught.value)
    assert contents(tmp_path) == {"b.txt": "old"}


def test_overwrites_when_asked(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    with OutputFolder(tmp_path, names=NAMES, overwrite=True) as folder:
        fill(folder)
    assert contents(tmp_path) == {"a.txt": "new", "b.txt": "new"}


def test_what_an_earlier_job_wrote_and_this_one_does_not_is_removed(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    with OutputFolder(tmp_path, names=NAMES, overwrite=True) as folder:
        (folder.staging / "a.txt").write_text("new")
    assert contents(tmp_path) == {"a.txt": "new", "notes.txt": "mine"}


def test_refuses_to_overwrite_what_another_process_wrote_meanwhile(tmp_path):
    def another(_):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "a.txt").write_text("theirs")

    with pytest.raises(OutputError, match="--overwrite"):
        run(tmp_path / "out", then=another)
    assert contents(tmp_path / "out") == {"a.txt": "theirs"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_refuses_a_folder_where_a_file_belongs(tmp_path, overwrite):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(OutputError, match="found something else"):
        run(tmp_path, overwrite=overwrite)


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, failure):
    with pytest.raises(failure):
        run(tmp_path / "x" / "out", fail_with=failure)
    assert tree(tmp_path) == []


def test_a_signal_while_the_hidden_folder_is_made_leaves_nothing(tmp_path, monkeypatch):
    mkdir = Path.mkdir

    def interrupted(path, *arguments, **options):
        mkdir(path, *arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        OutputFolder(tmp_path / "out", names=["a.tif"]).__enter__()
    assert list(tmp_path.iterdir()) == []


def test_a_failure_leaves_older_results(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(RuntimeError):
        run(tmp_path, overwrite=True, fail_with=RuntimeError)
    assert contents(tmp_path) == {"a.txt": "old"}


@pytest.mark.parametrize("failure", [OSError(5, "Input/output error"), KeyboardInterrupt()])
def test_a_failure_while_moving_puts_everything_back(tmp_path, monkeypatch, failure):
    (tmp_path / "b.txt").write_text("old")
    rename = Path.replace

    def failing(self, target):
        if self.name == "b.txt" and self.read_text() == "new":
            raise failure
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    expected = OutputError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected):
        run(tmp_path, overwrite=True)
    assert contents(tmp_path) == {"b.txt": "old"}


def test_a_failure_while_moving_puts_back_what_was_to_be_removed(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_text("old")
    rename = Path.replace

    def failing(self, target):
        if self.name == "b.txt":
            assert not (tmp_path / "a.txt").exists()
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", failing)
    with pytest.raises(OutputError), OutputFolder(tmp_path, names=NAMES, overwrite=True) as folder:
        (folder.staging / "b.txt").write_text("new")
    assert contents(tmp_path) == {"a.txt": "old"}


def test_refuses_a_folder_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    for place in ("file", "file/out", "file/x/out"):
        with pytest.raises(OutputError, match="expected a folder, found something else"):
            run(tmp_path / place)


def test_refuses_a_link_that_leads_nowhere(tmp_path):
    (tmp_path / "out").symlink_to("missing")
    with pytest.raises(OutputError):
        run(tmp_path / "out")


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="no /proc here")
def test_refuses_a_place_where_nothing_can_be_made():
    with pytest.raises(OutputError, match="cannot be written"):
        run(Path("/proc/out"))


@pytest.mark.skipif(os.geteuid() == 0 and not SETPRIV, reason="root may write everywhere, and setpriv is missing")
def test_refuses_a_folder_without_permission(tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    drop = [SETPRIV, "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    code = (
        "import sys; from zncc_cli.files.output_folder import OutputFolder; "
        "OutputFolder(sys.argv[1], names=['a']).__enter__()"
    )
    for place in ("locked", "locked/out"):
        command = [*drop, sys.executable, "-c", code, str(tmp_path / place)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        assert "OutputError" in run.stderr.splitlines()[-1]
        assert "Permission denied" in run.stderr.splitlines()[-1]


def test_errors_name_the_folder_that_was_asked_for(tmp_path):
    def write_over_a_folder(folder):
        (folder.staging / "c.txt").mkdir()
        with atomic_write(folder.staging / "c.txt"):
            pass

    with pytest.raises(OutputError) as caught:
        run(tmp_path / "out", then=write_over_a_folder)
    assert str(caught.value).startswith(str(tmp_path / "out" / "c.txt"))


def test_atomic_write_keeps_the_old_file_when_the_block_fails(tmp_path):
    (tmp_path / "a").write_text("old")

    def interrupted():
        with atomic_write(tmp_path / "a") as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert contents(tmp_path) == {"a": "old"}


def test_atomic_write_gives_ordinary_permissions(tmp_path):
    (tmp_path / "plain").touch()
    with atomic_write(tmp_path / "a") as file:
        file.write(b"new")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_atomic_write_refuses_a_device():
    with pytest.raises(OutputError, match="found a folder or device"), atomic_write(Path("/dev/null")):
        pass
    assert Path("/dev/null").is_char_device()


def image_of_zarr(path):
    (path / "s0").mkdir(parents=True)
    (path / "zarr.json").write_text("{}")
    return path


def test_an_image_of_zarr_is_replaced_and_a_folder_with_more_in_it_is_not(tmp_path):
    path = image_of_zarr(tmp_path / "a.zarr")
    refuse_existing(path, overwrite=True)
    (path / "labels").mkdir()
    with pytest.raises(OutputError, match="found something else"):
        refuse_existing(path, overwrite=True)


def test_a_folder_that_holds_an_input_is_refused(tmp_path):
    group = image_of_zarr(tmp_path / "a.zarr")
    with pytest.raises(OutputError, match=r"a\.zarr: holds an input, which would be removed"):
        refuse_sources([group], [group / "s0"])
