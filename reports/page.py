"""One self-contained HTML file: templates filled with autoescape, style and script inlined under a strict policy."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from evals.files import write_bytes
from reports import format as fmt
from reports.markdown import clean

_HERE = Path(__file__).parent
_JSON_ESCAPES = (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))


def escaped_json(value: Any) -> Markup:
    """JSON for a script block: nothing in it can end the block, open a comment or break a line."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character, escape in _JSON_ESCAPES:
        text = text.replace(character, escape)
    return Markup(text)  # noqa: S704 - escaped above


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def content_security_policy(style: str, scripts: Sequence[str], *, served: bool = False) -> str:
    """A policy that lets in exactly this style, these scripts and pictures inside the file; no network at all.

    A ``served`` page may also ask the server that it came from for samples and pictures.
    """
    pictures = "'self'; connect-src 'self'" if served else "data:"
    script_sources = " ".join(f"'{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; img-src {pictures}; style-src '{_digest(style)}'; script-src {script_sources}; "
        "base-uri 'none'; form-action 'none'"
    )


@lru_cache(maxsize=8)
def static(name: str) -> str:
    """A file of ``reports/static``."""
    return (_HERE / "static" / name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["fmt"] = fmt
    environment.filters["clean"] = clean
    return environment


def render(
    template: str, context: Mapping[str, Any], *, scripts: Sequence[str], data: Any = None, served: bool = False
) -> str:
    """Fill a page template.

    Args:
        template: file name under ``reports/templates``.
        context: what the template shows.
        scripts: files of ``reports/static`` that the page needs, in order.
        data: JSON value for the page's one data block; None for a page without.
        served: whether a server answers the page's questions; otherwise the file is all there is.

    Returns:
        The whole page, a string that can be encoded as UTF-8.
    """
    style, sources = static("report.css"), [static(name) for name in scripts]
    html = (
        _environment()
        .get_template(template)
        .render(
            **context,
            policy=content_security_policy(style, sources, served=served),
            served=served,
            style=Markup(style),  # noqa: S704 - our own files
            scripts=[Markup(source) for source in sources],  # noqa: S704
            data=None if data is None else escaped_json(data),
        )
    )
    return html if html.isascii() else clean(html)


def write(path: Path, text: str) -> Path:
    """Write a text file whole or not at all; raises ``StoreError`` where the folder cannot be written."""
    write_bytes(path, text.encode("utf-8"))
    return path
