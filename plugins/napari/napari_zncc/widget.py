"""The panel: two layers and a model in, an aligned layer and a verdict out."""

from __future__ import annotations

import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Points
from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QGroupBox,
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_zncc.alignment import LayerImage, layer_image, moved_pixels, register_layers, save_transform
from napari_zncc.job import Job
from zncc_cli.config import Model
from zncc_cli.config.spelling import as_options
from zncc_cli.errors import ZnccError
from zncc_cli.registration.quality.verdict import Status

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from zncc_cli.registration.register import RegistrationResult

_FLICKER_MS = 600
_NO_POINTS = "none: search"
_SHOWN = {
    Status.OK: ("✓ Aligned", "#1f8a4c"),
    Status.SUSPECT: ("! Suspect: look before you use it", "#b07a00"),
    Status.FAILED: ("✗ Failed: do not use it", "#c0392b"),
}


class AlignWidget(QWidget):
    """Aligns one image layer to another; every part of it works on the viewer that it is given."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._job: Job | None = None
        self.result: RegistrationResult | None = None
        self._fixed_layer: Any = None
        self._aligned_layer: Any = None
        self._made: list[Any] = []  # the layers that this panel has added
        self._build()
        self._timer = QTimer(self)
        self._timer.setInterval(_FLICKER_MS)
        self._timer.timeout.connect(self._swap)
        for event in (napari_viewer.layers.events.inserted, napari_viewer.layers.events.removed):
            event.connect(self._list_layers)
        self._list_layers()

    def _build(self) -> None:
        self.fixed, self.moving, self.model = QComboBox(), QComboBox(), QComboBox()
        self.fixed_points, self.moving_points = QComboBox(), QComboBox()
        self.model.addItems([str(model) for model in Model])
        self.model.setCurrentText(str(Model.AFFINE))
        self.model.setToolTip("The richest motion that is allowed. auto takes the simplest that explains the pair.")
        for box in (self.fixed, self.moving, self.model, self.fixed_points, self.moving_points):
            box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
            box.setMinimumContentsLength(8)
        for box in (self.fixed, self.moving):
            box.currentIndexChanged.connect(self._list_layers)
        self.run, self.cancel = QPushButton("Run"), QPushButton("Cancel")
        self.run.clicked.connect(self._run)
        self.cancel.clicked.connect(self._cancel)
        self.bar, self.step = QProgressBar(), QLabel("")
        self.bar.setRange(0, 1000)
        self.bar.setVisible(False)
        self.verdict = QLabel("")
        self.flicker = QPushButton("Flicker")
        self.flicker.setCheckable(True)
        self.flicker.toggled.connect(self._flicker)
        self.others, self.apply = QListWidget(), QPushButton("Move")
        self.others.setMaximumHeight(110)
        self.apply.clicked.connect(self._apply)
        self.save = QPushButton("Save transform...")
        self.save.clicked.connect(self._ask_where_to_save)
        for label in (self.step, self.verdict):
            label.setWordWrap(True)
            label.setTextFormat(Qt.TextFormat.RichText)
        form = QFormLayout()
        for name, box in (("Fixed", self.fixed), ("Moving", self.moving), ("Model", self.model)):
            form.addRow(name, box)
        start = QGroupBox("Start from landmarks")
        points = QFormLayout(start)
        points.addRow("Fixed", self.fixed_points)
        points.addRow("Moving", self.moving_points)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run)
        buttons.addWidget(self.cancel)
        further = QGroupBox("Move other layers")
        rows = QVBoxLayout(further)
        rows.addWidget(self.others)
        rows.addWidget(self.apply)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(start)
        layout.addLayout(buttons)
        for widget in (self.bar, self.step, self.verdict, self.flicker, further, self.save):
            layout.addWidget(widget)
        layout.addStretch()
        self._enable()

    # The layers.

    def _list_layers(self, _event: object = None) -> None:
        """Offer the layers of the viewer, and keep what is chosen."""
        images = [layer for layer in self._viewer.layers if isinstance(layer, Image)]
        points = [layer for layer in self._viewer.layers if isinstance(layer, Points)]
        for layer in self._viewer.layers:  # connecting twice does nothing
            layer.events.name.connect(self._list_layers)
        for box, choices, first in (
            (self.fixed, images, 0),
            (self.moving, images, 1),
            (self.fixed_points, [None, *points], 0),
            (self.moving_points, [None, *points], 0),
        ):
            chosen = box.currentData()
            box.blockSignals(True)
            box.clear()
            for layer in choices:
                box.addItem(_NO_POINTS if layer is None else layer.name, layer)
            places = [k for k, layer in enumerate(choices) if layer is chosen]
            box.setCurrentIndex(places[0] if places else min(first, len(choices) - 1))
            box.blockSignals(False)
        checked = [layer for layer, is_checked in self._other_layers() if is_checked]
        left_out = [self.fixed.currentData(), self.moving.currentData(), *self._made]
        self.others.clear()
        for layer in self._viewer.layers:
            if isinstance(layer, Image | Labels) and not any(layer is one for one in left_out):
                item = QListWidgetItem(layer.name)
                item.setData(Qt.ItemDataRole.UserRole, layer)
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
                is_checked = any(layer is one for one in checked)
                item.setCheckState(Qt.CheckState.Checked if is_checked else Qt.CheckState.Unchecked)
                self.others.addItem(item)
        if self._aligned_layer is not None and self._aligned_layer not in self._viewer.layers:
            self.flicker.setChecked(False)
            self._aligned_layer = None
        self._enable()

    def _other_layers(self) -> list[tuple[Any, bool]]:
        items = [self.others.item(row) for row in range(self.others.count())]
        return [(item.data(Qt.ItemDataRole.UserRole), item.checkState() == Qt.CheckState.Checked) for item in items]

    def _image_of(self, layer: Any) -> LayerImage:
        return layer_image(layer, self._viewer.dims.current_step)

    def _landmarks(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the landmarks (x, y) in pixels of both layers; None where none are chosen."""
        layers = self.fixed_points.currentData(), self.moving_points.currentData()
        if layers == (None, None):
            return None
        if None in layers:
            raise ValueError("Start from landmarks: expected points of both layers, found those of one")
        fixed, moving = (
            _in_pixels(points, image)
            for points, image in zip(layers, (self.fixed.currentData(), self.moving.currentData()), strict=True)
        )
        return fixed, moving

    # The registration.

    def _run(self) -> None:
        fixed_layer, moving_layer = self.fixed.currentData(), self.moving.currentData()
        try:
            if fixed_layer is moving_layer:
                raise ValueError("expected two layers, got one for both: choose another")
            fixed, moving, landmarks = self._image_of(fixed_layer), self._image_of(moving_layer), self._landmarks()
        except (ValueError, ZnccError) as error:
            self._fail(str(error))
            return
        model = self.model.currentText()
        self.flicker.setChecked(False)

        def work() -> tuple[RegistrationResult, np.ndarray | None]:
            result = register_layers(fixed, moving, model, landmarks)
            return result, None if result.status is Status.FAILED else moved_pixels(moving, result)

        self._start(work, lambda found: self._show(*found, fixed_layer, moving_layer))

    def _start(self, work: Any, done: Any) -> None:
        """Run a function in a thread, and call ``done`` with what it returns."""
        self.verdict.setText("")
        job = self._job = Job(work, self)
        job.said.connect(self._say)
        job.done.connect(lambda result: (self._end(), done(result)))
        job.failed.connect(lambda words: (self._end(), self._fail(words)))
        job.cancelled.connect(lambda: (self._end(), self.step.setText("Cancelled.")))
        self.bar.setRange(0, 0)
        self.bar.setVisible(True)
        self.step.setText("starting")
        self._enable()
        job.start()

    def _say(self, text: str, share: float) -> None:
        if self._job is None:
            return
        self.bar.setRange(0, 0 if share < 0 else 1000)
        self.bar.setValue(round(1000 * share))
        self.step.setText(html.escape(text))

    def _cancel(self) -> None:
        if self._job is not None:
            self.step.setText("cancelling")
            self._job.cancel()

    def _end(self) -> None:
        self._job = None
        self.bar.setVisible(False)
        self.step.setText("")
        self._enable()

    def _fail(self, words: str) -> None:
        self.verdict.setText(f"<span style='color:#c0392b'>{html.escape(as_options(words))}</span>")

    def _show(self, result: RegistrationResult, pixels: np.ndarray | None, fixed_layer: Any, moving_layer: Any) -> None:
        self.result, self._fixed_layer = result, fixed_layer
        self.verdict.setText(_verdict_words(result))
        if pixels is not None:
            self._aligned_layer = self._add(moving_layer, pixels)
            moving_layer.visible = False
        self._enable()

    def _add(self, layer: Any, pixels: np.ndarray) -> Any:
        """Add a layer like another one, with pixels on the grid of the fixed layer."""
        leading = layer.ndim - 2
        fixed = self._fixed_layer
        settings: dict[str, Any] = {
            "name": f"{layer.name} (aligned)",
            "scale": (*layer.scale[:leading], *fixed.scale[-2:]),
            "translate": (*layer.translate[:leading], *fixed.translate[-2:]),
            "opacity": layer.opacity,
            "blending": layer.blending,
        }
        if isinstance(layer, Labels):
            added = Labels(pixels, **settings)
        else:
            if not layer.rgb:
                settings |= {"colormap": layer.colormap, "contrast_limits": layer.contrast_limits, "gamma": layer.gamma}
            added = Image(pixels, rgb=layer.rgb, **settings)
        self._made.append(added)
        self._viewer.add_layer(added)
        return added

    # What follows a result.

    def _flicker(self, on: bool) -> None:
        if on:
            self._timer.start()
            return
        self._timer.stop()
        if self._aligned_layer is not None:
            self._aligned_layer.visible = self._fixed_layer.visible = True

    def _swap(self) -> None:
        """Show the fixed layer where the aligned one is shown, and the other way round."""
        if self._aligned_layer is not None:
            self._fixed_layer.visible = self._aligned_layer.visible
            self._aligned_layer.visible = not self._aligned_layer.visible

    def _apply(self) -> None:
        layers, result = [layer for layer, is_checked in self._other_layers() if is_checked], self.result
        if result is None or not layers:
            self._fail("Move other layers: tick the layers that are to be moved")
            return
        try:
            images = [self._image_of(layer) for layer in layers]
        except ValueError as error:
            self._fail(str(error))
            return
        words = self.verdict.text()

        def done(moved: list[np.ndarray]) -> None:
            self.verdict.setText(words)
            for layer, pixels in zip(layers, moved, strict=True):
                self._add(layer, pixels)

        self._start(lambda: [moved_pixels(image, result) for image in images], done)

    def _ask_where_to_save(self) -> None:
        name, _ = QFileDialog.getSaveFileName(self, "Save transform", "transform.json", "Transforms (*.json)")
        if name:
            self.save_to(Path(name))

    def save_to(self, path: Path) -> None:
        """Write the transform of the last result as transform.json."""
        assert self.result is not None
        try:
            save_transform(path if path.suffix else path.with_suffix(".json"), self.result)
        except ZnccError as error:
            self._fail(str(error))

    def _enable(self) -> None:
        is_running, has_result = self._job is not None, self.result is not None
        is_usable = has_result and self.result is not None and self.result.status is not Status.FAILED
        self.run.setEnabled(not is_running and self.fixed.count() > 1)
        self.cancel.setEnabled(is_running)
        self.flicker.setEnabled(self._aligned_layer is not None and not is_running)
        self.apply.setEnabled(is_usable and not is_running)
        self.save.setEnabled(has_result and not is_running)

    def closeEvent(self, event: Any) -> None:  # noqa: N802
        """End what runs, and stop flickering."""
        self._cancel()
        self._timer.stop()
        super().closeEvent(event)


def _in_pixels(points: Any, image: Any) -> np.ndarray:
    """Return the points (N, 2) of a layer as (x, y) in pixels of an image layer, wherever both layers lie."""
    world = [points.data_to_world(place) for place in points.data]
    count = image.ndim
    places = [image.world_to_data(tuple(place)[-count:]) for place in world]
    return np.array([[place[-1], place[-2]] for place in places], dtype=np.float64).reshape(-1, 2)


def _verdict_words(result: RegistrationResult) -> str:
    """Return the verdict with its reasons and figures, as rich text."""
    word, colour = _SHOWN[result.status]
    evidence, error = result.evidence, result.evidence.expected_error
    figures = [f"ZNCC {_number(evidence.zncc_before)} → {_number(evidence.zncc_after)}"]
    figures.append(f"probability of being right {min(max(result.probability, 0.001), 0.999):.3f}")
    if result.status is not Status.FAILED:
        figures.append(f"motion {evidence.motion:.2f} px at most")
        if error is not None:
            figures.append(f"expected error {error:.3f} px RMS")
    lines = "".join(f"<li>{html.escape(words)}</li>" for words in (*result.reasons, *figures))
    return f"<b style='color:{colour}'>{word}</b><ul style='margin-left:-22px'>{lines}</ul>"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
