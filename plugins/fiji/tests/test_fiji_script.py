"""The script for Fiji with the real command; ImageJ itself is stood in for, since there is no Fiji here."""

from __future__ import annotations

import os
import sys
import sysconfig
import types
from pathlib import Path

import numpy as np
import pytest
import tifffile

SCRIPT = Path(__file__).parents[1] / "ZNCC_Align.py"
SAMPLES = Path(__file__).parents[3] / "sample_data" / "translation"
COMMAND = Path(sysconfig.get_path("scripts")) / "zncc-align"


class ImagePlus:
    """What the script uses of ImageJ's images."""

    def __init__(self, title: str, pixels: np.ndarray) -> None:
        self.title, self.pixels, self.is_shown = title, pixels, False

    def duplicate(self) -> ImagePlus:
        return ImagePlus(self.title, self.pixels)

    def getTitle(self) -> str:  # noqa: N802
        return self.title

    def setTitle(self, title: str) -> None:  # noqa: N802
        self.title = title

    def show(self) -> None:
        self.is_shown = True


class StandIn:
    """ImageJ's class IJ: it writes and reads TIFFs, and keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.opened: list[ImagePlus] = []

    def saveAsTiff(self, image: ImagePlus, path: str) -> bool:  # noqa: N802
        tifffile.imwrite(path, image.pixels, imagej=True)
        return True

    def openImage(self, path: str) -> ImagePlus:  # noqa: N802
        self.opened.append(ImagePlus(os.path.basename(path), tifffile.imread(path)))  # noqa: PTH119
        return self.opened[-1]

    def log(self, words: str) -> None:
        self.said.append(f"log: {words}")

    def error(self, _title: str, words: str) -> None:
        self.said.append(f"error: {words}")

    def showMessage(self, _title: str, words: str) -> None:  # noqa: N802
        self.said.append(f"message: {words}")

    def showStatus(self, words: str) -> None:  # noqa: N802
        pass


def run(monkeypatch: pytest.MonkeyPatch, **changes: object) -> StandIn:
    """Run the script as Fiji does: what its dialog asks for are its variables."""
    stand_in = StandIn()
    monkeypatch.setitem(sys.modules, "ij", types.SimpleNamespace(IJ=stand_in))
    images = {name: ImagePlus(name, tifffile.imread(SAMPLES / f"{name}.tif")) for name in ("fixed", "moving")}
    variables = {**images, "model": "translation", "command": str(COMMAND), "options": "", **changes}
    exec(compile(SCRIPT.read_text(), str(SCRIPT), "exec"), variables)
    return stand_in


def test_the_aligned_image_is_opened_and_the_verdict_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    said = run(monkeypatch, options="--write aligned,transform,report")
    (aligned,) = said.opened
    assert aligned.is_shown
    assert aligned.title == "moving aligned"
    fixed = tifffile.imread(SAMPLES / "fixed.tif")
    assert aligned.pixels.shape == fixed.shape
    assert any(words.startswith("log: ZNCC Align: moving on fixed, ok: ") for words in said.said)
    assert not any(words.startswith(("error", "message")) for words in said.said)


def test_what_is_not_to_be_trusted_is_shown_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = ImagePlus("noise", np.random.default_rng(0).integers(0, 255, (128, 128)).astype(np.uint8))
    said = run(monkeypatch, moving=noise)
    assert len(said.opened) == 1
    assert any(words.startswith("message: Do not trust this result.") for words in said.said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": "/nowhere/zncc-align"}, "error: /nowhere/zncc-align cannot be run"),
        ({"options": "--window 1"}, "error: zncc-align: error: --window"),
    ],
)
def test_what_goes_wrong_is_said(monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], words: str) -> None:
    said = run(monkeypatch, **changes)
    assert said.said[-1].startswith(words)
    assert not said.opened
