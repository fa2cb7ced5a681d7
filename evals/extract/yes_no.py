"""Our own reader of yes/no replies, English and Chinese. Both and neither are None; nothing is guessed from a topic."""

from __future__ import annotations

import re
from typing import Any

from evals.extract.text import clean_reply, simplified

_YES = r"(?:yes|yeah|yep|yup)"
_NO = r"(?:no|nope|nah)"
_OPTION_LABEL = re.compile(r"^\(?[a-z0-9][).:]\s+|^\([a-z]\)\s*")
_WHOLE_YES = re.compile(
    r"y|true|correct|right|sure|certainly|absolutely|definitely|of course|indeed|i think so|it (?:is|does)|"
    r"there (?:is|are)"
)
_WHOLE_NO = re.compile(
    r"n|false|incorrect|negative|(?:certainly |absolutely |definitely |of course )?not|not really|not at all|"
    r"i (?:don't|do not) think so|it (?:is not|isn't|does not|doesn't)|there (?:is not|isn't|are not|aren't)"
)
# Words after which "yes" or "no" is an answer wherever it stands; at the start of the reply it always is.
_STATED = re.compile(
    r"(?:\banswer(?:\s+is|\s+would be|\s+should be)?\s*:?|[.!?;:,/\n]|"
    r"\b(?:say|think|believe|maybe|probably|well|so|ok|okay|but|or|and|actually|therefore|repeat)\s*,?)"
    rf"\s*({_YES}|{_NO})(?![a-z0-9'-])(?=\s*(?:$|[.,!?;:/\n]|(?:or|and|there|it|that|this|they|he|she|you|i)\b))"
)
_FIRST = re.compile(rf"({_YES}|{_NO})(?![a-z0-9-])")
_SECOND = re.compile(rf"^(?:{_YES}|{_NO})\s+(?:or\s|and\s|/\s?)?({_YES}|{_NO})(?![a-z0-9-])")
_NO_DOUBT = re.compile(r"^no\s(?:doubt|question|problem|idea|answer|one knows)")
_THERE_IS_NO = re.compile(
    r"^(?:there (?:is|are|was|were) (?:no|not)\b|there (?:isn't|aren't)\b)|"
    r"^(?:在?(?:图|画)(?:片|像|面)?(?:中|里|上)?)(?:并)?(?:没有|不存在)"
)
_CHINESE_UNSURE = re.compile(r"^(?:不确定|不知道|不清楚|不能|无法|是否|是不是|有没有|抱歉|对不起)")
_CHINESE_NO = re.compile(
    r"^(?:不是|否|没有|并没有|并不存在|并不是|不存在|不对|错误|错|不正确|不会|不可以|不$|不[,。.]|无$|没(?!错))"
)
_CHINESE_YES = re.compile(
    r"^(?:是的|是(?:$|[,。.!\s])|对(?:$|的|[,。.!\s])|正确|没错|有(?:$|的|[,。.!\s])|存在(?:$|[,。.!\s])|会(?:$|的|[,。.!\s])|可以(?:$|[,。.!\s]))"
)
_CHINESE_STATED = re.compile(
    r"答案(?:应该|应)?(?:是|为)?\s*:?\s*((?:不是|没有|否|不)|(?:是|有|对))(?:的)?(?=$|[,。.!\s])"
)
_BOTH = re.compile(r"^(?:是|有)(?:和|或|/)(?:否|没有)")


def yes_no(text: str, **_context: Any) -> tuple[str | None, str]:
    """``yes`` or ``no``, as the reply says it.

    Returns:
        The value with the rule (``leading``, ``stated``, ``whole_reply``, ``negated_statement``), or None with
        ``empty``, ``both`` or ``neither``. "Yes, there is no cat" is yes (it leads with its answer); "Yes, the
        answer is no" is both.
    """
    reply = _OPTION_LABEL.sub("", simplified(clean_reply(text)).casefold()).strip(" '([{-#>_").rstrip(" ')]}_")
    if not any(c.isalnum() for c in reply):
        return None, "empty"
    bare = " ".join(re.sub(r"[.,!?;:。，！]", " ", reply).split())
    for value, phrases in (("yes", _WHOLE_YES), ("no", _WHOLE_NO)):
        if phrases.fullmatch(bare):
            return value, "whole_reply"
    if any("\u4e00" <= c <= "\u9fff" for c in reply[:40]) and (chinese := _chinese(reply)):
        return chinese
    return _english(reply)


def _english(reply: str) -> tuple[str | None, str]:
    found: dict[str, str] = {}
    first = _FIRST.match(reply)
    if first:
        found[_polarity(first[1])] = "leading"
        second = _SECOND.match(reply)
        if second:
            found.setdefault(_polarity(second[1]), "stated")
        if _NO_DOUBT.match(reply):
            found = {}
    for match in _STATED.finditer(reply):
        found.setdefault(_polarity(match[1]), "stated")
    if len(found) == 1:
        return next(iter(found.items()))
    if found:
        return None, "both"
    if _THERE_IS_NO.match(reply):
        return "no", "negated_statement"
    return None, "neither"


def _chinese(reply: str) -> tuple[str | None, str] | None:
    if _CHINESE_UNSURE.match(reply):
        return None, "neither"
    if _BOTH.match(reply):
        return None, "both"
    stated = {"no" if match[1] in ("不是", "没有", "否", "不") else "yes" for match in _CHINESE_STATED.finditer(reply)}
    if _CHINESE_NO.match(reply):
        stated.add("no")
        rule = "leading"
    elif _CHINESE_YES.match(reply):
        stated.add("yes")
        rule = "leading"
    else:
        rule = "stated"
    if len(stated) == 1:
        return stated.pop(), rule
    if stated:
        return None, "both"
    return ("no", "negated_statement") if _THERE_IS_NO.match(reply) else None


def _polarity(word: str) -> str:
    return "yes" if word.startswith("y") else "no"
