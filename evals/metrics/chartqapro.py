"""ChartQAPro's relaxed accuracy: another metric than ChartQA's (:mod:`evals.metrics.relaxed`).

Answers may be lists and are compared item by item; years must be equal; other numbers may be 5 % off, percent signs are
dropped, zero equals zero; other texts get their edit similarity.

Source: vis-nlp/ChartQAPro evaluate_predictions.py and, for the similarity, PyPI anls 0.0.2, which divides by the length
of the folded text and wants more than half to be equal (unlike DocVQA's script).
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Sequence
from typing import Any

from rapidfuzz.distance import Levenshtein

from evals.errors import DataError
from evals.metrics.anls import fold
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.relaxed import TOLERANCE
from evals.metrics.rows import breakdown, check_rows

LONGEST_LIST = 10_000  # characters; a longer text is no list of answers, and Python's parser need not see it

_BRACKETED = re.compile(r"\[(.*)\]")
_BARE_ITEM = re.compile(r"(?<!['\w])\w[^,]*?(?!['\w])")


def _literal(text: str) -> Any:
    """The Python literal that a text spells; None where it spells none. Nothing is executed."""
    if len(text) > LONGEST_LIST:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the parser warns of escapes such as "\d", which are just text here
            return ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None


def _items(text: str) -> list[str]:
    """The items of a text that spells a list of literals; the text itself as the only item otherwise."""
    parsed = _literal(text) if "[" in text else None
    return [str(item).strip(" '") for item in parsed] if isinstance(parsed, list) and parsed else [text]


def _reference_items(reference: str) -> list[str]:
    """As :func:`_items`, after bare items have got their quotes: ``[USA, UK]`` counts as a list in a reference only."""
    if bracketed := _BRACKETED.fullmatch(reference.strip()):
        quoted = _literal("[" + _BARE_ITEM.sub(r"'\g<0>'", bracketed[1]) + "]")
        if isinstance(quoted, list):
            return _items(str(quoted)) if quoted else [reference]
    return _items(reference)


def _as_number(text: str) -> float | None:
    try:
        return float(text.strip().strip("%"))
    except ValueError:
        return None


def _item_score(predicted: str, expected: str, tolerance: float) -> float:
    """Score in [0, 1] of one item: numeric with tolerance, else by edit similarity above one half."""
    expected, predicted = (text.strip().strip("%").strip() for text in (expected, predicted))
    a, b = _as_number(predicted), _as_number(expected)
    if a is not None and b is not None:
        return float(a == 0.0) if b == 0.0 else float(abs(a - b) / abs(b) <= tolerance)
    left, right = fold(predicted.lower()), fold(expected.lower())
    longest = max(len(left.upper()), len(right.upper()))
    distance = Levenshtein.distance(left, right) / longest if longest else 0.0
    return 1.0 - distance if distance < 0.5 else 0.0


def correctness(prediction: str, reference: str, year: Sequence[str], tolerance: float = TOLERANCE) -> float:
    """Score in [0, 1] of one prediction; missing and surplus list items count as wrong.

    Args:
        prediction, reference: single answers or lists as text.
        year: ``YES`` where the answer (or the list's item of that place) is a year; one flag stands for all items.
        tolerance: largest accepted difference of numbers as a fraction of the reference.
    """
    expected, predicted = _reference_items(reference), _items(prediction)
    flags = list(year) * len(expected) if len(year) < len(expected) else list(year)
    total = 0.0
    for wanted, given, flag in zip(expected, predicted, flags, strict=False):
        if flag.upper() == "YES":
            total += float(wanted.strip().lower() == given.strip().lower())
        else:
            total += _item_score(given, wanted, tolerance)
    return total / max(len(expected), len(predicted))


class ChartQaPro(Metric):
    """ChartQAPro's relaxed accuracy, also by question type where that column is given.

    Columns: ``year``, one ``YES`` or ``NO`` a row, or a list with one for each turn of a conversation.
    """

    name = "chartqapro"
    headline = "chartqapro"
    columns = ("year",)
    optional_columns = ("question_type",)
    source = "vis-nlp/ChartQAPro evaluate_predictions.py, 8911d1b; PyPI anls 0.0.2"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """One score in [0, 1] a row, against its last reference (the last turn's answer)."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        kinds = columns.get("question_type", [None] * len(predictions))
        scores: Scores = []
        for row, (prediction, accepted, year, kind) in enumerate(
            zip(predictions, references, columns["year"], kinds, strict=True)
        ):
            flags = [year] if isinstance(year, str) else list(year or ())
            if not flags or not all(isinstance(flag, str) for flag in flags):
                raise DataError(
                    f"Metric 'chartqapro': year of row {row} is {year!r:.80}, expected YES, NO or a list of them."
                )
            last_turn = flags[-1:] if kind == "Conversational" else flags
            scores.append(
                None
                if prediction is None
                else correctness(prediction.strip(".").strip("\n"), accepted[-1].strip(".").strip("\n"), last_turn)
            )
        return scores

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The mean score, then the means by question type."""
        scores = self.score_samples(predictions, references, **columns)
        by_type = breakdown(scores, "question_type", columns.get("question_type", ()))
        return [mean_statistic(self.headline, scores), *by_type]
