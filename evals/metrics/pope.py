"""POPE: yes/no questions on whether an object is in the image, scored as a classifier with "yes" as positive."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.extract.pope import pope
from evals.metrics.answers import compare, read_answers, single_references
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows


class Pope(Metric):
    """F1 (the headline), accuracy, precision, recall and the share of "yes" answers.

    With the official extractor every reply is yes or no. Under another one (column ``extracted``) an unparsed reply is
    not a "yes": it is wrong, costs recall where yes was right, and does not count in the precision.

    Numbers follow Li et al. 2023 (arXiv 2305.10355): precision TP / (TP + FP), recall TP / (TP + FN),
    F1 = 2 TP / (2 TP + FP + FN), yes ratio (TP + FP) / n. Each is a ratio of sums; undefined ones are None.
    """

    name = "pope"
    headline = "f1"
    needs = "corpus"
    optional_columns = ("extracted",)
    source = "AoiDragon/POPE evaluate.py"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for the right answer, 0 for the wrong or an unparsed one, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        labels = single_references(self, references, ("yes", "no"))
        answers = self._answers(predictions, columns)
        return compare(predictions, answers, [a == b for a, b in zip(answers, labels, strict=True)])

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``f1``, ``accuracy``, ``precision``, ``recall``, ``yes_ratio``."""
        scores = self.score_samples(predictions, references, **columns)
        rows = tuple(row for row, score in enumerate(scores) if score is not None)
        answers = self._answers(predictions, columns)
        said = np.array([answers[row] == "yes" for row in rows], dtype=np.float64)
        true = np.array([references[row][0].strip().lower() == "yes" for row in rows], dtype=np.float64)
        hit = said * true

        def over(
            name: str, numerator: NDArray[np.float64], denominator: NDArray[np.float64], better: bool = True
        ) -> Statistic:
            return Statistic(name, rows, np.stack([numerator, denominator], axis=1), higher_is_better=better)

        return [
            over("f1", 2 * hit, said + true),  # (TP + FP) + (TP + FN) = 2 TP + FP + FN
            mean_statistic("accuracy", scores),
            over("precision", hit, said),
            over("recall", hit, true),
            over("yes_ratio", said, np.ones_like(said), better=False),
        ]

    @staticmethod
    def _answers(predictions: Sequence[str | None], columns: dict[str, Sequence[Any]]) -> list[str | None]:
        answers = read_answers(predictions, columns, lambda reply: pope(reply)[0])
        return [None if answer is None else answer.strip().lower() for answer in answers]
