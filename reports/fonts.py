"""Fonts for the labels of PDF and PNG figures: no label may come out as boxes.

DejaVu Sans comes with matplotlib and has Latin, Greek, Cyrillic and Arabic letters. For other scripts an installed font
is looked for among :data:`FAMILIES`; where there is none, the characters are written as code points and a note says
which font to install. An SVG keeps its text as text, so its reader's fonts serve.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

BASE = "DejaVu Sans"
FAMILIES = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans GB"),
    *("Noto Sans", "Noto Sans Hebrew", "Noto Sans Thai", "Noto Sans Devanagari", "Noto Sans Symbols2"),
)
REMEDY = "Install a font that has them (on Debian: fonts-noto-cjk for Chinese, Japanese and Korean) and export again."


@dataclass(frozen=True, slots=True)
class Choice:
    """Families to set labels in, the first that has a character serves; and the characters that none has."""

    families: tuple[str, ...]
    missing: frozenset[str]


def choose(labels: Iterable[str]) -> Choice:
    """The families that a figure's labels need."""
    wanted = {character for label in labels for character in label if not character.isspace()}
    wanted -= {character for character in wanted if ord(character) in _characters(BASE)}
    families = [BASE]
    for family in FAMILIES:
        if not wanted:
            break
        served = {character for character in wanted if ord(character) in _characters(family)}
        if served:
            families.append(family)
            wanted -= served
    return Choice(tuple(families), frozenset(wanted))


def spelled(label: str, missing: frozenset[str]) -> str:
    """The label with characters that no font has as their code points: ``[U+5355 U+8BCD]``."""
    if not missing:
        return label
    run = re.compile(f"[{re.escape(''.join(sorted(missing)))}]+")
    return run.sub(lambda match: "[" + " ".join(f"U+{ord(character):04X}" for character in match[0]) + "]", label)


def note(missing: Iterable[str]) -> str:
    """What to say of characters without a font; empty where there are none."""
    found = sorted(set(missing))
    if not found:
        return ""
    shown = " ".join(f"U+{ord(character):04X}" for character in found[:8]) + (" ..." if len(found) > 8 else "")
    return f"No installed font has {shown}; PDF and PNG show code points in their place. {REMEDY}"


@lru_cache(maxsize=32)
def _characters(family: str) -> frozenset[int]:
    """The code points that an installed family has; none where it is not installed."""
    from matplotlib import font_manager

    path = next((entry.fname for entry in font_manager.fontManager.ttflist if entry.name == family), None)
    return frozenset() if path is None else frozenset(font_manager.get_font(path).get_charmap())
