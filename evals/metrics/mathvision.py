"""MATH-Vision by rule: an answer is right if it equals the reference (or the text of the right option) in value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.extract.latex import latex_value
from evals.extract.mathvision import mathvision
from evals.extract.text import option_map
from evals.metrics.answers import compare, read_answers, single_references
from evals.metrics.base import Metric, Scores
from evals.metrics.rows import check_rows

_DECIMALS = 2  # values are compared after rounding, as the official is_equal does


class MathVision(Metric):
    """Accuracy over final answers: equal as text (any case, outer blanks aside), or as numbers to two decimals.

    The official evaluator has LaTeX turned into Python by a parser and evaluates it as code; here a small expression
    parser does (``evals.extract.latex``). Where the two differ is listed in the tests on the published outputs.

    Columns: ``choices`` optionally (the right option's text counts as well); ``extracted`` optionally replaces the
    official reading.
    """

    name = "mathvision"
    headline = "accuracy"
    optional_columns = ("choices", "extracted")
    source = "mathllm/MATH-V evaluation/evaluate.py, utils.py: is_equal"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for an answer equal to the reference, 0 for another, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        wanted = single_references(self, references)
        answers = read_answers(predictions, columns, lambda reply: mathvision(reply)[0])
        choices = columns.get("choices", [None] * len(answers))
        right = [
            answer is not None and any(is_equal(answer, accepted) for accepted in _accepted(reference, options))
            for answer, reference, options in zip(answers, wanted, choices, strict=True)
        ]
        return compare(predictions, answers, right)


def _accepted(reference: str, choices: Any) -> list[str]:
    """The reference and, where it is an option's letter, that option's text."""
    text = option_map(choices).get(reference, "") if choices else ""
    return [reference, text] if text else [reference]


def is_equal(answer: str, reference: str) -> bool:
    """The same text, the same value to two decimals, or tuples of the same values. Empty texts equal nothing."""
    answer, reference = answer.strip().lower(), reference.strip().lower()
    if not answer or not reference:
        return False
    if answer == reference:
        return True
    left, right = latex_value(answer), latex_value(reference)
    if left is not None and right is not None:
        return round(left, _DECIMALS) == round(right, _DECIMALS)
    ours, theirs = _tuple_values(answer), _tuple_values(reference)
    return ours is not None and ours == theirs


def _tuple_values(text: str) -> tuple[str, list[float]] | None:
    """Brackets and rounded values of "(a, b)" or "[a, b]"; None where the text is no tuple of numbers."""
    brackets = text[0] + text[-1]
    parts = text[1:-1].split(",")
    if brackets not in ("()", "[]") or len(parts) < 2:
        return None
    values = [latex_value(part) for part in parts]
    if any(value is None for value in values):
        return None
    return brackets, [round(value, _DECIMALS) for value in values if value is not None]
