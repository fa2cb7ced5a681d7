"""MathVista by rule: an extracted answer is brought into the form of the reference and compared exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from evals.errors import DataError
from evals.extract.mathvista import MULTI_CHOICE, mathvista
from evals.extract.text import option_map
from evals.metrics.answers import compare
from evals.metrics.base import Metric, Scores
from evals.metrics.rows import check_rows

_LETTER = re.compile(r"\(([a-zA-Z])\)")


class MathVista(Metric):
    """Accuracy over normalised answers.

    An answer to a multiple-choice question becomes the option that it names by letter or, failing that, the option
    with the smallest edit distance (the first of equals); integers are truncated, floats rounded to ``precision``
    places; then text must equal text. The official pipeline has a judge model extract the answer; its extractions
    can be given in column ``extracted``. Without them the rules of ``evals.extract.mathvista`` read the reply;
    what they cannot read is wrong.

    Columns: ``question_type`` (``multi_choice``, ``free_form``), ``answer_type`` (``text``, ``integer``, ``float``,
    ``list``); ``choices`` and ``precision`` where the question has them.
    """

    name = "mathvista"
    headline = "accuracy"
    columns = ("question_type", "answer_type")
    optional_columns = ("choices", "precision", "extracted")
    source = "lupantech/MathVista evaluation/calculate_score.py"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for an answer equal to the reference, 0 for another or an unparsed one, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        answers = [
            None if prediction is None else self._answer(row, prediction, columns)
            for row, prediction in enumerate(predictions)
        ]
        right = [
            answer is not None and answer in self._accepted(row, references[row], columns)
            for row, answer in enumerate(answers)
        ]
        return compare(predictions, answers, right)

    def _answer(self, row: int, prediction: str, columns: Mapping[str, Sequence[Any]]) -> str | None:
        context = {name: values[row] for name, values in columns.items() if name != "extracted"}
        found = columns["extracted"][row] if "extracted" in columns else mathvista(prediction, **context)[0]
        if found is None:
            return None
        if context["question_type"] == MULTI_CHOICE:
            return nearest_option(str(found), self._options(row, columns))
        precision = context.get("precision")
        return normalise(str(found), context["answer_type"], 0 if precision is None else int(precision))

    def _options(self, row: int, columns: Mapping[str, Sequence[Any]]) -> list[str]:
        choices = columns["choices"][row] if "choices" in columns else None
        if not choices:
            raise DataError(
                f"Metric {self.name!r}, row {row}: a multiple-choice question without options; "
                "give them in column 'choices'."
            )
        return list(option_map(choices).values())

    def _accepted(self, row: int, references: Sequence[str], columns: Mapping[str, Sequence[Any]]) -> list[str]:
        """The references; a letter that is no option's text stands for its option."""
        if columns["question_type"][row] != MULTI_CHOICE:
            return list(references)
        options = self._options(row, columns)
        by_letter = {chr(ord("A") + i): option for i, option in enumerate(options)}
        return [r if r in options else by_letter.get(r, r) for r in references]


def nearest_option(extraction: str, options: Sequence[str]) -> str:
    """The option named by "(A)" or "A", else the one with the smallest edit distance."""
    extraction = extraction.strip()
    letter = _LETTER.search(extraction)
    name = letter[1].upper() if letter else extraction
    position = ord(name) - ord("A") if len(name) == 1 else -1
    if 0 <= position < len(options):
        return options[position]
    return min(options, key=lambda option: Levenshtein.distance(name, option))


def normalise(extraction: str, answer_type: str, precision: int) -> str | None:
    """The answer in the reference's form; None where it is no number but should be one."""
    if answer_type not in ("integer", "float"):
        return extraction
    try:
        value = float(extraction)
        return (
            str(int(value))
            if answer_type == "integer"
            else str(round(value, precision) if precision else round(value, 0))
        )
    except (ValueError, OverflowError):
        return None
