"""Options of a multiple-choice question: their letters, their lines in a prompt, and which of them is right."""

from __future__ import annotations

import string
import unicodedata
from collections.abc import Sequence

from evals.errors import DataError
from evals.prompts.template import Template
from evals.spec.records import PromptSpec

LETTERS = string.ascii_uppercase


def option_lines(prompt: PromptSpec, options: Sequence[str]) -> str:
    """The options as the prompt writes them, lettered from A."""
    line = Template(prompt.option)
    lines = [line.render({"letter": letter, "text": text}) for letter, text in zip(LETTERS, options, strict=False)]
    return prompt.option_separator.join(lines)


def right_option(options: Sequence[str], references: Sequence[str], answer_as: str) -> int:
    """Index of the right option.

    Args:
        answer_as: how the first reference names it: its ``letter``, its ``index`` (also for ``label``, which the data
            layer has looked up already), or its ``text``.

    Raises:
        DataError: fewer than two options or more than letters, or an answer that names none of them.
    """
    if not 2 <= len(options) <= len(LETTERS):
        raise DataError(f"found {len(options)} options, expected 2 to {len(LETTERS)}. Check columns.choices.")
    if len(set(references)) > 1:
        raise DataError(
            f"found {len(set(references))} right options ({', '.join(map(repr, references))}), expected one. Leave "
            "such rows out with data.drop, or derive a column with the one that counts."
        )
    answer = references[0] if references else ""
    match answer_as:
        case "letter":
            index = LETTERS.find(answer) if len(answer) == 1 else -1
        case "text":
            index = list(options).index(answer) if list(options).count(answer) == 1 else -1
        case _:
            index = int(answer) if answer.isdecimal() else -1
    if not 0 <= index < len(options):
        raise DataError(
            f"the answer {answer!r} names none of its {len(options)} options by {answer_as}. "
            f"Check columns.references and columns.answer_as.{_hint(answer) if answer_as == 'letter' else ''}"
        )
    return index


def _hint(answer: str) -> str:
    """How an answer that is a letter in another form becomes one."""
    plain = unicodedata.normalize("NFKC", answer).strip(" .()").upper()
    if len(plain) == 1 and plain in LETTERS and plain != answer:
        return f" If it means {plain}, derive a column from it with `apply: [nfkc, strip_parentheses, upper]`."
    return ""
