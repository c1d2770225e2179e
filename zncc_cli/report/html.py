"""HTML files that load nothing from outside themselves, filled from the templates of this package."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from zncc_cli.files.output_folder import atomic_write
from zncc_cli.text import shown

if TYPE_CHECKING:
    import jinja2

_TEMPLATES = Path(__file__).with_name("templates")


def write_html(path: Path, template: str, scripts: tuple[str, ...], content: dict[str, Any]) -> None:
    """Write ``template``, filled with ``content``, to ``path``.

    Text in ``content`` is escaped, so that it is never markup, and letters that cannot be shown are spelt out. The file
    holds its own style, ``style.css``, and the files ``scripts`` of the templates. Its content security policy allows a
    browser to run these two alone, by their hashes, and to load nothing but the pictures in the file.

    Raises:
        OutputError: the file cannot be written.
    """
    text = (
        _environment()
        .get_template(template)
        .render(
            content,
            style=_embedded("style.css"),
            script=_embedded(*scripts),
            policy=Markup(
                f"default-src 'none'; img-src data:; style-src {_digest('style.css')}; script-src {_digest(*scripts)}; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )
    with atomic_write(path) as file:
        file.write(text.encode())


def load_template(name: str) -> None:
    """Load Jinja and compile a template, which takes longer than to fill it."""
    _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    import jinja2  # takes its time to load

    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable(value: Any) -> Any:
    """Return ``value`` with characters spelt out that cannot be printed, as in the names of strangers' files.

    Such characters are controls, and marks that turn the direction of a line around.
    """
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _embedded(*names: str) -> Markup:
    """Return files of the templates, one after the other, as text that is not escaped."""
    return Markup("".join((_TEMPLATES / name).read_text(encoding="utf-8") for name in names))


def _digest(*names: str) -> str:
    """Return the hash of what `_embedded` returns as a content security policy names it."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(_embedded(*names).encode()).digest()).decode('ascii')}'"
