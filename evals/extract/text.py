"""What the extractors of our own share: cleaning a reply, and reading a task's options."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

#: Option letters where a task does not list its options.
DEFAULT_LETTERS = "ABCDEFGH"

_TAG = re.compile(r"</?(?:[a-z]|[A-Za-z]{2,20})>")
_LATEX = re.compile(r"\\(?:boxed|text|textbf|mathrm|mathbf)\b|[{}$]")
_EMPHASIS = str.maketrans({"’": "'"} | dict.fromkeys('*`"“”„«»「」『』', ""))
_BLANKS = re.compile(r"[^\S\n]+")
_OUTER = " .,;:!?。，；：！？、()[]'"
_OUTER_START = re.compile(rf"^(?:[{re.escape(_OUTER)}]|(?:a|an|the) )+")
_LINE_ENDS = re.compile(r"\r\n?|[\v\f\u0085\u2028\u2029]")


# Traditional characters of the words that Chinese replies state an answer with, and their simplified forms, in which
# the rules are written. Options are read the same way, so that a text and the option it names stay equal.
_TRADITIONAL = str.maketrans(
    "對錯誤確沒無會圖畫選擇項應該為並認覺這個與終後從當請斷題裡裏說實問",
    "对错误确没无会图画选择项应该为并认觉这个与终后从当请断题里里说实问",
)


def simplified(text: str) -> str:
    """The text with the traditional characters of answering words as simplified ones; same length, idempotent."""
    return text.translate(_TRADITIONAL)


def clean_reply(text: str) -> str:
    """The reply as a reader sees it: no reasoning block, markup, quotes or invisible characters; full width folded.

    Line breaks stay (one ``\\n`` each), since "the first line" and "the last line" mean something; other white space is
    one blank. Idempotent, and linear in the length of the reply.
    """
    text = unicodedata.normalize("NFKC", _LINE_ENDS.sub("\n", text)).translate(_EMPHASIS)
    text = "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    text = unicodedata.normalize("NFKC", text).rpartition("</think>")[2]
    text = _BLANKS.sub(" ", _TAG.sub(" ", _LATEX.sub(" ", text)))
    return "\n".join(filter(None, (line.strip() for line in text.split("\n"))))


def option_map(choices: Mapping[str, Any] | Sequence[Any] | None) -> dict[str, str]:
    """Options as letter -> text. A list gets letters from A on; None means the letters A to H without texts."""
    if choices is None:
        return dict.fromkeys(DEFAULT_LETTERS, "")
    if isinstance(choices, Mapping):
        return {str(letter): "" if text is None else str(text) for letter, text in choices.items()}
    return {chr(ord("A") + i): "" if text is None else str(text) for i, text in enumerate(choices)}


def fold(text: str) -> str:
    """A text for comparing option texts: cleaned, case-folded, blanks single, outer punctuation and article gone."""
    folded = unicodedata.normalize("NFKC", " ".join(simplified(clean_reply(text)).casefold().split()))
    return _OUTER_START.sub("", folded.rstrip(_OUTER))
