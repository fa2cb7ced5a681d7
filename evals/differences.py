"""Where two identities differ, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def differences(ours: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two identities differ, one line a place: ``generation.num_beams: 1 → 3``."""
    lines: list[str] = []
    for key in sorted(set(ours) | set(theirs)):
        a, b = ours.get(key), theirs.get(key)
        if isinstance(a, list | tuple) and isinstance(b, list | tuple) and len(a) == len(b):
            a, b = ({str(i): item for i, item in enumerate(items)} for items in (a, b))
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {_short(a)} → {_short(b)}")
    return lines


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
