"""How POPE's evaluate.py reads an answer (AoiDragon/POPE, commit 08d957b)."""

from __future__ import annotations

from typing import Any

_NEGATIONS = {"No", "not", "no"}


def pope(text: str, **_context: Any) -> tuple[str | None, str]:
    """``no`` where the first sentence has the word "No", "no" or "not"; everything else, even nothing, is ``yes``.

    The sentence ends at the first full stop, commas vanish, and words are split at blanks only: "NO", "No!" and a "No"
    behind a line break all count as yes.
    """
    words = text.split(".", 1)[0].replace(",", "").split(" ")
    return ("no", "negation_word") if _NEGATIONS.intersection(words) else ("yes", "default_yes")
