"""Text made safe for Markdown, and for any encoder."""

from __future__ import annotations

import re

_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def clean(text: str) -> str:
    """Text that can be encoded: surrogate pairs joined, lone surrogates replaced by U+FFFD, no NUL."""
    if text.isascii():
        return text.replace("\0", "\ufffd")
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").replace("\0", "\ufffd")


def true_minus(text: str) -> str:
    """The text with a minus sign where a hyphen stands before a number."""
    return re.sub(r"(?<!\w)-(?=\d)", "\u2212", text)


def code_spans(text: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it stood between backticks."""
    return [(piece, number % 2 == 1) for number, piece in enumerate(text.split("`")) if piece]


def escape(text: str) -> str:
    """Text as literal Markdown on one line: no markup, no HTML, no table bars, no mentions of people."""
    text = _SPECIAL.sub(r"\\\1", " ".join(clean(text).splitlines()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("@", "&#64;")


def code(text: str) -> str:
    """Text as a fenced block whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{clean(text)}\n{fence}\n"
