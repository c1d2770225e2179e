"""Compiles the CPU kernels into a wheel, where ZNCC_WHEEL_KERNELS asks for it; without, the wheel is for any platform.

    ZNCC_WHEEL_KERNELS=all python -m hatchling build -t wheel

"all", or some of plain, AVX2, AVX512 with commas. torch 2.10 or later must be there; the libraries use its stable ABI
alone (csrc/tensors.h sets the oldest version), and no Python: one wheel serves every Python and every such torch.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelsHook(BuildHookInterface):
    """The hook that hatchling calls before and after it makes a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the libraries that are asked for, and add them to the wheel."""
        chosen = os.environ.get("ZNCC_WHEEL_KERNELS", "")
        if not chosen or version == "editable":
            return
        sys.path.insert(0, self.root)
        from zncc_cli.operators import native, packaged

        wide = native.INSTRUCTION_SETS if platform.machine().lower() in ("x86_64", "amd64") else {}
        known = (packaged.PLAIN, *wide)
        names = known if chosen == "all" else [name.strip() for name in chosen.split(",")]
        unknown = set(names) - set(known)
        if unknown:
            raise ValueError(f"ZNCC_WHEEL_KERNELS: expected all, or some of {', '.join(known)}, got {chosen!r}")
        self._folder = tempfile.TemporaryDirectory(prefix="zncc-kernels-")
        for name in names:
            library = native.cpu_library(name)
            out = Path(self._folder.name, packaged.file_name(name))
            compile_library(library, Path(self.root, "csrc"), out)
            build_data["force_include"][str(out)] = f"zncc_cli/kernels/{out.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def compile_library(library: Any, csrc: Path, out: Path) -> None:
    """Compile a `zncc_cli.operators.build.Library` from its sources in ``csrc`` to the file ``out``."""
    from torch.utils import cpp_extension

    from zncc_cli.operators import toolchain

    compiler = toolchain.cxx_compiler()
    if compiler is None:
        raise RuntimeError("ZNCC_WHEEL_KERNELS: expected a C++ compiler, found none; install g++ or clang++")
    flags = [*library.cxx_flags, *(library.gcc_flags if toolchain.is_gcc() else ()), "-fPIC"]
    include = [f"-I{path}" for path in cpp_extension.include_paths()]
    objects = [out.with_suffix(f".{Path(source).stem}.o") for source in library.sources]

    def compile_one(number: int) -> None:
        source = csrc / library.sources[number]
        run([*compiler.split(), *flags, *include, "-c", str(source), "-o", str(objects[number])])

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(compile_one, range(len(objects))))
    if sys.platform == "darwin":  # torch's own libraries are loaded before this one
        link = ["-dynamiclib", "-undefined", "dynamic_lookup"]
    else:
        link = ["-shared", *(f"-L{path}" for path in cpp_extension.library_paths()), "-ltorch_cpu", "-s"]
    run([*compiler.split(), *map(str, objects), *link, "-o", str(out)])


def run(command: list[str]) -> None:
    """Run a compiler, and show what it says where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr}")
