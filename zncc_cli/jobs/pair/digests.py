"""What a pair's images hold, each as one short text."""

from __future__ import annotations

from zncc_cli.config import PairConfig
from zncc_cli.files.digest import digest
from zncc_cli.files.images import check_kind


def digests(config: PairConfig) -> dict[str, str]:
    """Return the `digest` of both images, by "fixed" and "moving".

    Raises:
        InputError: one of them is no image, or cannot be read.
    """
    found = {}
    for name, path in (("fixed", config.fixed), ("moving", config.moving)):
        check_kind(path)  # a folder may hold anything
        found[name] = digest(path)
    return found
