"""Available memory; and files that would fill it give an error of one line, in processes with little memory."""

import functools
import lzma
import os
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile

from zncc_cli.files import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are set and read as on Linux")

TWO_GIGABYTES = 2 * 2**30
SIDE = 100_000

# Reads a file and prints what it is, or the one line of its refusal; anything else is a traceback.
PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from zncc_cli.errors import InputError
from zncc_cli.files.images import read_image
try:
    image = read_image(sys.argv[1])
    part = image.read((0,) * len(image.leading), slice(0, 64), slice(0, 64)).data
except InputError as error:
    sys.exit(f"refused: {error}")
print(image.axes, image.data.shape, part.sum())
# Not getrusage's: that begins with what the parent held.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) // 1024, file=sys.stderr)
"""


def read_in_little_memory(path, limit=TWO_GIGABYTES, modules=""):
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", modules + PROGRAM, str(path), str(limit)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)


def refused(path, *words, **options):
    run = read_in_little_memory(path, **options)
    (line,) = run.stderr.splitlines()
    assert line.startswith(f"refused: {path}: expected ")
    for word in words:
        assert word in line
    return line


def tiff(path, tags, data=b"", counts=()):
    """Write a BigTIFF byte by byte: ``tags`` {code: value or values}; strips of ``counts`` bytes of ``data``."""
    start = 16
    starts = start + np.concatenate([[0], np.cumsum(counts)[:-1]]).astype("<u8") if len(counts) else []
    tags = {**tags, 273: starts, 279: np.asarray(counts, "<u8")} if len(counts) else tags
    lists = start + len(data)
    table, blob = [], b""
    for code, value in sorted(tags.items()):
        values = np.atleast_1d(np.asarray(value, "<u8"))
        if len(values) == 1:
            table.append(struct.pack("<HHQQ", code, 16, 1, int(values[0])))
        else:
            table.append(struct.pack("<HHQQ", code, 16, len(values), lists + len(blob)))
            blob += values.tobytes()
    directory = struct.pack("<Q", len(table)) + b"".join(table) + struct.pack("<Q", 0)
    header = b"II+\0" + struct.pack("<HHQ", 8, 0, lists + len(blob))
    path.write_bytes(header + data + blob + directory)
    return path


GREY_8 = {256: SIDE, 257: SIDE, 258: 8, 259: 1, 262: 1, 277: 1}


def test_a_header_that_lies_about_plain_pixels(tmp_path):
    refused(tiff(tmp_path / "a.tif", {**GREY_8, 278: 1}, bytes(1000), [10] * 100), "100 with 1000 bytes")


def test_one_plain_strip_that_is_missing(tmp_path):
    refused(tiff(tmp_path / "a.tif", {**GREY_8, 278: SIDE}, bytes(1000), [SIDE**2]), "cut off")


def test_a_header_that_lies_about_compressed_pixels(tmp_path):
    strip = zlib.compress(bytes(100))
    path = tiff(tmp_path / "a.tif", {**GREY_8, 259: 8, 278: 1}, strip * SIDE, [len(strip)] * SIDE)
    refused(path, "can hold")


def test_a_bomb_in_one_strip(tmp_path):
    squeeze = zlib.compressobj(1)
    bomb = b"".join(squeeze.compress(bytes(SIDE * 1000)) for _ in range(4)) + squeeze.flush()
    path = tiff(tmp_path / "a.tif", {**GREY_8, 257: 4000, 259: 8, 278: 4000}, bomb, [len(bomb)])
    refused(path, "strips of at most", "smaller tiles or strips")


def test_a_bomb_in_small_strips_is_read_in_parts_and_takes_no_memory(tmp_path):
    strip = zlib.compress(bytes(SIDE * 10), 9)
    path = tiff(tmp_path / "a.tif", {**GREY_8, 259: 8, 278: 10}, strip * (SIDE // 10), [len(strip)] * (SIDE // 10))
    run = read_in_little_memory(path)
    assert run.stdout.split()[-1] == "0", run.stderr
    assert int(run.stderr) < 300


@pytest.mark.parametrize("without", ["", "import sys; sys.modules['imagecodecs'] = None\n"])
@pytest.mark.parametrize(("compression", "compress"), [(8, zlib.compress), (34925, None)])
def test_a_strip_that_inflates_to_more_than_its_pixels_takes_no_memory(tmp_path, without, compression, compress):
    content = (compress or functools.partial(lzma.compress, preset=0))(bytes(6 * 10**8))
    tags = {**GREY_8, 256: 5000, 257: 5000, 259: compression, 278: 5000}
    path = tiff(tmp_path / "a.tif", tags, content, [len(content)])
    run = read_in_little_memory(path, limit=700 * 2**20, modules=without)
    # A decoder may stop where the pixels end, or say that there are more; it must not take the memory.
    assert run.stdout.startswith("YX (5000, 5000)") or "expected a complete, readable TIFF" in run.stderr


def test_a_plain_file_larger_than_the_memory_is_read_in_parts(tmp_path):
    path = tiff(tmp_path / "a.tif", {**GREY_8, 256: 80_000, 257: 80_000, 278: 80_000}, b"", [80_000**2])
    content = path.read_bytes()
    with path.open("wb") as file:  # a file with a hole takes no place on the disk
        file.write(content[:16])
        file.seek(80_000**2, os.SEEK_CUR)
        file.write(content[16:])
        file.seek(8)
        file.write(struct.pack("<Q", 80_000**2 + 16))
    run = read_in_little_memory(path)
    assert run.stdout.startswith("YX (80000, 80000)"), run.stderr
    assert int(run.stderr) < 300


def test_an_npy_larger_than_the_memory_is_read_in_parts(tmp_path):
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype="f4", shape=(40_000, 40_000)).flush()
    run = read_in_little_memory(path)
    assert run.stdout.startswith("YX (40000, 40000)"), run.stderr


def test_a_list_of_strips_that_would_fill_the_memory(tmp_path):
    path = tiff(tmp_path / "a.tif", {**GREY_8, 278: 1}, bytes(100), [1] * 100)
    content = path.read_bytes()
    with path.open("wb") as file:
        file.write(content.replace(struct.pack("<HHQ", 273, 16, 100), struct.pack("<HHQ", 273, 16, 10**8)))
        file.seek(10**9)
        file.write(b"\0")
    refused(path, "lists of 100000100 strips")


def test_a_picture_that_is_decoded_whole_and_does_not_fit(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 16, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", bytes(100)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png", limit=900 * 2**20)


def test_a_command_that_runs_out_of_memory_prints_one_line(tmp_path):
    strip = zlib.compress(bytes(100))
    path = tiff(tmp_path / "a.tif", {**GREY_8, 259: 8, 278: 1}, strip * SIDE, [len(strip)] * SIDE)
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30,) * 2)\n"
        "from zncc_cli.cli.align import main; main()"
    )
    command = [sys.executable, "-c", program, str(path), str(path), "--out", str(tmp_path / "out")]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert run.returncode == 1
    assert "can hold" in run.stderr.replace("\n", " ")
    assert "Traceback" not in run.stderr


def test_available_memory_follows_the_limits_on_the_process():
    program = (
        "import resource, sys; resource.setrlimit(getattr(resource, sys.argv[1]), (3 * 2**29,) * 2)\n"
        "from zncc_cli.files.memory import available_memory; print(available_memory())"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    for limit in ("RLIMIT_AS", "RLIMIT_DATA"):
        command = [sys.executable, "-c", program, limit]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert 0 < int(run.stdout) < 3 * 2**29
    assert memory.available_memory() > 0


@pytest.mark.parametrize("membership", ["0::/a/b", "0::/"])
def test_available_memory_follows_the_control_groups_around_us(tmp_path, membership):
    (tmp_path / "membership").write_text(membership + "\n")
    here = tmp_path / "groups"
    (here / "a" / "b").mkdir(parents=True)
    limits = {here: "max", here / "a": 5000, here / "a" / "b": 9000}
    for folder, limit in limits.items():
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("2000\n")
        (folder / "memory.stat").write_text("anon 900\ninactive_file 300\nactive_file 40\n")
    found = memory._cgroups(tmp_path / "membership", here)
    assert sorted(found) == ([3340, 7340] if membership == "0::/a/b" else [])


def test_available_memory_follows_the_older_control_groups(tmp_path):
    (tmp_path / "membership").write_text("5:cpu:/x\n4:memory,hugetlb:/a\n")
    folder = tmp_path / "memory" / "a"
    folder.mkdir(parents=True)
    (folder / "memory.limit_in_bytes").write_text("5000\n")
    (folder / "memory.usage_in_bytes").write_text("1000\n")
    assert memory._cgroups(tmp_path / "membership", tmp_path) == [4000]
    assert memory._cgroups(tmp_path / "missing", tmp_path) == []


def test_small_files_are_read_whole_in_little_memory(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.ones((640, 640), "u2"), compression="zlib")
    run = read_in_little_memory(tmp_path / "a.tif")
    assert run.stdout.split()[-1] == str(64 * 64), run.stderr


def test_the_memory_of_the_machine_is_that_of_meminfo_or_where_there_is_none_of_psutil(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal:  16318480 kB\nMemFree:  1 kB\nMemAvailable:  12345 kB\n")
    assert memory._machine(tmp_path / "meminfo") == 12345 * 1024
    (tmp_path / "old").write_text("MemTotal:  16318480 kB\nMemFree:  1 kB\n")
    for without in ("old", "missing"):
        # Other processes take and free memory meanwhile.
        assert memory._machine(tmp_path / without) == pytest.approx(memory._machine(memory._MEMINFO), rel=0.5)
