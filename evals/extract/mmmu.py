"""How MMMU's official evaluator reads a reply (mmmu/utils/eval_utils.py, commit bb0b95a).

Where the official code finds no option it draws one at random, so that the score depends on the order of the samples.
Here that is None with the rule ``official_random``; the metric then scores the expected value of the draw.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evals.extract.text import option_map

MULTIPLE_CHOICE = "multiple-choice"

_STRIPPED = ",.!?;:'"
_MIN_WORDS_FOR_TEXT = 6
_INDICATORS = ("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ")
_TRIVIAL = frozenset(":,.!?;'")
_NUMBER_PATTERNS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)


def mmmu(
    text: str,
    choices: Mapping[str, Any] | Sequence[Any] | None = None,
    options: Mapping[str, Any] | Sequence[Any] | None = None,
    question_type: str = MULTIPLE_CHOICE,
    **_context: Any,
) -> tuple[str | None, str]:
    """The option letter of a multiple-choice reply; the reply itself for an open question (the metric reads it).

    The options are ``choices`` or, as MMMU's own column is called, ``options``.

    Returns:
        The letter with ``bracketed``, ``letter`` or ``option_text``, or None with ``official_random``; for open
        questions the stripped reply with ``open``.
    """
    if question_type != MULTIPLE_CHOICE:
        return text.strip(), "open"
    return parse_choice(text, option_map(choices or options))


def parse_choice(text: str, options: Mapping[str, str]) -> tuple[str | None, str]:
    """The last option named as "(A)", else as the word "A", else by its text in a reply of more than five words."""
    for mark in _STRIPPED:
        text = text.strip(mark)
    reply = f" {text} "
    for rule, form in (("bracketed", "({})"), ("letter", " {} ")):
        last = {letter: reply.rfind(form.format(letter)) for letter in options}
        if found := _last_named(last):
            return found, rule
    if len(reply.split()) >= _MIN_WORDS_FOR_TEXT:
        lowered = reply.lower()
        if found := _last_named({letter: lowered.rfind(option.lower()) for letter, option in options.items()}):
            return found, "option_text"
    return None, "official_random"


def _last_named(positions: Mapping[str, int]) -> str | None:
    """The option whose position is largest (the first of equals), None if none was found (-1)."""
    found = {letter: at for letter, at in positions.items() if at >= 0}
    return max(found, key=lambda letter: found[letter]) if found else None


def parse_open(text: str) -> list[str | float]:
    """All strings and numbers that the reply to an open question may mean, normalised as the references are."""
    parts = _key_parts(text)
    numbers = [number for part in parts for pattern in _NUMBER_PATTERNS for number in pattern.findall(part)]
    return [value for part in [*parts, *numbers] for value in normalise(part)]


def _key_parts(text: str) -> list[str]:
    """The shortest tail behind an indicator word in each line that has one, or the whole reply."""
    reply = text.strip().strip(".").lower()
    lines = reply.split("\n")
    parts: list[str] = []
    for number, line in enumerate(lines, start=1):
        indicators = (*_INDICATORS, "=") if number == len(lines) else _INDICATORS  # an equation counts in the last line
        tails = [line.rsplit(indicator, 1)[1].strip() for indicator in indicators if indicator in line]
        shortest = _shortest(tails)
        if shortest and shortest not in _TRIVIAL:
            parts.append(shortest)
    return parts or [reply]


def _shortest(tails: Sequence[str]) -> str:
    """The first of the shortest tails; an empty tail is replaced by any later one, as in the original."""
    best = ""
    for tail in tails:
        if not best or len(tail) < len(best):
            best = tail
    return best


def normalise(text: str) -> list[str | float]:
    """A number rounded to two places, or the lower-cased text (one character with a blank on either side).

    Numbers are what Python's ``float`` reads once ASCII commas are gone.
    """
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        text = text.lower()
        return [" " + text, text + " "] if len(text) == 1 else [text]
