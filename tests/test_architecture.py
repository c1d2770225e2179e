"""Imports go down only; this test reads them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "zncc_cli"

# What each part may import of ours. A part is the longest name here that a module's name begins with.
ALLOWED = {
    "errors": (),
    "config": ("config", "errors"),
    "process": (),
    "settings": ("config", "errors"),
    "operators": ("operators", "config", "errors"),
    "registration.pyramid": (),
    "registration.warp": ("operators", "registration.pyramid", "registration.transforms", "config"),
    "registration.digits": (),
    "registration.overlap": (),
    "registration.interpolators": ("operators.warp", "registration.warp", "config"),
    "registration.resample": (
        "operators.warp",
        "registration.interpolators",
        "registration.overlap",
        "registration.warp",
        "config",
    ),
    "registration.canvas": ("registration.overlap", "registration.warp", "config", "errors"),
    "registration.matrix_gradient": ("registration.warp",),
    "registration.optimizer": ("config",),
    "registration.transforms": ("registration.transforms", "config", "errors"),
    "registration.zncc": ("operators", "errors"),
    "registration.bound": ("registration.warp",),
    "registration.initialization": (
        "operators",
        "registration.bound",
        "registration.pyramid",
        "registration.warp",
        "config",
    ),
    "registration.objective": (
        "operators",
        "registration.matrix_gradient",
        "registration.pyramid",
        "registration.transforms",
        "registration.warp",
        "registration.zncc",
        "config",
    ),
    "registration.spectrum": ("registration.zncc",),
    "registration.look": (
        "operators",
        "registration.matrix_gradient",
        "registration.objective",
        "registration.pyramid",
        "registration.spectrum",
        "registration.warp",
        "registration.zncc",
        "config",
    ),
    "registration.refinement": (
        "registration.look",
        "registration.optimizer",
        "registration.pyramid",
        "registration.transforms",
        "registration.warp",
        "config",
    ),
    "registration.frames": (
        "registration.inpainting",
        "registration.inputs",
        "registration.look",
        "registration.pyramid",
        "registration.refinement",
        "registration.spectrum",
        "registration.transforms",
        "registration.verdict",
        "registration.warp",
        "registration.zncc",
        "config",
    ),
    "registration.parts": (),
    "registration.drift": ("registration.frames", "registration.parts", "registration.transforms"),
    "registration.texture": ("registration.pyramid", "registration.zncc"),
    "registration.no_data": ("config",),
    "registration.inpainting": (),
    "registration.hot_pixels": ("registration.pyramid",),
    "registration.inputs": ("registration.no_data", "registration.warp", "config", "errors"),
    "registration.descent": (
        "registration.bound",
        "registration.initialization",
        "registration.objective",
        "registration.optimizer",
        "registration.overlap",
        "registration.pyramid",
        "registration.transforms",
        "registration.warp",
        "config",
    ),
    "registration.selection": (
        "registration.digits",
        "registration.look",
        "registration.optimizer",
        "registration.pyramid",
        "registration.transforms",
        "registration.warp",
        "config",
    ),
    "registration.uncertainty": ("registration.transforms", "registration.warp", "config"),
    "registration.rival": ("registration.initialization", "registration.pyramid", "registration.warp", "config"),
    "registration.verdict": ("registration.digits", "registration.optimizer", "config"),
    "registration.border": (
        "registration.optimizer",
        "registration.pyramid",
        "registration.refinement",
        "registration.uncertainty",
        "registration.verdict",
        "registration.warp",
        "registration.zncc",
        "config",
    ),
    "registration.evidence": (
        "registration.border",
        "registration.hot_pixels",
        "registration.look",
        "registration.objective",
        "registration.optimizer",
        "registration.pyramid",
        "registration.refinement",
        "registration.rival",
        "registration.transforms",
        "registration.uncertainty",
        "registration.verdict",
        "registration.warp",
        "config",
    ),
    "registration.misfit": (
        "registration.evidence",
        "registration.frames",
        "registration.verdict",
        "config",
    ),
    "registration.window": ("registration.objective", "registration.verdict", "config"),
    "registration.candidates": (
        "registration.initialization",
        "registration.look",
        "registration.optimizer",
        "registration.pyramid",
        "registration.refinement",
        "registration.selection",
        "registration.warp",
        "config",
    ),
    "registration.attempt": (
        "registration.border",
        "registration.bound",
        "registration.candidates",
        "registration.descent",
        "registration.evidence",
        "registration.objective",
        "registration.overlap",
        "registration.pyramid",
        "registration.refinement",
        "registration.selection",
        "registration.uncertainty",
        "registration.verdict",
        "registration.window",
        "config",
    ),
    "registration.register": ("operators", "registration", "config", "errors"),
    "registration.joining": (
        "registration.drift",
        "registration.frames",
        "registration.parts",
        "registration.register",
        "registration.verdict",
        "registration.warp",
        "config",
    ),
    "files": ("files", "registration.transforms", "config", "errors"),
    "jobs": ("jobs", "files", "registration", "operators.native", "settings", "process", "config", "errors"),
    "cli": ("cli", "jobs", "files.paths", "process", "config", "errors"),
}


def modules() -> dict[str, Path]:
    names = {".".join(p.relative_to(PACKAGE).with_suffix("").parts): p for p in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}


def part_of(module: str) -> str:
    parts = [part for part in ALLOWED if module == part or module.startswith(part + ".")]
    return max(parts, key=len, default=module)


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("zncc_cli"):
            base = node.module.removeprefix("zncc_cli").lstrip(".")
            for alias in node.names:
                name = f"{base}.{alias.name}".lstrip(".")
                found.add(name if name in modules() else base)
    return found - {""}


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_go_down_only(module: str) -> None:
    part = part_of(module)
    if part not in ALLOWED:
        assert not imports(modules()[module]), f"{module} belongs to no part of the house"
        return
    for imported in imports(modules()[module]):
        allowed = any(imported == a or imported.startswith(a + ".") for a in ALLOWED[part])
        assert allowed, f"{module} imports {imported}; {part} may import {ALLOWED[part]}"


def test_files_wing_and_commands_load_without_torch() -> None:
    light = ("config", "errors", "files.images", "files.report", "files.batch_page", "jobs.transforms", "jobs.summary")
    names = [n for n in modules() if n.startswith(("cli", "jobs.batch")) or n in light]
    program = f"import sys\nfor n in {names!r}: __import__('zncc_cli.' + n)\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_public_names_are_importable() -> None:
    import zncc_cli

    for name in zncc_cli.__all__:
        assert getattr(zncc_cli, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = zncc_cli.nonsense
