"""The manifest is whole wherever its writer was killed."""

from __future__ import annotations

import json

import pytest

from zncc_cli.errors import OutputError
from zncc_cli.jobs.batch.manifest import Manifest, manifests, read_manifests
from zncc_cli.jobs.batch.row import BatchRow


def row(name, status="ok"):
    return BatchRow(name, status, "because", zncc_after=0.5)


def write(path, *names, keep=True):
    with Manifest(path, keep=keep) as manifest:
        for name in names:
            manifest.add(row(name), f"key of {name}")


def test_rows_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "out" / "manifest.jsonl"
    write(path, "a", "ü\udcff")
    records = read_manifests([path])
    assert {name: record.row for name, record in records.items()} == {"a": row("a"), "ü\udcff": row("ü\udcff")}
    assert records["a"].key == "key of a"


def test_a_manifest_cut_off_at_any_byte_can_be_read_and_continued(tmp_path):
    path = tmp_path / "manifest.jsonl"
    write(path, "a", "b", "c")
    whole = path.read_bytes()
    ends = [place + 1 for place, byte in enumerate(whole) if byte == 10]
    for place in range(len(whole) + 1):
        path.write_bytes(whole[:place])
        kept = max(0, sum(end <= place for end in ends) - 1)
        assert list(read_manifests([path])) == ["a", "b", "c"][:kept]
        write(path, "d")
        assert list(read_manifests([path])) == [*["a", "b", "c"][:kept], "d"]


def test_a_damaged_line_is_skipped(tmp_path):
    path = tmp_path / "manifest.jsonl"
    write(path, "a", "b")
    lines = path.read_bytes().splitlines(keepends=True)
    long = lines[1].replace(b'"time":', b'"time":1' + b"0" * 400)
    longer = lines[1].split(b'"time":')[0] + b'"time":1' + b"0" * 400 + b"}\n"
    infinite = lines[1].replace(b'"overlap":null', b'"overlap":Infinity')
    assert infinite != lines[1]
    for damage in (
        long,
        longer,
        infinite,
        b"\0\0\0\n",
        b"[" * 100_000 + b"\n",
        b'{"name": 3}\n',
        b"[]\n",
        lines[1][:-20] + b"\n",
    ):
        path.write_bytes(lines[0] + damage + lines[2])
        assert list(read_manifests([path])) == ["b"]


def test_the_latest_record_counts_whichever_file_has_it(tmp_path):
    for name, when, status in (("manifest.jsonl", 2, "ok"), ("manifest-1-of-2.jsonl", 1, "failed")):
        write(tmp_path / name, "a")
        head, line = (tmp_path / name).read_text().splitlines()
        content = {**json.loads(line), "time": when, "status": status}
        (tmp_path / name).write_text(f"{head}\n{json.dumps(content)}\n")
    (tmp_path / "manifest-x.jsonl").write_text("something else")
    assert len(manifests(tmp_path)) == 2
    assert read_manifests(manifests(tmp_path))["a"].row.status == "ok"


def test_an_error_is_not_a_result(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path, keep=False) as manifest:
        for status in ("ok", "suspect", "failed", "error"):
            manifest.add(row(status, status), "key")
    assert [name for name, record in read_manifests([path]).items() if record.is_result] == ["ok", "suspect", "failed"]


def test_two_runs_cannot_write_one_manifest(tmp_path):
    path = tmp_path / "manifest.jsonl"
    with Manifest(path, keep=True) as first:
        first.add(row("a"), "key")
        with pytest.raises(OutputError, match="another zncc-batch"):
            Manifest(path, keep=False)
    assert list(read_manifests([path])) == ["a"]


def test_a_file_that_is_no_manifest_is_refused(tmp_path):
    path = tmp_path / "manifest.jsonl"
    path.write_text('{"precious": 1}\n')
    with pytest.raises(OutputError, match="expected a manifest"):
        read_manifests([path])


def test_records_of_other_pairs_stay_when_they_are_sorted(tmp_path):
    """A run that continues a batch with some of its pairs says nothing of the others."""
    path = tmp_path / "manifest.jsonl"
    write(path, "d", "c", "b", "a")
    with Manifest(path, keep=True) as manifest:
        manifest.sort(["b", "c", "new"])
    assert list(read_manifests([path])) == ["b", "c", "a", "d"]
    assert {record.time for record in read_manifests([path]).values()} == {0.0}
