"""Which option's text a reply gives, where it gives no letter."""

from __future__ import annotations

import re

from evals.extract.text import clean_reply, fold

#: Characters of a reply beyond which naming an option in passing is no longer an answer.
MENTION_CHARS = 200

_ANSWER_IS = re.compile(
    r"(?:\banswer(?:\s*(?:is|would be|should be))?|答案(?:应该|应)?(?:是|为)?)\s*:?\s*(.+)", re.IGNORECASE | re.DOTALL
)
_NEGATION_BEFORE = re.compile(
    r"(?:\b(?:not|no|isn't|aren't|never|than|without|nor|neither)\s(?:a\s|an\s|the\s|at\s|in\s|on\s)?|不是|没有|并非|不|而非)$"
)


def match_option_text(reply: str, options: dict[str, str]) -> tuple[str | None, str]:
    """The option whose text a cleaned reply gives.

    Returns:
        The letter with ``option_text`` (after "the answer is") or ``option_text_mention`` (the only option that a short
        reply mentions without negating it); or None with ``ambiguous_text`` (two options have that text),
        ``several_options``, or ``no_answer``.
    """
    texts = {letter: fold(text) for letter, text in options.items()}
    texts = {letter: text for letter, text in texts.items() if text}
    statement = _ANSWER_IS.search(reply)
    if statement and len(reply) <= 10 * MENTION_CHARS:
        said = fold(statement[1])
        same = [letter for letter, text in texts.items() if text == said]
        if same:
            return (same[0], "option_text") if len(same) == 1 else (None, "ambiguous_text")
    if not texts or len(reply) > MENTION_CHARS + max(map(len, texts.values())):
        return None, "no_answer"
    named = _mentioned(" ".join(clean_reply(reply).casefold().split()), texts)
    if len(named) == 1:
        return named.pop(), "option_text_mention"
    if len({texts[letter] for letter in named}) == 1:
        return None, "ambiguous_text"
    return None, "several_options" if named else "no_answer"


def _mentioned(reply: str, texts: dict[str, str]) -> set[str]:
    """Options named in the reply, longest text first: "apple" inside "apple pie" is not another option."""
    found: set[str] = set()
    for text in sorted(set(texts.values()), key=lambda t: (-len(t), t)):
        at = reply.find(text)
        while at >= 0:
            end = at + len(text)
            if _stands_alone(reply, at, end):
                if not _NEGATION_BEFORE.search(reply[:at]):
                    found |= {letter for letter, other in texts.items() if other == text}
                reply = reply[:at] + "\0" * len(text) + reply[end:]
            at = reply.find(text, at + 1)
    return found


def _stands_alone(reply: str, start: int, end: int) -> bool:
    """No word or number runs on over either edge ("1" is not in "1.5", nor "cat" in "category")."""
    if start > 0 and _joins(reply[start - 1], reply[start]):
        return False
    if end < len(reply) and _joins(reply[end - 1], reply[end]):
        return False
    if reply[start].isdigit() and re.search(r"\d[.,]$|-$", reply[max(0, start - 2) : start]):
        return False
    return not (reply[end - 1].isdigit() and re.match(r"[.,]\d", reply[end : end + 2]))


def _joins(left: str, right: str) -> bool:
    """Two neighbours belong to one word or number; Chinese and Japanese write without blanks, so never there."""
    return all(c.isalnum() and not "\u3040" <= c <= "\u9fff" for c in (left, right))
