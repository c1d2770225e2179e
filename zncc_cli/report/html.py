"""HTML files that name nothing outside themselves, from the templates of this package."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from zncc_cli.files.folder import atomic_write
from zncc_cli.text import shown

_TEMPLATES = Path(__file__).with_name("templates")


def write_html(path: Path, template: str, script: str, content: dict[str, Any]) -> None:
    """Write ``template``, filled with ``content``, to ``path``.

    Text in ``content`` is text: it is escaped, and letters that cannot be shown are spelt out. Its style, "page.css",
    and the file ``script`` stand in the page. A browser is told by their hashes to obey nothing else, and to load
    nothing but the pictures in it.

    Raises:
        OutputError: the file cannot be written.
    """
    page = (
        _environment()
        .get_template(template)
        .render(
            content,
            style=_own("page.css"),
            script=_own(script),
            policy=Markup(
                f"default-src 'none'; img-src data:; style-src {_digest('page.css')}; script-src {_digest(script)}; "
                "base-uri 'none'; form-action 'none'"
            ),
        )
    )
    with atomic_write(path) as file:
        file.write(page.encode())


@cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable(value: Any) -> Any:
    """Names come from strangers: what would turn the line around, or is no letter at all, is spelt out."""
    return shown(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _own(name: str) -> Markup:
    return Markup((_TEMPLATES / name).read_text(encoding="utf-8"))


def _digest(name: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(_own(name).encode()).digest()).decode('ascii')}'"
