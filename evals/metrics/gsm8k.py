"""GSM8K: the final number equals the reference's, as numbers."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from evals.errors import DataError
from evals.extract.gsm8k import gsm8k
from evals.metrics.answers import compare, read_answers, single_references
from evals.metrics.base import Metric, Scores
from evals.metrics.rows import check_rows


class Gsm8k(Metric):
    """Exact match of final numbers ("18", "18.0" and "$18" are the same).

    A reference is a number or a worked solution that ends in "#### 18". Column ``extracted`` optionally replaces the
    reading of the replies.
    """

    name = "gsm8k"
    headline = "accuracy"
    optional_columns = ("extracted",)
    source = "openai/grade-school-math; lm-evaluation-harness gsm8k"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for the right number, 0 for another or none, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        wanted = [self._reference(row, text) for row, text in enumerate(single_references(self, references))]
        answers = read_answers(predictions, columns, lambda reply: gsm8k(reply)[0])
        right = [
            answer is not None and _final_value(answer) == value for answer, value in zip(answers, wanted, strict=True)
        ]
        return compare(predictions, answers, right)

    def _reference(self, row: int, text: str) -> Decimal:
        value = _final_value(text)
        if value is None:
            raise DataError(f"Metric {self.name!r}, row {row}: no number in the reference {text!r:.80}.")
        return value


def _final_value(text: str) -> Decimal | None:
    """The value of the final number in a text; of a number itself, that number."""
    try:
        return Decimal(gsm8k(text)[0] or "")
    except InvalidOperation:
        return None
