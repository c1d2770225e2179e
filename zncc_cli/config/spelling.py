"""How a command spells a setting."""

from __future__ import annotations

import re
from functools import cache

from zncc_cli.config import InputConfig, PairConfig, RegistrationConfig, ResamplingConfig
from zncc_cli.config.setting import settings_of

_PAIR_CONFIGS: tuple[type, ...] = (PairConfig, InputConfig, RegistrationConfig, ResamplingConfig)
# Between blanks, brackets and the punctuation of a sentence: elsewhere it is part of the name of a file.
_NAME = re.compile(r"(?<![^\s(])`([a-z0-9_]+)`(?=[.,;:)]*(?:\s|$))")


def all_configs() -> tuple[type, ...]:
    """Return the configs of all commands. Most commands need few of them, and loading all takes milliseconds."""
    from zncc_cli.config.apply import ApplyConfig
    from zncc_cli.config.batch import BatchConfig
    from zncc_cli.config.calibrate import CalibrateConfig
    from zncc_cli.config.check import CheckConfig
    from zncc_cli.config.evaluate import EvaluateConfig
    from zncc_cli.config.rounds import RoundsConfig
    from zncc_cli.config.stack import StackConfig
    from zncc_cli.config.stdmap import StdMapConfig
    from zncc_cli.config.strain import StrainConfig
    from zncc_cli.config.transforms import ComposeConfig, ConvertConfig, PointsConfig

    transforms = ConvertConfig, ComposeConfig, PointsConfig, StrainConfig
    jobs = ApplyConfig, StdMapConfig, BatchConfig, StackConfig, RoundsConfig, CalibrateConfig
    return *_PAIR_CONFIGS, *jobs, *transforms, EvaluateConfig, CheckConfig


def as_options(text: str) -> str:
    """Return ``text`` with settings in backticks spelled as options: `` `min_overlap` `` becomes ``--min-overlap``.

    Other words in backticks stay as they are, and so do names of files that hold such a word. The Python API says what
    a setting is called in Python; whatever a command prints or writes goes through here.
    """
    return _NAME.sub(lambda match: _option(match[1]) or match[0], text)


def _option(name: str) -> str | None:
    """Return the option of a setting; None where there is none of this name. All commands spell a setting alike."""
    return _options(_PAIR_CONFIGS).get(name) or _options(all_configs()).get(name)


@cache
def _options(configs: tuple[type, ...]) -> dict[str, str]:
    settings = (item for config in configs for item in settings_of(config).items())
    return {name: about.names(name)[0] for name, about in settings if not about.positional}
