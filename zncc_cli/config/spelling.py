"""How a command spells a setting."""

from __future__ import annotations

import re

from zncc_cli.config import (
    ApplyConfig,
    InputConfig,
    PairConfig,
    RegistrationConfig,
    ResamplingConfig,
    StdMapConfig,
)
from zncc_cli.config.batch import BatchConfig
from zncc_cli.config.setting import settings_of
from zncc_cli.config.stack import StackConfig
from zncc_cli.config.transforms import ComposeConfig, ConvertConfig, PointsConfig

CONFIGS: tuple[type, ...] = (
    *(PairConfig, InputConfig, RegistrationConfig, ResamplingConfig, ApplyConfig, StdMapConfig, BatchConfig),
    *(StackConfig, ConvertConfig, ComposeConfig, PointsConfig),
)
# Each option once: a name has one spelling, whichever commands have it.
_OPTIONS = {
    name: about.names(name)[0]
    for config in CONFIGS
    for name, about in settings_of(config).items()
    if not about.positional
}
# Between blanks, brackets and the punctuation of a sentence: elsewhere it is part of the name of a file.
_NAME = re.compile(r"(?<![^\s(])`([a-z_]+)`(?=[.,;:)]*(?:\s|$))")


def as_options(text: str) -> str:
    """Return ``text`` with settings in backticks spelled as options: `` `min_overlap` `` becomes ``--min-overlap``.

    Other words in backticks stay as they are, and so do names of files that hold such a word. The Python API says what
    a setting is called in Python; whatever a command prints or writes goes through here.
    """
    return _NAME.sub(lambda match: _OPTIONS.get(match[1], match[0]), text)
