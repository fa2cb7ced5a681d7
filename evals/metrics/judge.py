"""Scores that a judge model gave elsewhere, imported with the predictions (MM-Vet, LLaVA-Bench and their like).

No judge is asked here: the numbers are what a file says, and results name the judge that the file names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from evals.errors import DataError, SpecError
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic


class JudgeScore(Metric):
    """The mean of judge scores, divided by their maximum.

    Column ``judgement`` has a number from 0 to ``maximum`` a row, or None where the judge gave none (such rows, and
    failed requests, have no score and lower the coverage). References are not read.

    Args:
        maximum: the judge's highest score: 1 for MM-Vet, 10 for most others.
    """

    name = "judge_score"
    headline = "score"
    columns = ("judgement",)
    source = "MM-Vet evaluator (yuweihao/MM-Vet): mean of scores from 0 to 1"

    def __init__(self, maximum: float = 1.0) -> None:
        if not (math.isfinite(maximum) and maximum > 0):
            raise SpecError(f"Metric {self.name!r}: maximum is {maximum!r}, expected a positive number.")
        self.maximum = maximum

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """The judge's score from 0 to 1; None where there is none."""
        self.check(predictions, references, columns)
        marks = [read_mark(self.name, "judgement", row, v, self.maximum) for row, v in enumerate(columns["judgement"])]
        return [
            None if prediction is None or mark is None else mark / self.maximum
            for prediction, mark in zip(predictions, marks, strict=True)
        ]


class LlavaBench(Metric):
    """LLaVA-Bench relative score: 100 x sum of the model's marks / sum of the reference answers' marks.

    Columns ``model_score`` and ``reference_score``: a judge's marks from 0 to 10 for the model's answer and for the
    reference answer, judged together. A negative mark is the judge's failure (lmms-eval stores -1 and averages it in);
    such rows are left out.

    Numbers, as fractions (the field shows them times 100, or times 10): ``relative`` (the headline, can exceed 1),
    ``model`` and ``reference`` (mean marks / 10).
    """

    name = "llava_bench"
    headline = "relative"
    needs = "corpus"
    columns = ("model_score", "reference_score")
    source = "LLaVA llava/eval/summarize_gpt_review.py"
    maximum = 10.0

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """The model's mark / 10; None where either mark is missing."""
        return [
            None if pair is None else pair[0] / self.maximum for pair in self._pairs(predictions, references, columns)
        ]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``relative``, ``model`` and ``reference``."""
        pairs = self._pairs(predictions, references, columns)
        rows = tuple(row for row, pair in enumerate(pairs) if pair is not None)
        marks = np.array([pair for pair in pairs if pair is not None], dtype=np.float64).reshape(len(rows), 2)
        return [
            Statistic("relative", rows, marks),
            mean_statistic("model", (marks[:, 0] / self.maximum).tolist(), rows),
            mean_statistic("reference", (marks[:, 1] / self.maximum).tolist(), rows),
        ]

    def _pairs(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], columns: dict[str, Sequence[Any]]
    ) -> list[tuple[float, float] | None]:
        self.check(predictions, references, columns)
        pairs: list[tuple[float, float] | None] = []
        for row, prediction in enumerate(predictions):
            ours, theirs = (
                read_mark(self.name, column, row, columns[column][row], self.maximum, failures=True)
                for column in self.columns
            )
            pairs.append(None if prediction is None or ours is None or theirs is None else (ours, theirs))
        return pairs


def read_mark(metric: str, column: str, row: int, value: Any, maximum: float, failures: bool = False) -> float | None:
    """A judge's mark as a number; None where there is none (a negative one too, where those mean failures).

    Raises:
        DataError: not a number, or outside 0 to ``maximum``.
    """
    if value is None:
        return None
    try:
        mark = float(value)
    except (TypeError, ValueError):
        mark = math.nan
    if failures and mark < 0:
        return None
    if not 0 <= mark <= maximum:
        raise DataError(
            f"Metric {metric!r}, row {row}: column {column!r} is {value!r:.60}, "
            f"expected a number from 0 to {maximum:g}, or null where the judge gave none."
        )
    return mark
