"""Building and loading the native kernels, in processes of their own, as users run them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from zncc_cli.config import Backend
from zncc_cli.errors import BackendError, OptionError
from zncc_cli.operators import build, native, toolchain

needs_compiler = pytest.mark.skipif(toolchain.cxx_compiler() is None, reason="no C++ compiler")

# The kernels that `local_std` needs, not optimised: how a library is built, kept and loaded does not depend on what it
# computes, and this one takes a sixth of the time.
QUICK = build.Library(
    "zncc_cpu",
    "CPU kernels",
    tuple(f"cpu/{name}.cpp" for name in ("bindings", "local_std_box", "local_zncc_box", "pixels", "warp")),
    ("-std=c++17", "-O0"),
)

# Loads the CPU kernels, uses them forward and backward, and prints what happened. argv[1] is code to run before.
WORKER = f"""
import json, logging, sys
import torch
from zncc_cli.operators import build, native
from zncc_cli.operators.build import Library
from zncc_cli.operators.local_std import local_std
native.cpu_library = lambda _: {QUICK!r}
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
exec(sys.argv[1])
loaded = native.load(torch.device("cpu"))
image = torch.eye(6, requires_grad=True)
local_std(image, 3).sum().backward()
heavy = [name for name in ("torch.utils.cpp_extension", "torch._dynamo", "sympy") if name in sys.modules]
print(json.dumps({{
    "used": loaded.used, "reason": loaded.reason, "library": str(loaded.library), "heavy": heavy,
    "finite": bool(image.grad.isfinite().all()), "again": native.load(torch.device("cpu")) is loaded,
}}))
"""


@dataclass(frozen=True)
class Outcome:
    used: str
    reason: str
    library: str
    heavy: list[str]
    finite: bool
    again: bool
    log: str


def start(cache: Path, before: str = "", **environment: str) -> subprocess.Popen[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in ("CXX", "XDG_CACHE_HOME")}
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WORKER, before],
        env={**inherited, "ZNCC_CACHE_DIR": str(cache), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def outcome(process: subprocess.Popen[str]) -> Outcome:
    try:
        out, log = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, log
    found: dict[str, Any] = json.loads(out)
    assert found["finite"]
    return Outcome(log=log, **found)


def run(cache: Path, before: str = "", **environment: str) -> Outcome:
    return outcome(start(cache, before, **environment))


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH with a compiler and what it calls, and nothing else: no ninja."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("c++", "as", "ld", "which"):
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"no {name}")
        (folder / name).symlink_to(found)
    return folder


# A build, and what comes after it -------------------------------------------------------------------------------------


@needs_compiler
def test_the_first_process_builds_and_the_next_loads(tmp_path: Path, tools: Path) -> None:
    """The first finds ninja in the `ninja` package alone; the next has neither compiler nor ninja."""
    cache = tmp_path / "cache"
    first = run(cache, PATH=str(tools))
    assert (first.used, first.again) == ("native", True)
    assert first.reason.startswith("built in ")
    assert "INFO zncc_cli.native: building the CPU kernels" in first.log
    assert "INFO zncc_cli.native: the CPU kernels are ready after" in first.log
    assert "WARNING" not in first.log
    assert Path(first.library).parent.parent == cache

    second = run(cache, PATH=str(tmp_path))
    assert (second.used, second.reason) == ("native", "loaded from the cache")
    assert second.library == first.library
    assert second.log == ""
    assert second.heavy == []


@needs_compiler
def test_four_processes_at_once_build_once(tmp_path: Path) -> None:
    """In a cache where a killed builder has left its half-made folder, with the lock that torch would wait for."""
    cache = tmp_path / "a cache with spaces"
    name = f"zncc_cpu-{build._key(QUICK)}"
    leftover = cache / f"{name}.abc.partial"
    leftover.mkdir(parents=True)
    (leftover / "lock").touch()
    (cache / f"{name}.lock").touch()

    outcomes = [outcome(process) for process in [start(cache) for _ in range(4)]]
    assert {found.used for found in outcomes} == {"native"}
    assert sorted(found.reason.split(" in ")[0] for found in outcomes) == ["built", *["loaded from the cache"] * 3]
    assert sorted(path.name for path in cache.iterdir()) == [name, f"{name}.lock"]


@needs_compiler
def test_a_killed_builder_blocks_nobody(tmp_path: Path) -> None:
    """Its compiler, an orphan now, still runs while the next process builds."""
    compiler = tmp_path / "slow-once"
    marker = tmp_path / "compiling"
    compiler.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *bindings.o*) if mkdir {marker} 2>/dev/null; then exec sleep 100; fi;; esac\n'
        f'exec {toolchain.cxx_compiler()} "$@"\n'
    )
    compiler.chmod(0o755)
    cache = tmp_path / "cache"
    killed = start(cache, CXX=str(compiler))
    try:
        deadline = time.monotonic() + 60
        while not marker.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert marker.exists(), "the compiler was not called"
        killed.kill()
        killed.wait()
        assert list(cache.glob("*.partial"))

        following = run(cache, CXX=str(compiler))
        assert following.used == "native"
        assert following.reason.startswith("built in ")
        assert not list(cache.glob("*.partial"))
    finally:
        with contextlib.suppress(ProcessLookupError):  # ninja may have taken the compiler with it
            os.killpg(killed.pid, signal.SIGKILL)
        killed.communicate()


def test_a_lock_that_is_never_released_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_LOCK_TIMEOUT_SECONDS", 0.2)
    with (tmp_path / "lock").open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with build._lock(tmp_path / "lock") as held:
            assert not held
    with build._lock(tmp_path / "lock") as held:
        assert held


def test_a_broken_library_is_removed_to_be_built_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    finished = tmp_path / "zncc_cpu-0123456789abcdef"
    finished.mkdir()
    (finished / "zncc_cpu.so").write_bytes(b"\x7fELF, but no more")
    assert build._load_finished(finished) is None
    assert not finished.exists()
    assert "cannot be loaded and is built again" in caplog.text


@pytest.mark.parametrize("change", ["source", "flags", "torch", "CUDA", "machine", "compiler"])
def test_a_build_is_named_after_everything_it_depends_on(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "csrc"
    shutil.copytree(build.source_folder(), copy)
    monkeypatch.setattr(build, "source_folder", lambda: copy)
    library = native.cpu_library(torch.backends.cpu.get_cpu_capability())
    before = build._key(library)
    assert build._key(library) == before
    if change == "source":
        (copy / "local_std.h").write_text("// changed\n")
    elif change == "flags":
        library = build.Library(library.name, library.title, library.sources, ("-O1",))
    elif change == "torch":
        monkeypatch.setattr(torch, "__version__", "2.10.0")
    elif change == "CUDA":
        monkeypatch.setattr(torch.version, "cuda", "12.9")
    elif change == "machine":
        monkeypatch.setattr(build.platform, "machine", lambda: "riscv64")
    else:
        monkeypatch.setenv("CXX", "another-compiler")
    assert build._key(library) != before


# Why not --------------------------------------------------------------------------------------------------------------


def test_without_a_compiler_plain_torch_computes_and_says_so(tmp_path: Path) -> None:
    found = run(tmp_path, PATH=str(tmp_path))
    assert (found.used, found.again) == ("reference", True)
    assert "C++ compiler: none on PATH; install g++ or clang++" in found.reason
    assert found.log.count("WARNING zncc_cli.native: computing with plain torch: ") == 1


@pytest.mark.parametrize("missing", ["ninja", "sources"])
def test_what_else_may_be_missing(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZNCC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(native, "_loaded", {})
    if missing == "ninja":
        monkeypatch.setattr(toolchain, "ninja", lambda: None)
        expected = "pip install ninja"
    else:
        monkeypatch.setattr(build, "__file__", str(tmp_path / "package" / "operators" / "build.py"))
        expected = "install zncc-cli again"
    loaded = native.load(torch.device("cpu"))
    assert loaded.used == "reference"
    assert expected in loaded.reason


@needs_compiler
def test_a_compile_error_is_told_by_its_first_line_and_the_whole_log_is_kept(tmp_path: Path) -> None:
    broken = tmp_path / "csrc"
    shutil.copytree(build.source_folder(), broken)
    (broken / "cpu" / "bindings.cpp").write_text("int f() { return nothing; }\n")
    found = run(tmp_path / "cache", f"from pathlib import Path; build.source_folder = lambda: Path({str(broken)!r})")
    assert found.used == "reference"
    assert "the CPU kernels could not be compiled: cpu/bindings.cpp:1:" in found.reason
    assert "nothing" in found.reason
    log = Path(found.reason.partition("(log: ")[2].rstrip(")"))
    assert "return nothing" in log.read_text()
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_the_native_backend_fails_loudly(tmp_path: Path) -> None:
    code = (
        "import torch; from zncc_cli.errors import BackendError; from zncc_cli.operators import native\n"
        "from zncc_cli.operators.local_std import local_std\n"
        "for attempt in range(2):\n"
        "    try:\n"
        "        with native.selected('native'): local_std(torch.ones(9, 9), 3)\n"
        "    except BackendError as error: print(error)\n"
    )
    environment = {**os.environ, "PATH": str(tmp_path), "ZNCC_CACHE_DIR": str(tmp_path)}
    environment.pop("CXX", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    messages = done.stdout.splitlines()
    assert len(messages) == 2
    assert messages[0] == messages[1]
    assert "backend 'native' cannot be used: the CPU kernels cannot be built, C++ compiler" in messages[0]


def test_the_reference_backend_builds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZNCC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(native, "_loaded", {})
    with native.selected(Backend.REFERENCE):
        assert native.load(torch.device("cpu")).used == "reference"
    assert not list(tmp_path.iterdir())


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(OptionError, match="auto, native, reference"), native.selected("fast"):
        pass


def test_a_device_without_native_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_loaded", {})
    loaded = native.load(torch.device("xpu"))
    assert loaded.used == "reference"
    assert "xpu" in loaded.reason
    with native.selected(Backend.NATIVE), pytest.raises(BackendError, match="xpu"):
        native.load(torch.device("xpu"))


# CUDA without a card: what is decided before nvcc runs ----------------------------------------------------------------


def test_the_cuda_kernels_are_built_for_the_cards_that_are_present(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [(12, 0), (9, 0), (9, 0)]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: cards[index])
    flags = native._cuda_library().cuda_flags
    assert [flag for flag in flags if "gencode" in flag] == [
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_120,code=sm_120",
    ]
    assert not any("fast" in flag for flag in flags)


@pytest.mark.parametrize(
    ("home", "version", "expected"),
    [
        (None, None, "nvcc: none"),
        (
            "/opt/cuda",
            "12.4",
            "nvcc is of CUDA 12.4, but torch was built with CUDA 13.0; install the CUDA 13.0 toolkit",
        ),
    ],
)
def test_why_the_cuda_kernels_cannot_be_built(
    home: str | None, version: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ZNCC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(toolchain, "_check_compiler", lambda: toolchain.Check("C++ compiler", True, "", ""))
    monkeypatch.setattr(toolchain, "_check_device", lambda: toolchain.Check("CUDA device", True, "a card", ""))
    monkeypatch.setattr(toolchain, "cuda_home", lambda: Path(home) if home else None)
    monkeypatch.setattr(toolchain, "nvcc_version", lambda _: version)
    library = build.Library("zncc_cuda", "CUDA kernels", ("cuda/local_std.cu",), cuda_flags=("-O3",))
    with pytest.raises(build.UnavailableError, match=expected):
        build.get(library)


def test_a_newer_minor_version_of_nvcc_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    assert toolchain.cuda_mismatch("12.9") is None


# Where builds are kept ------------------------------------------------------------------------------------------------


@needs_compiler
def test_a_cache_that_cannot_be_written_gives_way_to_a_private_folder(tmp_path: Path) -> None:
    """A folder below a regular file cannot be made by anyone, root included."""
    (tmp_path / "file").touch()
    found = run(tmp_path / "file" / "sub", TMPDIR=str(tmp_path))
    private = tmp_path / f"zncc-{os.getuid()}"
    assert found.used == "native"
    assert Path(found.library).parent.parent == private
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    assert f"cannot write to {tmp_path / 'file' / 'sub'}, building in {private}" in found.log


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(build.tempfile, "tempdir", str(tmp_path))
    build._temporary_folder.cache_clear()
    yield tmp_path
    build._temporary_folder.cache_clear()


@pytest.mark.parametrize("trap", ["open to others", "a link", "a file"])
def test_a_temporary_folder_that_others_could_have_prepared_is_not_used(trap: str, temporary: Path) -> None:
    prepared = temporary / f"zncc-{os.getuid()}"
    if trap == "open to others":
        prepared.mkdir()
        prepared.chmod(0o777)
    elif trap == "a link":
        (temporary / "elsewhere").mkdir(mode=0o700)
        prepared.symlink_to(temporary / "elsewhere")
    else:
        prepared.touch()
    folder = build._temporary_folder()
    assert folder != prepared
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")
def test_another_user_is_not_given_the_cache_of_root() -> None:
    code = "from zncc_cli.operators import native; print(native.cache_folder())"
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are closed to others
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        done = subprocess.run(
            ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", code],
            env={**os.environ, "ZNCC_CACHE_DIR": str(folder / "cache"), "TMPDIR": str(folder / "open")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if "Permission denied" in done.stderr:
            pytest.skip("another user cannot run this Python")
        assert done.stdout.strip() == str(folder / "open" / "zncc-65534"), done.stderr


def test_the_cache_folder_is_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZNCC_CACHE_DIR", str(tmp_path / "chosen"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert native.cache_folder() == tmp_path / "chosen"
    monkeypatch.delenv("ZNCC_CACHE_DIR")
    assert native.cache_folder() == tmp_path / "xdg" / "zncc"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert native.cache_folder() == tmp_path / "home" / ".cache" / "zncc"


def test_the_toolchain_names_what_is_there_and_how_to_mend_what_is_not() -> None:
    checks = native.toolchain()
    assert [check.name for check in checks] == ["C++ compiler", "ninja", "CUDA device", "nvcc", "cache"]
    for check in checks:
        assert check.found
        assert check.ok or check.fix
