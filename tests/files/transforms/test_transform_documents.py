"""The commands and snippets of docs/transforms.md work, each in a process of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zncc_cli.files.transforms.formats import read_linear
from zncc_cli.files.transforms.side_files import write_displacement
from zncc_cli.files.transforms.transform_json import read_transform
from zncc_cli.registration.transforms.matrices import map_points

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "transforms.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [line for line in re.search(r"```sh\n(.*?)```", TEXT, re.DOTALL)[1].splitlines() if line.strip()]
PEERS = ("SimpleITK", "itk", "cv2", "skimage", "scipy", "pystackreg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which the commands were run."""
    folder = tmp_path_factory.mktemp("documents")
    for name in ("fixed.tif", "moving.tif"):
        shutil.copy(ROOT / "sample_data" / "affine" / name, folder)
    shutil.copy(ROOT / "sample_data" / "affine" / "truth.json", folder / "transform.json")
    own = read_transform(folder / "transform.json")
    write_displacement(folder / "displacement.tif", own.matrix, own.fixed_shape, own.moving_shape)
    (folder / "points.csv").write_text("name,x,y\na,10,20\n")
    points = np.array([[10.0, 20], [200, 30], [50, 180], [210, 190]])
    for name, places in (("fixed.csv", points), ("moving.csv", map_points(own.matrix, points))):
        np.savetxt(folder / name, places, delimiter=",", header="x,y", comments="")
    for line in COMMANDS:
        words = line.partition("#")[0].split()
        command = [str(Path(sysconfig.get_path("scripts")) / words[0]), *words[1:]]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


def test_the_commands_write_what_they_say(folder: Path) -> None:
    np.testing.assert_allclose(read_linear(folder / "both.json").matrix, np.eye(3), atol=1e-12)
    matrix = read_linear(folder / "transform.json").matrix
    np.testing.assert_array_equal(read_linear(folder / "back.json").matrix, matrix)
    x, y = (matrix @ [10, 20, 1])[:2].tolist()
    assert (folder / "moved.csv").read_text() == f"name,x,y\na,{x!r},{y!r}\n"


@pytest.mark.parametrize("snippet", SNIPPETS, ids=range(len(SNIPPETS)))
def test_the_snippets_align_the_moving_image(folder: Path, snippet: str) -> None:
    for peer in PEERS:
        if re.search(rf"^(import|from) {peer}\b", snippet, re.MULTILINE) and find_spec(peer) is None:
            pytest.skip(f"{peer} is what the snippet is about")
    program = snippet + "\nimport numpy\nnumpy.save('aligned.npy', aligned)\n"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, capture_output=True, timeout=120)
    aligned, fixed = np.load(folder / "aligned.npy").astype(float), tifffile.imread(folder / "fixed.tif").astype(float)
    assert aligned.shape == fixed.shape
    inner = (slice(20, -20), slice(20, -20))
    moving = tifffile.imread(folder / "moving.tif").astype(float)
    # Noise, exposure and lamps differ between the two: aligned, they correlate by 0.9 and more, before by much less.
    assert np.corrcoef(aligned[inner].ravel(), fixed[inner].ravel())[0, 1] > 0.9
    assert np.corrcoef(moving[inner].ravel(), fixed[inner].ravel())[0, 1] < 0.8
