"""How MME's calculation.py reads an answer (function ``parse_pred_ans`` of its eval_tool)."""

from __future__ import annotations

from typing import Any

_PREFIX = 4  # characters


def mme(text: str, **_context: Any) -> tuple[str | None, str]:
    """``yes`` or ``no`` where the first four characters, lower-cased, contain it; None ("other") is wrong in MME.

    White space in front counts ("  yes" is unreadable), and so does any word: "know" and "Not sure" are no.
    """
    prefix = text.lower()[:_PREFIX]
    for value in ("yes", "no"):
        if value in prefix:
            return value, "prefix"
    return None, "other"
