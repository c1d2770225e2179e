"""The panel in a real napari, on a display that nobody needs to see (conftest.py)."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # napari and its libraries warn of each other
    napari = pytest.importorskip("napari", reason="napari: pip install 'plugins/napari[test]'")
    widget_module = pytest.importorskip("napari_zncc.widget", reason="this plug-in: pip install plugins/napari")
    from qtpy.QtWidgets import QApplication

from zncc_cli.files.transforms.transform_json import read_transform

pytestmark = pytest.mark.filterwarnings("ignore")
SHIFT = np.array([[1, 0, 6.0], [0, 1, -4.0], [0, 0, 1]])


def scene(shape: tuple[int, int], seed: int = 0, matrix: np.ndarray | None = None) -> np.ndarray:
    """A random texture of long waves, uint16, as an image of a motion (fixed -> moving) shows it."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    back = np.linalg.inv(np.eye(3) if matrix is None else matrix)
    x, y = back[0, 0] * x + back[0, 1] * y + back[0, 2], back[1, 0] * x + back[1, 1] * y + back[1, 2]
    waves = sum(np.cos(random.uniform(-0.5, 0.5) * x + random.uniform(-0.5, 0.5) * y + k) for k in range(40))
    return np.rint(20000 + 1500 * np.asarray(waves)).astype(np.uint16)


@pytest.fixture
def viewer() -> Iterator[napari.Viewer]:
    opened = napari.Viewer(show=False)
    yield opened
    opened.close()


@pytest.fixture
def panel(viewer: napari.Viewer) -> widget_module.AlignWidget:
    """The panel as napari opens it, by the manifest, beside a pair of layers."""
    viewer.add_image(scene((128, 140)), name="dapi 1", scale=(0.5, 0.5))
    viewer.add_image(scene((128, 140), matrix=SHIFT), name="dapi 2", colormap="green")
    _, opened = viewer.window.add_plugin_dock_widget("napari-zncc")
    return opened


def wait(until: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it takes too long"
        QApplication.processEvents()
        time.sleep(0.01)


def run(panel: widget_module.AlignWidget, model: str = "translation") -> None:
    panel.model.setCurrentText(model)
    panel.run.click()
    assert panel.cancel.isEnabled()
    assert not panel.run.isEnabled()
    wait(panel.run.isEnabled)


def test_two_layers_are_aligned_and_the_verdict_is_shown(
    panel: widget_module.AlignWidget, viewer: napari.Viewer
) -> None:
    assert (panel.fixed.currentText(), panel.moving.currentText()) == ("dapi 1", "dapi 2")
    assert not panel.save.isEnabled()
    run(panel)
    assert "Aligned" in panel.verdict.text()
    assert "the images agree" in panel.verdict.text()
    np.testing.assert_allclose(panel.result.matrix, SHIFT, atol=0.01)
    layer = viewer.layers["dapi 2 (aligned)"]
    assert (layer.data.dtype, layer.data.shape) == (np.uint16, (128, 140))
    np.testing.assert_array_equal(layer.scale, (0.5, 0.5))
    assert layer.colormap.name == "green"
    assert not viewer.layers["dapi 2"].visible  # its place is taken
    inner = np.s_[12:-12, 12:-12]
    assert np.abs(layer.data[inner].astype(float) - viewer.layers["dapi 1"].data[inner]).max() < 100


def test_the_transform_is_saved_for_the_commands(panel: widget_module.AlignWidget, tmp_path: Path) -> None:
    run(panel)
    panel.save_to(tmp_path / "t.json")
    saved = read_transform(tmp_path / "t.json")
    np.testing.assert_array_equal(saved.matrix, panel.result.matrix)
    assert (saved.fixed_shape, saved.status) == ((128, 140), "ok")


def test_a_run_can_be_cancelled_and_begun_again(panel: widget_module.AlignWidget, viewer: napari.Viewer) -> None:
    panel.model.setCurrentText("bspline")
    panel.run.click()
    wait(lambda: panel.bar.maximum() == 1000)  # it is on its way
    panel.cancel.click()
    wait(panel.run.isEnabled)
    assert "Cancelled" in panel.step.text()
    assert panel.result is None
    assert len(viewer.layers) == 2
    run(panel)
    assert len(viewer.layers) == 3


def test_progress_reaches_the_bar(panel: widget_module.AlignWidget) -> None:
    texts, shares = set(), [0]
    panel.model.setCurrentText("affine")
    panel.run.click()
    panel._job.said.connect(lambda text, share: (texts.add(text), shares.append(share)))
    wait(panel.run.isEnabled)
    assert any("refining" in text for text in texts)
    assert max(shares) > 0.8
    assert not panel.bar.isVisible()


def test_what_failed_adds_no_layer(panel: widget_module.AlignWidget, viewer: napari.Viewer) -> None:
    viewer.add_image(scene((128, 140), seed=9), name="elsewhere")
    panel.moving.setCurrentText("elsewhere")
    run(panel)
    assert "Failed" in panel.verdict.text()
    assert len(viewer.layers) == 3
    assert not panel.apply.isEnabled()
    assert not panel.flicker.isEnabled()
    panel.fixed.setCurrentText("elsewhere")
    panel.run.click()
    assert "expected two layers" in panel.verdict.text()


def test_points_layers_are_a_start(panel: widget_module.AlignWidget, viewer: napari.Viewer) -> None:
    """Points are placed in the world: those of the fixed layer, whose pixels are half as large, at half the numbers."""
    places = np.array([[20, 30], [100, 40], [60, 110]], dtype=float)
    viewer.add_points(0.5 * places, name="fixed points")
    viewer.add_points(places + np.array([-4, 6]), name="moving points")
    panel.fixed_points.setCurrentText("fixed points")
    with pytest.raises(ValueError, match="found those of one"):
        panel._landmarks()
    panel.moving_points.setCurrentText("moving points")
    fixed, moving = panel._landmarks()
    np.testing.assert_allclose(fixed, places[:, ::-1])
    np.testing.assert_allclose(moving, places[:, ::-1] + [6, -4])
    run(panel)
    np.testing.assert_allclose(panel.result.matrix, SHIFT, atol=0.01)


def test_other_layers_are_moved_alike(panel: widget_module.AlignWidget, viewer: napari.Viewer) -> None:
    """By whole pixels, so that every pixel inside is copied."""
    stack = np.stack([scene((128, 140), seed) for seed in (1, 2, 3)])
    labels = np.random.default_rng(0).integers(0, 5, (128, 140))
    colours = np.random.default_rng(1).integers(0, 255, (128, 140, 3)).astype(np.uint8)
    viewer.add_image(stack, name="stack", scale=(2, 1, 1))
    viewer.add_labels(labels, name="labels")
    viewer.add_image(colours, name="colours", rgb=True)
    run(panel)
    panel.result.matrix[:] = SHIFT
    assert [panel.others.item(row).text() for row in range(panel.others.count())] == ["stack", "labels", "colours"]
    for row in range(panel.others.count()):
        item = panel.others.item(row)
        item.setCheckState(widget_module.Qt.CheckState(2 if item.text() in ("stack", "labels", "colours") else 0))
    panel.apply.click()
    wait(panel.run.isEnabled)
    for name, pixels in (("stack", stack), ("labels", labels), ("colours", colours)):
        moved = viewer.layers[f"{name} (aligned)"]
        assert moved.data.dtype == pixels.dtype
        rows = np.s_[:, 4:, :-6] if name == "stack" else np.s_[4:, :-6]
        source = np.s_[:, :-4, 6:] if name == "stack" else np.s_[:-4, 6:]
        np.testing.assert_array_equal(moved.data[rows], pixels[source])
    np.testing.assert_array_equal(viewer.layers["stack (aligned)"].scale, (2, 0.5, 0.5))
    assert isinstance(viewer.layers["labels (aligned)"], napari.layers.Labels)


def test_flicker_shows_both_in_turn(
    panel: widget_module.AlignWidget, viewer: napari.Viewer, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(panel)
    layer = viewer.layers["dapi 2 (aligned)"]
    panel._timer.setInterval(20)
    panel.flicker.setChecked(True)
    fixed = viewer.layers["dapi 1"]
    wait(lambda: fixed.visible and not layer.visible)
    wait(lambda: layer.visible and not fixed.visible)
    panel.flicker.setChecked(False)
    assert layer.visible
    assert fixed.visible
    panel.flicker.setChecked(True)
    viewer.layers.remove(layer)
    assert not panel.flicker.isEnabled()


def test_layers_that_are_renamed_keep_their_place(panel: widget_module.AlignWidget, viewer: napari.Viewer) -> None:
    panel.fixed.setCurrentIndex(1)
    viewer.layers["dapi 2"].name = "new <b>name</b>"
    assert panel.fixed.currentText() == "new <b>name</b>"
