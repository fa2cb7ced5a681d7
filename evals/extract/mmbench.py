"""How VLMEvalKit reads a multiple-choice reply (``can_infer``, vlmeval/utils/matching_util.py, commit e8e78f05).

MMBench, CCBench and most multiple-choice results of that suite rest on it. It has quirks that change scores and
are kept: a letter counts only among the last four words, "answer is" is followed by any word that begins with A to
D ("The answer is dog" is D), and an option's text counts wherever it occurs, even inside another word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evals.extract.text import option_map

_API_FAILURE = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_SEPARATORS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_LAST_WORDS = 4
_ANSWER_IS = re.compile(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**")


def mmbench(
    text: str, choices: Mapping[str, Any] | Sequence[Any] | None = None, **_context: Any
) -> tuple[str | None, str]:
    """The option letter as VLMEvalKit infers it, ``Z`` for what it counts as a refusal, None where it would ask a
    judge.

    Options without text must be left out of ``choices`` (that suite drops them too); without ``choices`` the
    letters A to H are options without texts.
    """
    options = option_map(choices)
    if _API_FAILURE not in text:
        if any(refusal in text for refusal in _REFUSALS):
            return "Z", "refusal"
        found = _letter(text, options)
        if found[0] is not None:
            return found
    return _option_text(text, options)


def _letter(text: str, options: dict[str, str]) -> tuple[str | None, str]:
    """The only option letter among the words, if it is one of the last four; else the letter behind "answer is"."""
    words = text.translate(_SEPARATORS).split()
    named = [letter for letter in options if letter in words]
    if len(named) == 1 and words.index(named[0]) >= len(words) - _LAST_WORDS:
        return named[0], "letter"
    if not named and "Z" in words:
        return "Z", "letter"
    match = _ANSWER_IS.search(text)
    if match and match[1].upper() in options:
        return match[1].upper(), "answer_is"
    return None, "none"


def _option_text(text: str, options: dict[str, str]) -> tuple[str | None, str]:
    """The only option whose text occurs in a reply of at most twice the length of all options."""
    reply = text.lower()
    texts = {letter: option.lower() for letter, option in options.items()}
    if len(reply) > 2 * sum(len(option) for option in options.values()) or not any(texts.values()):
        return None, "none"
    found = [letter for letter, option in texts.items() if option in reply]
    return (found[0], "option_text") if len(found) == 1 else (None, "several_options" if found else "none")
