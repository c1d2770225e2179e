"""The rounds as they are read: their channels, the one that each is registered by, and whether they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from pathlib import Path

from zncc_cli.config.rounds import RoundsConfig
from zncc_cli.errors import InputError, OptionError
from zncc_cli.files.channels import Channels, channels_of, plain_stem
from zncc_cli.files.digest import digest
from zncc_cli.files.images import read_image
from zncc_cli.jobs.channel_view import ChannelView, exclude_no_data
from zncc_cli.text import shown


@dataclass(frozen=True, eq=False)
class Round:
    """One round.

    Attributes:
        path: its file.
        name: what its channels are told apart by; unique among the rounds.
        channels: of its image.
        by: number of the channel that is registered.
        view: the plane that is registered.
        digest: of the file.
        notes: a sentence for each choice that was not the user's.
    """

    path: Path
    name: str
    channels: Channels
    by: int
    view: ChannelView
    digest: str
    notes: tuple[str, ...]


def read_rounds(config: RoundsConfig) -> tuple[Round, ...]:
    """Read all rounds, and choose a plane of each that is registered.

    Raises:
        InputError: a file cannot be read, or has other axes than the fixed round.
        OptionError: a round has no channel of the name or number that is asked for.
    """
    digests = [digest(path) for path in config.images]
    images = [read_image(path, series=config.series, indices=config.resampling.labels) for path in config.images]
    all_channels = [channels_of(image) for image in images]
    _check_axes(all_channels, config.fixed_round)
    numbers, choice_notes = _registered_channels(all_channels, config.channel)
    names = _round_names([plain_stem(image) for image in images])
    rounds = []
    for k, (path, channels, by) in enumerate(zip(config.images, all_channels, numbers, strict=True)):
        middle = tuple(n // 2 for _, n in channels.others)
        view, gap_notes = exclude_no_data(
            ChannelView(channels.image, channels.index(by, middle)), config.registration.no_data
        )
        notes = (*images[k].notes, *channels.notes, *(choice_notes if k == 0 else ()), *gap_notes)
        rounds.append(Round(path, names[k], channels, by, view, digests[k], notes))
    return tuple(rounds)


def _check_axes(all_channels: list[Channels], fixed: int) -> None:
    expected = all_channels[fixed].others
    if bad := [letter for letter, _ in expected if letter not in "TZ"]:
        raise InputError(
            f"{shown(all_channels[fixed].image.metadata.path)}: expected axes T, Z, C, Y and X, which OME-TIFF holds, "
            f"found {bad[0]}; save the file as an OME-TIFF"
        )
    for channels in all_channels:
        if channels.others != expected:
            wanted, found = (
                " ".join(f"{letter} {n}" for letter, n in others) or "none" for others in (expected, channels.others)
            )
            raise InputError(
                f"{shown(channels.image.metadata.path)}: expected the axes beside channels that the fixed round has "
                f"({wanted}), found {found}; save the same planes of each round"
            )


def _registered_channels(all_channels: list[Channels], choice: str | None) -> tuple[list[int], tuple[str, ...]]:
    """Return the number of the channel of each round that is registered, and a sentence where nobody chose it."""
    if choice is not None:
        choices = _choices(all_channels, choice)
        return [channels.number(word, "channel") for channels, word in zip(all_channels, choices, strict=True)], ()
    shared = _shared_name(all_channels)
    if shared is not None:
        numbers = [[name.casefold() for name in channels.names].index(shared.casefold()) for channels in all_channels]
        return numbers, (
            f"registered by the channel named {shared}, which all rounds have; --channel NAME takes another",
        )
    if all(len(channels.names) == 1 for channels in all_channels):
        return [0] * len(all_channels), ()
    return [0] * len(all_channels), (
        "registered by channel 0 of each round, since no name is in all of them; --channel NAME,... takes others",
    )


def _shared_name(all_channels: list[Channels]) -> str | None:
    """Return the first name of the first round that every round gives to one channel."""
    if not all(channels.named for channels in all_channels):
        return None
    words = [[name.casefold() for name in channels.names] for channels in all_channels]
    return next(
        (name for name in all_channels[0].names if all(names.count(name.casefold()) == 1 for names in words)), None
    )


def _choices(all_channels: list[Channels], choice: str) -> list[str]:
    """Return what ``choice`` says of each round: one word for all, or one for each, divided by commas."""
    words = [choice]
    # The name of a channel may hold a comma.
    if not all(choice.casefold() in map(str.casefold, channels.names) for channels in all_channels):
        words = [word.strip() for word in choice.split(",")]
    if len(words) not in (1, len(all_channels)):
        raise OptionError(
            f"`channel` {choice}: expected one channel, or one for each of {len(all_channels)} rounds, got {len(words)}"
        )
    return words * (len(all_channels) // len(words))


def _round_names(stems: list[str]) -> list[str]:
    """Return a name for each round: its file's, with a number where several files have it.

    They differ as names of files do, in which blanks are written as "_".
    """
    plain = [_as_file_name(stem) for stem in stems]
    names, taken = list[str](), {name for name in plain if plain.count(name) == 1}
    for stem, name in zip(stems, plain, strict=True):
        if plain.count(name) == 1:
            names.append(stem)
            continue
        names.append(next(free for number in count(1) if _as_file_name(free := f"{stem} {number}") not in taken))
        taken.add(_as_file_name(names[-1]))
    return names


def _as_file_name(name: str) -> str:
    return name.replace(" ", "_").casefold()
