"""A report and figures for HTML reports that need no registration, and a parser of HTML."""

from __future__ import annotations

import base64
import io
from dataclasses import fields
from html.parser import HTMLParser

import numpy as np
from PIL import Image as PillowImage

from zncc_cli.report.layers import Layers
from zncc_cli.report.pair_figures import PairFigures

REASON = "the images agree"
HOSTILE = "<img src=x onerror=alert(1)>\"'&{{7*7}}</script>\u202etif\n\x1b[31m\udcff.tif"


class ParsedHtml(HTMLParser):
    """A parsed HTML file: its elements (tag, attributes), and the text that it shows."""

    VOID = ("meta", "link", "img", "input", "br", "source")

    def __init__(self, content):
        super().__init__()
        self.elements, self.words, self.open = [], [], []
        self.feed(content)
        assert not self.open, f"not closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"title", "style", "script"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def decoded(uri):
    """Return the pixels of an embedded picture, RGBA if it has a palette."""
    head, content = uri.split(",", 1)
    assert head in ("data:image/jpeg;base64", "data:image/png;base64")
    picture = PillowImage.open(io.BytesIO(base64.b64decode(content)))
    return np.asarray(picture.convert("RGBA") if picture.mode == "P" else picture)


def report(**changes):
    """Return a report as ``report.json`` holds it."""
    level = {"model": "affine", "factor": 2, "loss": 0.5, "ending": "converged", "iterations": 3, "evaluations": 5}
    return {
        "status": "ok",
        "reasons": [REASON],
        "probability": 0.99996,
        "model": "affine",
        "model_asked": "affine",
        "selection": None,
        "inverted": False,
        "fixed": "slides/fixed.tif",
        "moving": "slides/moving.tif",
        "metrics": {
            "zncc_before": 0.2,
            "zncc_after": 0.9,
            "overlap": 0.98,
            "block_significance": 256.0,
            "ending": "converged",
        },
        "seconds": {"registration": 0.7, "total": 2.5},
        "levels": [{**level, "seconds": 0.02}, {**level, "factor": 1, "loss": 0.005, "seconds": 0.4}],
        "settings": {"out": "results", "registration": {"window": 11}},
        "backend": {"used": "native", "reason": "loaded from the cache", "device": "cpu"},
        "versions": {"zncc-cli": "0.1.0"},
        **changes,
    }


def pictures(shape=(90, 120), *, noise=True, **changes):
    """Return figures of a moving image that is a fortieth of the width off: white noise, or a lone bright square."""
    rng = np.random.default_rng(0)
    fixed = rng.normal(1000, 100, shape) if noise else np.full(shape, 100.0)
    if not noise:
        fixed[shape[0] // 3 : 2 * shape[0] // 3, shape[1] // 3 : 2 * shape[1] // 3] = 900
    everywhere = np.ones(shape, bool)
    maps = [rng.uniform(0, 1, shape) for _ in range(4)] if noise else [np.full(shape, 0.5)] * 4
    matrix = np.array([[1.0, 0.02, 3.0], [-0.02, 1.0, 0.0], [0.0, 0.0, 1.0]])
    given = {
        "fixed": fixed,
        "before": np.roll(fixed, shape[1] // 40, axis=1),
        "after": fixed.copy(),
        "valid_before": everywhere,
        "valid_after": everywhere,
        "zncc": maps[0],
        "std_fixed": maps[1],
        "std_aligned": maps[2],
        "expected_error": maps[3],
        "matrix": matrix,
    }
    given |= changes
    layers = Layers(**{field.name: given.pop(field.name) for field in fields(Layers) if field.name in given})
    return PairFigures(layers=layers, **given)


def nothing(shape=(90, 120)):
    """Return figures of a registration after which the images share no pixel."""
    nowhere, empty = np.zeros(shape, bool), np.full(shape, np.nan)
    return pictures(shape, valid_after=nowhere, after=empty, zncc=empty, std_aligned=empty, expected_error=None)
