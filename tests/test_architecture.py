"""Imports go down only: wings above wings, and inside a wing rooms above rooms. This test reads the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "zncc_cli"

# The wings that each wing may import beside itself. A name with a dot is a single room.
WINGS = {
    "text": (),
    "errors": (),
    "process": (),
    "config": ("errors", "text"),
    "operators": ("config", "errors"),
    "registration": ("operators", "config", "errors", "text"),
    "files": ("registration.transforms", "config", "errors", "text"),
    "report": ("files", "registration", "config", "errors", "text"),
    "jobs": ("report", "files", "registration", "operators.native", "config", "errors", "text", "process"),
    "cli": ("jobs", "config", "errors", "text", "process"),
}
# The rooms of a wing, floor by floor from the lowest: a room may import rooms of its own floor and of those below it.
# A room is a package or a module.
ROOMS = {
    "registration": (
        ("transforms", "pyramid", "geometry", "optimizer"),
        ("warp",),
        ("inputs", "resampling", "metric"),
        ("pair_pyramid", "refine"),
        ("search",),
        ("quality",),
        ("attempt", "retry", "register"),
        ("drift",),
    ),
    "operators": (
        ("toolchain",),
        ("build",),
        ("native",),
        ("native_ops", "dispatch"),
        ("fft", "local_std", "warp"),
        ("local_zncc",),
    ),
    "files": (
        ("memory", "paths", "metadata", "digest", "output_folder", "inflation"),
        ("image", "lazy", "pages", "zarr_store"),
        ("npy", "raster", "ome_zarr", "tiff", "transforms"),
        ("images", "image_output"),
    ),
    "jobs": (
        ("threads", "missing", "versions", "budget", "channel_view", "downsampling", "resampled"),
        ("pair", "stack", "apply", "stdmap", "transforms", "build", "doctor"),
        ("batch", "summary"),
    ),
}


def modules() -> dict[str, Path]:
    """Return every module of the package, by its name without `zncc_cli`, and its file."""
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}


MODULES = modules()


def imports(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zncc_cli"):
            base = (node.module or "").removeprefix("zncc_cli").lstrip(".")
            members = (f"{base}.{alias.name}".lstrip(".") for alias in node.names)
            names |= {member if member in MODULES else base for member in members}
    return names - {""}


def is_part_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_wing_imports_only_wings_below_it(module: str) -> None:
    wing = module.split(".")[0]
    assert wing in WINGS, f"{module} belongs to no wing"
    for imported in imports(MODULES[module]):
        allowed = any(is_part_of(imported, below) for below in (wing, *WINGS[wing]))
        assert allowed, f"{module} imports {imported}; {wing} may import {WINGS[wing]}"


@pytest.mark.parametrize("wing", ROOMS)
def test_a_room_imports_no_room_above_it(wing: str) -> None:
    floors = {f"{wing}.{room}": floor for floor, rooms in enumerate(ROOMS[wing]) for room in rooms}

    def room_of(module: str) -> str:
        return next((room for room in floors if is_part_of(module, room)), module)

    for module in (name for name in MODULES if room_of(name) in floors):
        for imported in map(room_of, imports(MODULES[module])):
            if imported in floors and imported != room_of(module):
                assert floors[imported] <= floors[room_of(module)], f"{module} imports {imported}, which is above it"


@pytest.mark.parametrize("wing", ROOMS)
def test_every_room_is_on_a_floor(wing: str) -> None:
    rooms = {room for floor in ROOMS[wing] for room in floor}
    assert {name.split(".")[1] for name in MODULES if name.startswith(f"{wing}.")} == rooms


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imports(path) & MODULES.keys() for name, path in MODULES.items()}
    while leaves := [name for name, below in graph.items() if not below & (graph.keys() - {name})]:
        for name in leaves:
            del graph[name]
    assert not graph, f"these modules import each other: {sorted(graph)}"


def test_files_report_and_commands_load_without_torch() -> None:
    light = ("config", "errors", "text", "files.images", "jobs.transforms", "jobs.summary")
    names = [n for n in MODULES if n.startswith(("cli", "report", "jobs.batch")) or n in light]
    program = f"import sys\nfor n in {names!r}: __import__('zncc_cli.' + n)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_public_names_are_importable() -> None:
    import zncc_cli

    for name in zncc_cli.__all__:
        assert getattr(zncc_cli, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = zncc_cli.nonsense
