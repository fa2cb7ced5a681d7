"""Three short official rules for option letters, which disagree on replies such as "b.", "(B)" and "Because".

Sources: lmms-eval commit 75571cfe, tasks/scienceqa/utils.py (sqa_process_results), tasks/ai2d/utils.py
(MultiChoiceRegexFilter, then exact_match without case and punctuation) and tasks/seedbench/utils.py
(seed_process_result); LLaVA llava/eval/eval_science_qa.py.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Any

from evals.extract.text import option_map

Choices = Mapping[str, Any] | Sequence[Any] | None

_AI2D = re.compile(r"^\s*([A-Z])\.")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ANSWER_IS = re.compile(r"The answer is ([A-Z]).")


def scienceqa(text: str, choices: Choices = None, **_context: Any) -> tuple[str | None, str]:
    """One letter in either case, or a capital with a full stop right behind it ("B. pupa"). "(B)" is not read."""
    reply = text.strip()
    if len(reply) == 1 and reply.isalpha():
        return _offered(reply, choices, "letter")
    if len(reply) >= 2 and reply[0].isupper() and reply[1] == ".":
        return _offered(reply[0], choices, "letter_and_stop")
    return None, "none"


def scienceqa_llava(text: str, choices: Choices = None, **_context: Any) -> tuple[str | None, str]:
    """The rule behind LLaVA's published ScienceQA numbers: one capital, "B. ...", or one "The answer is B."."""
    options = option_map(choices)
    if text in options:
        return text, "letter"
    if len(text) >= 3 and text[0] in options and text[1:3] == ". ":
        return text[0], "letter_and_stop"
    found = _ANSWER_IS.findall(text)
    if len(found) == 1:
        return _offered(found[0], choices, "answer_is")
    return None, "several_answers" if found else "none"


def ai2d(text: str, choices: Choices = None, **_context: Any) -> tuple[str | None, str]:
    """A capital and a full stop in front, or a reply that is one letter without ASCII punctuation (as "(b)" is)."""
    match = _AI2D.match(text)
    if match:
        return _offered(match[1], choices, "letter_and_stop")
    bare = text.translate(_NO_PUNCTUATION)
    return _offered(bare, choices, "letter") if len(bare) == 1 else (None, "none")


def seedbench(text: str, choices: Choices = None, **_context: Any) -> tuple[str | None, str]:
    """The first character of the reply, whatever it belongs to ("Because" is B, "The answer is A" is T: no option)."""
    return _offered(text.strip()[:1], choices, "first_letter")


def first_letter(text: str, choices: Choices = None, **_context: Any) -> tuple[str | None, str]:
    """The first capital that stands alone, whatever it means: the bare regular expression of many scripts."""
    options = option_map(choices)
    alone = re.search(r"(?<![A-Za-z0-9])[A-Z](?![A-Za-z0-9])", text)
    if alone and alone[0] in options:
        return alone[0], "letter_alone"
    return None, "none"


def _offered(letter: str, choices: Choices, rule: str) -> tuple[str | None, str]:
    """The option with this letter in either case, as the task writes it; None if there is no such option."""
    same = [option for option in option_map(choices) if letter and option.upper() == letter.upper()]
    return (same[0], rule) if same else (None, "not_an_option")
