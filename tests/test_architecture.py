"""Imports go down only: between packages, and between the subpackages of one. This test reads the imports."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "zncc_cli"

# What each package (or module) of zncc_cli may import beside itself. A name with a dot is a single subpackage.
MAY_IMPORT = {
    "text": (),
    "errors": (),
    "process": (),
    "progress": (),
    "config": ("errors", "text"),
    "operators": ("config", "errors", "progress"),
    "registration": ("operators", "config", "errors", "text", "progress"),
    "files": ("registration.transforms", "config", "errors", "text"),
    "report": ("files", "registration", "config", "errors", "text"),
    "jobs": ("report", "files", "registration", "operators.native", "config", "errors", "text", "process", "progress"),
    "cli": ("jobs", "config", "errors", "text", "process", "progress"),
}
# The subpackages and modules of a package, layer by layer from the lowest: one may import those of its own layer and of
# the layers below it.
LAYERS = {
    "registration": (
        ("transforms", "pyramid", "geometry", "optimizer"),
        ("warp",),
        ("inputs", "resampling", "metric"),
        ("pair_pyramid", "refine"),
        ("search",),
        ("quality",),
        ("nonrigid",),
        (
            "attempt",
            "retry",
            "pair_variant",
            "found",
            "texture_search",
            "variant_search",
            "stop_search",
            "bent",
            "register",
        ),
        ("whole_shift",),
        ("drift",),
    ),
    "operators": (
        ("toolchain",),
        ("build", "packaged"),
        ("native",),
        ("native_ops", "dispatch"),
        ("fft", "local_std", "pixels", "warp", "spline_system"),
        ("filters", "local_zncc", "pair_metric", "field_metric", "banded", "node_band"),
    ),
    "files": (
        ("memory", "paths", "dataset_path", "metadata", "palette", "options", "tag_values", "fits_header"),
        ("digest", "output_folder", "inflation", "png", "bmp", "pyramid", "kept_palette", "animation"),
        ("image", "image_digest", "array_image", "lazy", "pages", "channels", "zarr_store"),
        (
            "npy",
            "pnm",
            "raster_image",
            "raster_deep",
            "raster",
            "ome_zarr_array",
            "ome_zarr_metadata",
            "ome_zarr",
            "ngff",
            "tiff",
            "transforms",
            "landmarks",
            "placement",
            "world_file",
            "instruments",
        ),
        (
            *("formats", "png_output", "fits_output"),
            *("ome_zarr_output_layout", "ome_zarr_output_metadata", "ome_zarr_output"),
        ),
        ("images", "output_formats", "image_output"),
    ),
    "jobs": (
        (
            *("threads", "missing", "versions", "disk", "budget", "channel_view", "downsampling", "calibration"),
            *("row_file", "bigwarp", "reproducible", "stains", "samples"),
        ),
        ("resampled",),
        ("pair", "stack", "stdmap", "strain", "transforms", "movers", "build", "doctor"),
        ("apply", "evaluate", "check", "rounds", "calibrate"),
        ("batch", "summary"),
    ),
}


def modules() -> dict[str, Path]:
    """Return every module of the package, by its name without `zncc_cli`, and its file."""
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}


MODULES = modules()


def imports(source: str) -> set[str]:
    """Return the modules of the package that a source imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name.removeprefix("zncc_cli.") in MODULES else node.module for name in members}
    return {name.removeprefix("zncc_cli.") for name in names if name.startswith("zncc_cli.")}


IMPORTS = {name: imports(path.read_text()) for name, path in MODULES.items()}


def is_part_of(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_every_form_of_import_is_seen() -> None:
    assert imports("from zncc_cli.files import images") == {"files.images"}
    assert imports("from zncc_cli.files.images import read_image") == {"files.images"}
    assert imports("from zncc_cli import files, __version__") == {"files"}
    assert imports("def f():\n    import os, zncc_cli.files.images as images") == {"files.images"}
    assert imports("import zncc_cli, zncc_client.files") == set()
    assert not any(isinstance(node, ast.ImportFrom) and node.level for node in all_nodes()), "relative imports"


def all_nodes() -> Iterator[ast.AST]:
    for path in MODULES.values():
        yield from ast.walk(ast.parse(path.read_text()))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_package_imports_only_packages_below_it(module: str) -> None:
    package = module.split(".")[0]
    assert package in MAY_IMPORT, f"{module} belongs to no package"
    for imported in IMPORTS[module]:
        allowed = any(is_part_of(imported, below) for below in (package, *MAY_IMPORT[package]))
        assert allowed, f"{module} imports {imported}; {package} may import {MAY_IMPORT[package]}"


@pytest.mark.parametrize("package", LAYERS)
def test_a_subpackage_imports_none_above_it(package: str) -> None:
    layers = {f"{package}.{member}": layer for layer, members in enumerate(LAYERS[package]) for member in members}

    def member_of(module: str) -> str:
        return next((member for member in layers if is_part_of(module, member)), module)

    for module in (name for name in MODULES if member_of(name) in layers):
        for imported in map(member_of, IMPORTS[module]):
            if imported in layers and imported != member_of(module):
                assert layers[imported] <= layers[member_of(module)], f"{module} imports {imported}, which is above it"


@pytest.mark.parametrize("package", LAYERS)
def test_every_subpackage_is_in_a_layer(package: str) -> None:
    members = {member for layer in LAYERS[package] for member in layer}
    assert {name.split(".")[1] for name in MODULES if name.startswith(f"{package}.")} == members


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: imported & MODULES.keys() for name, imported in IMPORTS.items()}
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
