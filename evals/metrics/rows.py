"""What per-sample metrics share: checking their rows, scoring row by row, and breaking a mean down by a column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.errors import DataError
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic


def check_rows(metric: str, predictions: Sequence[str | None], references: Sequence[Sequence[str]]) -> None:
    """Raise :class:`DataError` for the first row that cannot be scored, by its index.

    A prediction is text, or None for a failed request. References are a non-empty list of texts. A NaN is what is left
    of "None", "NA" or "null" after a spreadsheet; it is refused, never guessed at.
    """
    for row, (prediction, accepted) in enumerate(zip(predictions, references, strict=True)):
        if prediction is not None and not isinstance(prediction, str):
            raise DataError(
                f"Metric {metric!r}: the prediction of row {row} is {_shown(prediction)}, "
                "expected text, or None for a failed request." + _spreadsheet_hint(prediction)
            )
        if isinstance(accepted, str) or not isinstance(accepted, Sequence):
            raise DataError(
                f"Metric {metric!r}: the references of row {row} are {_shown(accepted)}, expected a list of texts. "
                "Put a single reference into a list of one."
            )
        if not accepted:
            raise DataError(
                f"Metric {metric!r}: the reference list of row {row} is empty, expected at least one accepted answer. "
                "Leave unanswered rows out of the data, or give the task a metric that needs no reference."
            )
        for reference in accepted:
            if not isinstance(reference, str):
                raise DataError(
                    f"Metric {metric!r}: a reference of row {row} is {_shown(reference)}, expected text."
                    + _spreadsheet_hint(reference)
                )


def _shown(value: object) -> str:
    return f"{value!r:.80} ({type(value).__name__})"


def _spreadsheet_hint(value: object) -> str:
    if value is None or (isinstance(value, float) and value != value):
        return (
            " A spreadsheet reader may have turned 'None', 'NA' or an empty cell into it: "
            "read the file with those kept as text."
        )
    return " Convert the column to text when the data is read."


class SampleMetric(Metric):
    """A metric whose score of a row depends on that row's prediction and references alone."""

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """The score of one answered row, given at least one reference."""
        raise NotImplementedError

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """One score a row; None for a failed request. Raises :class:`DataError` where rows are malformed."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        score_one = self.score_one
        return [
            None if prediction is None else score_one(prediction, accepted)
            for prediction, accepted in zip(predictions, references, strict=True)
        ]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The mean score, then the means by the columns that the official scorer breaks down by, as far as given."""
        scores = self.score_samples(predictions, references, **columns)
        numbers = [mean_statistic(self.headline, scores)]
        for name in self.optional_columns:
            numbers += breakdown(scores, name, columns.get(name, ()))
        return numbers


def breakdown(scores: Sequence[float | None], column: str, values: Sequence[Any], **kwargs: Any) -> list[Statistic]:
    """Means by the values of a column, named ``column=value``, in the order of the values' names.

    Args:
        scores: one a row.
        column: the column's name.
        values: one a row: a value, or a list of values for a row that counts in several (as InfographicVQA's answer
            types do). None is unknown and counts nowhere.
        kwargs: further fields of :class:`Statistic`, such as the scale.
    """
    rows_by_value: dict[str, list[int]] = {}
    for row, value in enumerate(values):
        for one in dict.fromkeys(value if isinstance(value, list | tuple) else [value]):
            if one is not None:
                rows_by_value.setdefault(str(one), []).append(row)
    return [
        mean_statistic(f"{column}={value}", [scores[row] for row in rows], rows, **kwargs)
        for value, rows in sorted(rows_by_value.items())
    ]
