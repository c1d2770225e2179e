"""Transforms, fixed -> moving, and the models through which each is reached."""

from __future__ import annotations

from zncc_cli.config import NESTED_MODELS, Model

WARM_START: dict[Model, tuple[Model, ...]] = {model: NESTED_MODELS[: k + 1] for k, model in enumerate(NESTED_MODELS)}
"""The models that lead to each one, itself last: each is started from the result of the one before it."""
