"""How MathVista's replies are read without a judge model.

First the official shortcuts (lupantech/MathVista evaluation/extract_answer.py), which need no judge: the reply is an
option's text, or parses as the number asked for, or says ``The answer is "...".``. Where the official code then asks a
judge model, our own reader goes on: an option as ``robust`` finds it, or the number that the reply states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evals.extract.robust import robust
from evals.extract.text import clean_reply, option_map

_QUOTED = re.compile(r'The answer is "(.*)"\.')
_NUMBER = r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:[eE][-+]?\d+)?"
_STATED = re.compile(rf"\banswer\s*(?:is|=|:)?\s*:?\s*(?:about |approximately )?\$?({_NUMBER})(?![\d/])", re.IGNORECASE)
_ANY_NUMBER = re.compile(r"(?<![\w.])[-+]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w/]|\.\d)")
_LIST = re.compile(r"\[[^\[\]]{0,200}\]")
MULTI_CHOICE = "multi_choice"


def mathvista(
    text: str,
    choices: Mapping[str, Any] | Sequence[Any] | None = None,
    question_type: str = "free_form",
    answer_type: str = "text",
    **_context: Any,
) -> tuple[str | None, str]:
    """The answer in the form asked for: an option's text, a number, a list or a text.

    Args:
        text: the reply.
        choices: the options of a multiple-choice question.
        question_type: ``multi_choice`` or ``free_form``.
        answer_type: ``text``, ``integer``, ``float`` or ``list``.

    Returns:
        The answer and its rule, or None and ``empty``, ``several_numbers``, ``none`` or what ``robust`` says.
    """
    if not text.strip():
        return None, "empty"
    quoted = _QUOTED.search(text)
    if question_type == MULTI_CHOICE:
        options = option_map(choices)
        if text in options.values():
            return text, "option_text"
        if quoted:
            return quoted[1], "quoted"
        letter, rule = robust(text, choices=options)
        return (options[letter] if letter is not None else None), rule
    if answer_type in ("integer", "float"):
        return _number(text, quoted)
    if quoted:
        return quoted[1], "quoted"
    if answer_type == "list":
        lists = _LIST.findall(text)
        return (lists[0], "list") if len(set(lists)) == 1 else (None, "none")
    return text.strip(), "reply"


def _number(text: str, quoted: re.Match[str] | None) -> tuple[str | None, str]:
    """The reply as a number, else the stated number, else the only one in the reply."""
    try:
        float(text)
    except ValueError:
        pass
    else:
        return text.strip(), "number"
    if quoted:
        return quoted[1], "quoted"
    reply = clean_reply(text)
    stated = {match[1].replace(",", "") for match in _STATED.finditer(reply) if any(c.isdigit() for c in match[1])}
    if len(stated) == 1:
        return stated.pop(), "stated_number"
    numbers = {number.replace(",", "") for number in _ANY_NUMBER.findall(reply)}
    if len(numbers) == 1:
        return numbers.pop(), "only_number"
    return None, "several_numbers" if numbers else "none"
