"""Errors and log messages of tifffile, as an `InputError` of one line."""

from __future__ import annotations

import logging
import lzma
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tifffile

from zncc_cli.errors import ZnccError
from zncc_cli.files.paths import refusal, too_large_for_memory
from zncc_cli.text import one_line

# What tifffile and its codecs raise on damaged or unsupported files: with messages for users, and, where a tag holds
# nonsense, with messages about Python objects.
_DECODING_ERRORS = (OSError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, tifffile.TiffFileError)
UNCLEAR_ERRORS = (SyntaxError, TypeError, LookupError, ArithmeticError, AttributeError, AssertionError, struct.error)


@contextmanager
def input_errors(path: Path) -> Iterator[list[str]]:
    """Turn errors of tifffile into an `InputError`; yield the list of its log messages, kept from the terminal."""
    try:
        with _collected_log() as log, warnings.catch_warnings():
            # Libraries warn of odd metadata only; of damaged pixels they raise an error.
            warnings.simplefilter("ignore")
            yield log
    except ZnccError:
        raise
    except MemoryError:
        raise too_large_for_memory(path) from None
    except (*_DECODING_ERRORS, *UNCLEAR_ERRORS) as error:
        if "imagecodecs" in str(error):
            expected, advice = "a compression that can be read here", 'run: pip install "zncc-cli[codecs]"'
            raise refusal(path, expected=expected, found=str(error).strip("'"), advice=advice) from error
        advice = "copy or export the file again"
        found = "tags that make no sense" if isinstance(error, UNCLEAR_ERRORS) else error
        raise refusal(path, expected="a complete, readable TIFF", found=found, advice=advice) from error


@contextmanager
def _collected_log() -> Iterator[list[str]]:
    """Yield a list that collects what tifffile logs, and keep it from other handlers."""
    messages: list[str] = []

    def keep(record: logging.LogRecord) -> bool:
        messages.append(one_line(record.getMessage()))
        return False

    logger = logging.getLogger("tifffile")
    logger.addFilter(keep)
    try:
        yield messages
    finally:
        logger.removeFilter(keep)
