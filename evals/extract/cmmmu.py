"""How CMMMU's official evaluator reads a reply (eval/utils/eval_utils.py, commit e1ba883).

As in MMMU, None with the rule ``official_random`` stands where the official code draws at random.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from evals.extract.text import option_map

CHOICE, FILL_BLANK, TRUE_FALSE = "选择", "填空", "判断"

_LETTERS = "ABCD"
_STRIPPED = ",.!?;:'"
_TRIVIAL = frozenset(":,.!?;'")
_BLANK_INDICATORS = ("是", "为", "所以", "等于", "方案", "选择", "正确答案", "因此", "最后", "答案", "结果")
_TRUE_FALSE_INDICATORS = ("是", "为", "所以", "判断", "陈述", "说法", "表达", "答案", "结果")
_POSITIVE = ("正确", "对", "准确", "肯定", "对的")
_NEGATIVE = ("不对", "错误", "不正确", "不准确", "不合适", "否定", "错的", "错")
_AMBIGUOUS = ("对错", "是否正确", "否正确", "或者", "是否", "正确性", "对不")
_NUMBER_PATTERNS = (
    re.compile(r"-?\d{1,3}(?:，\d{3})+"),
    re.compile(r"-?\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+)(?![eE][+-]?\d+)(?!，\d)"),
)
# How much longer than the reference a string may be, in characters and in Latin letters, before it is dropped.
_EXTRA_CHARS, _EXTRA_LETTERS = 20, 2


def cmmmu(
    text: str,
    choices: Mapping[str, Any] | Sequence[Any] | None = None,
    question_type: str = CHOICE,
    **_context: Any,
) -> tuple[str | None, str]:
    """Letters (as in "AC"), 对 or 错, or the reply itself for a blank (the metric reads it).

    Returns:
        The value and its rule, or None with ``official_random``.
    """
    if question_type == CHOICE:
        return parse_choice(text, option_map(choices))
    if question_type == TRUE_FALSE:
        return parse_true_false(text)
    return text.strip(), "open"


def parse_choice(text: str, options: Mapping[str, str]) -> tuple[str | None, str]:
    """The letters named most often: as "(A)", else as "A" anywhere (inside words too), else by the options' texts."""
    for mark in _STRIPPED:
        text = text.strip(mark)
    reply = f" {text} "
    counts = {
        "bracketed": {letter: reply.count(f"({letter})") for letter in _LETTERS},
        "letter": {letter: reply.count(letter) for letter in _LETTERS},
        "option_text": {letter: reply.count(option) for letter, option in options.items() if text.split()},
    }
    for rule, named in counts.items():
        most = max(named.values(), default=0)
        if most:
            return "".join(letter for letter in _LETTERS if named.get(letter, 0) == most), rule
    return None, "official_random"


def parse_true_false(text: str) -> tuple[str | None, str]:
    """对 or 错, by whether more parts of the reply have a positive or a negative word (positive ones count first)."""
    parts = {part for part in _key_parts(text, _TRUE_FALSE_INDICATORS) if not any(word in part for word in _AMBIGUOUS)}
    positive = sum(any(word in part for word in _POSITIVE) for part in parts)
    negative = sum(
        any(word in part for word in _NEGATIVE) and not any(word in part for word in _POSITIVE) for part in parts
    )
    if positive == negative:
        return None, "official_random"
    return ("对" if positive > negative else "错"), "majority"


def blank_is_right(text: str, reference: str) -> bool:
    """A number in the reply equals the reference's, or a string in it contains the reference."""
    wanted = _normalise(reference, reference)
    parts = _key_parts(text, _BLANK_INDICATORS)
    numbers = [number for part in parts for pattern in _NUMBER_PATTERNS for number in pattern.findall(part)]
    values = [value for part in [*parts, *numbers] for value in _normalise(part, reference)]
    return any(
        any(isinstance(want, str) and want in value for want in wanted) if isinstance(value, str) else value in wanted
        for value in values
    )


def _key_parts(text: str, indicators: Sequence[str]) -> list[str]:
    """The shortest tail behind an indicator in each sentence that has one, or the whole reply.

    In the last sentence of a blank (not of true or false) an equation sign counts as well.
    """
    reply = text.strip("。").strip()
    sentences = re.split(r"。|\n", reply)
    parts: list[str] = []
    for number, sentence in enumerate(sentences, start=1):
        last_blank = number == len(sentences) and indicators is _BLANK_INDICATORS
        best = ""
        for indicator in (*indicators, "=") if last_blank else indicators:
            if indicator in sentence:
                tail = sentence.rsplit(indicator, 1)[1].strip()
                best = tail if not best or len(tail) < len(best) else best
        if best and best not in _TRIVIAL:
            parts.append(best)
    return parts or [reply]


def _normalise(text: str, reference: str) -> list[str | float]:
    """A number rounded to two places, the text, or nothing where it is much longer than the reference."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        too_long = len(text) > len(reference) + _EXTRA_CHARS
        return [] if too_long or _latin(text) > _latin(reference) + _EXTRA_LETTERS else [text]


def _latin(text: str) -> int:
    return sum("a" <= c <= "z" or "A" <= c <= "Z" for c in text)
