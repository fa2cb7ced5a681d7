"""The reply itself, for metrics that do their own reading (VQA accuracy, ANLS, captions)."""

from __future__ import annotations

from typing import Any


def verbatim(text: str, **_context: Any) -> tuple[str | None, str]:
    """The reply without outer white space. An empty reply is a value, not a failure to parse."""
    return text.strip(), "verbatim"
