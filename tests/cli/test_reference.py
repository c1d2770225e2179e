"""docs/cli.md and --help say what the commands do."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from zncc_cli.cli.main import app
from zncc_cli.cli.reference import reference
from zncc_cli.config.setting import Range, settings_of
from zncc_cli.config.spelling import all_configs, as_options

DOCUMENT = Path(__file__).parents[2] / "docs" / "cli.md"


def test_the_document_is_what_the_commands_say() -> None:
    expected = "run: python -m zncc_cli.cli.reference > docs/cli.md"
    assert DOCUMENT.read_text(encoding="utf-8") == reference(), expected


def test_every_command_has_a_section() -> None:
    headings = [line for line in reference().splitlines() if line.startswith("## ")]
    assert len(headings) == len(app.registered_commands)
    for command in app.registered_commands:
        assert command.callback is not None
        assert any(heading.endswith(command.callback.__name__) for heading in headings)


def test_every_setting_of_a_config_is_documented() -> None:
    document = reference()
    for config in all_configs():
        for name, about in settings_of(config).items():
            spelling = about.metavar if about.positional else about.names(name)[0]
            assert f"`{spelling}`".replace("|", r"\|") in document, f"{config.__name__}.{name}"


def test_no_help_names_a_setting_that_there_is_not() -> None:
    for config in all_configs():
        for name, about in settings_of(config).items():
            assert "`" not in as_options(f"{about.help} {about.default}"), f"{config.__name__}.{name}"


def test_options_of_one_name_are_spelled_alike_in_all_configs() -> None:
    spellings: dict[str, str] = {}
    for config in all_configs():
        for name, about in settings_of(config).items():
            if not about.positional:
                spelling = about.names(name)[0]
                assert spellings.setdefault(name, spelling) == spelling


def test_the_first_line_of_a_command_is_one_short_sentence() -> None:
    for command in app.registered_commands:
        first, blank = (inspect.getdoc(command.callback) or "").splitlines()[:2]
        assert first.endswith(".")
        assert len(first) < 60
        assert blank == ""


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("`min_overlap`: expected a fraction", "--min-overlap: expected a fraction"),
        ("try `model` rigid, or raise `max_motion`", "try --model rigid, or raise --max-motion"),
        ("`source_format`, `target_format`", "--from, --format"),
        ("run `zncc doctor`; `aligned.tif`, `images`", "run `zncc doctor`; `aligned.tif`, `images`"),
        ("give one (`page`), or `series`.", "give one (--page), or --series."),
        ("`window`x.tif: no image", "`window`x.tif: no image"),
        ("dir/`window`: found `window`.tif, a`window`", "dir/`window`: found `window`.tif, a`window`"),
    ],
)
def test_a_setting_in_backticks_is_spelled_as_its_option(text: str, spelled: str) -> None:
    assert as_options(text) == spelled


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (Range(kind="a fraction", above=0, at_most=1), "a fraction above 0 and at most 1"),
        (Range(kind="a whole number,", at_least=3), "a whole number, at least 3"),
    ],
)
def test_a_range_is_said_in_words(numbers: Range, words: str) -> None:
    assert str(numbers) == words
    assert 1 in numbers or 3 in numbers
    for value in (0, -1, float("nan"), float("inf")):
        assert value not in numbers


def test_a_range_takes_whole_numbers_beyond_the_floats() -> None:
    assert 10**400 in Range(kind="a whole number,", at_least=3)
    assert 10**400 not in Range(kind="a fraction", above=0, at_most=1)
