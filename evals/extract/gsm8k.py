"""How GSM8K replies are read: the number behind "####", a stated answer, or the last number."""

from __future__ import annotations

import re
from typing import Any

_NUMBER = r"-?\$?\d[\d,]*(?:\.\d+)?"
_MARKED = re.compile(r"####\s*(-?[0-9.,]+)")
_STATED = re.compile(rf"\banswer\s*(?:is|:|=)\s*:?\s*\$?\s*({_NUMBER})", re.IGNORECASE)
_ANY = re.compile(_NUMBER)


def gsm8k(text: str, **_context: Any) -> tuple[str | None, str]:
    """The final number, without thousands separators, currency sign and trailing stop.

    ``marked`` is the format of the data set ("#### 18", as in OpenAI's grade-school-math); ``stated`` is the last
    "the answer is 18"; ``last_number`` is what lm-evaluation-harness calls flexible-extract. None where the reply
    has no number.
    """
    for rule, pattern in (("marked", _MARKED), ("stated", _STATED), ("last_number", _ANY)):
        found = [_plain(value) for value in pattern.findall(text)]
        found = [value for value in found if any(c.isdigit() for c in value)]
        if found:
            return (found[0] if rule == "marked" else found[-1]), rule
    return None, "none"


def _plain(number: str) -> str:
    return number.replace(",", "").replace("$", "").rstrip(".")
