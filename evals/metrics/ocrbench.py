"""OCRBench: an answer is right if it contains any of the accepted texts.

Source: Yuliang-Liu/MultimodalOCR OCRBench/example.py (794c36d). Compared in lower case with line feeds as spaces;
formulas (data set HME100k) keep their case and lose their spaces instead. Containment is plain, so ``19.00`` contains
``9.00``, and an empty reference is always met. The published score counts hits among 1,000 questions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from evals.errors import DataError
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import breakdown, check_rows

FORMULA_DATASET = "HME100k"
FORMULA_TYPE = "Handwritten Mathematical Expression Recognition"
RECOGNITION_TYPES = frozenset({
    "Regular Text Recognition", "Irregular Text Recognition", "Artistic Text Recognition", "Handwriting Recognition",
    "Digit String Recognition", "Non-Semantic Text Recognition",
})  # fmt: skip
FULL_SCORE = 1000.0


def contains_any(prediction: str, references: Sequence[str], formula: bool) -> bool:
    """Whether a prediction contains one of its references; ``formula`` keeps case and drops spaces."""
    fold = _fold_formula if formula else _fold_text
    text = fold(prediction)
    return any(fold(reference) in text for reference in references)


def _fold_text(text: str) -> str:
    return text.lower().strip().replace("\n", " ")


def _fold_formula(text: str) -> str:
    return text.strip().replace("\n", "").replace(" ", "")


class OcrBench(Metric):
    """OCRBench's accuracy, the same out of 1,000, text recognition as a whole, and each question type.

    Columns: ``dataset`` tells formulas from text; ``question_type`` does so too where the data set is not known, and
    brings the numbers by type. One of them must be given.
    """

    name = "ocrbench"
    headline = "ocrbench"
    optional_columns = ("dataset", "question_type")
    source = "Yuliang-Liu/MultimodalOCR OCRBench/example.py, 794c36d"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 or 0 a row; None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        if "dataset" in columns:
            formulas = [dataset == FORMULA_DATASET for dataset in columns["dataset"]]
        elif "question_type" in columns:
            formulas = [kind == FORMULA_TYPE for kind in columns["question_type"]]
        else:
            raise DataError(
                "Metric 'ocrbench' needs the column 'dataset' or 'question_type', found neither: formulas are compared "
                "in another way than text, and nothing else tells them apart."
            )
        return [
            None if prediction is None else float(contains_any(prediction, accepted, formula))
            for prediction, accepted, formula in zip(predictions, references, formulas, strict=True)
        ]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """Accuracy; the score of 1,000 (of a smaller set: what its accuracy would be worth); numbers by type."""
        scores = self.score_samples(predictions, references, **columns)
        accuracy = mean_statistic(self.headline, scores)
        of_1000 = Statistic(
            "score_of_1000", accuracy.rows, accuracy.vectors * np.array([FULL_SCORE, 1.0]), scale=(0.0, FULL_SCORE)
        )
        kinds = columns.get("question_type", ())
        recognition = [row for row, kind in enumerate(kinds) if kind in RECOGNITION_TYPES]
        numbers = [accuracy, of_1000]
        if recognition:
            numbers.append(mean_statistic("text_recognition", [scores[row] for row in recognition], recognition))
        return numbers + breakdown(scores, "question_type", kinds)
