"""How VLMEvalKit reads a yes/no reply (``YOrN_Extraction``, vlmeval/dataset/utils/yorn.py, commit e8e78f05).

HallusionBench, POPE, MME and AMBER results of that suite rest on it where no judge model is asked.
"""

from __future__ import annotations

import re
from typing import Any

_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_PERIOD = re.compile(r"(?<!\d)\.(?!\d)")
_PERIODS_REMOVED = 32  # the original passes the flag re.UNICODE (32) where ``re.sub`` takes its count


def vlmevalkit_yes_no(text: str, **_context: Any) -> tuple[str | None, str]:
    """``yes`` or ``no`` if exactly one of the two is a word of the reply; None ("Unknown") if both or neither are."""
    words = _without_punctuation(text.lower()).split()
    found = [value for value in ("yes", "no") if value in words]
    if len(found) == 1:
        return found[0], "word"
    return None, "both" if found else "neither"


def _without_punctuation(text: str) -> str:
    """A mark beside a blank vanishes, one inside a word becomes a blank; all vanish if a number has a comma."""
    number = _COMMA_IN_NUMBER.search(text) is not None
    out = text
    for mark in _PUNCTUATION:
        vanishes = number or mark + " " in text or " " + mark in text
        out = out.replace(mark, "" if vanishes else " ")
    return _PERIOD.sub("", out, count=_PERIODS_REMOVED)
