"""Every choice and every setting, in one place: commands, errors, reports and docs/cli.md read them from here.

Configs are frozen keyword-only dataclasses. Each field's metadata is its `Setting`: help, default in words, range;
``__post_init__`` validates and raises `OptionError`. An error names a setting in backticks, as Python spells it
(`` `min_overlap` ``); the commands spell it as their option (`zncc_cli.config.spelling`). Standard library only.
"""

from zncc_cli.config.choices import (
    GPU_PIXELS,
    NESTED_MODELS,
    Accept,
    Backend,
    Canvas,
    Choice,
    Contrast,
    Device,
    Flip,
    ImageFormat,
    Interpolation,
    Method,
    Model,
    Optimizer,
    Product,
    Pyramid,
    StdScale,
    TransformFormat,
    choose,
    coerce,
)
from zncc_cli.config.inputs import InputConfig
from zncc_cli.config.pair import GRID, IDENTITY, PairConfig, chosen_products
from zncc_cli.config.registration import (
    DEFAULT_MIN_OVERLAP,
    DEFAULT_SPACING,
    FALLBACK_MIN_OVERLAP,
    RegistrationConfig,
)
from zncc_cli.config.resampling import EDGE, ResamplingConfig
from zncc_cli.config.shared import AUTO, BEST, DEFAULT_WINDOW, LUMINANCE, NONE, SMALLEST_WINDOW, STAINS

__all__ = [
    "AUTO",
    "BEST",
    "DEFAULT_MIN_OVERLAP",
    "DEFAULT_SPACING",
    "DEFAULT_WINDOW",
    "EDGE",
    "FALLBACK_MIN_OVERLAP",
    "GPU_PIXELS",
    "GRID",
    "IDENTITY",
    "LUMINANCE",
    "NESTED_MODELS",
    "NONE",
    "SMALLEST_WINDOW",
    "STAINS",
    "Accept",
    "Backend",
    "Canvas",
    "Choice",
    "Contrast",
    "Device",
    "Flip",
    "ImageFormat",
    "InputConfig",
    "Interpolation",
    "Method",
    "Model",
    "Optimizer",
    "PairConfig",
    "Product",
    "Pyramid",
    "RegistrationConfig",
    "ResamplingConfig",
    "StdScale",
    "TransformFormat",
    "choose",
    "chosen_products",
    "coerce",
]
