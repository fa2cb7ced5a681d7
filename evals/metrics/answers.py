"""What the metrics that compare an extracted answer share.

Such a metric takes its answers from the column ``extracted`` where that is given (one value a row, None = the reply
could not be parsed); without the column it reads the predictions with its own official extractor. An unparsed reply is
wrong (score 0), a failed request (prediction None) has no score at all.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from evals.errors import DataError
from evals.metrics.base import Metric, Scores

Key = TypeVar("Key", bound=Hashable)
Reader = Callable[[str], str | None]


def read_answers(
    predictions: Sequence[str | None], columns: Mapping[str, Sequence[Any]], read: Reader
) -> list[str | None]:
    """Each row's answer: column ``extracted`` if given, else ``read`` of the prediction; None = unparsed or failed."""
    if "extracted" in columns:
        return [None if value is None else str(value) for value in columns["extracted"]]
    return [None if prediction is None else read(prediction) for prediction in predictions]


def single_references(metric: Metric, references: Sequence[Sequence[str]], allowed: Sequence[str] = ()) -> list[str]:
    """The one reference of each row (lower-cased and checked against ``allowed`` where that is given).

    Raises:
        DataError: a row has no reference, or one that is not allowed.
    """
    single = [str(given[0]) for given in references]
    if not allowed:
        return single
    single = [reference.strip().lower() for reference in single]
    for row, reference in enumerate(single):
        if reference not in allowed:
            raise DataError(
                f"Metric {metric.name!r}, row {row}: reference {references[row][0]!r} is none of {', '.join(allowed)}. "
                "Map the data set's labels to these in the task."
            )
    return single


def compare(predictions: Sequence[str | None], answers: Sequence[str | None], right: Sequence[bool]) -> Scores:
    """1 for right, 0 for wrong or unparsed, None for failed requests."""
    return [
        None if prediction is None else float(answer is not None and is_right)
        for prediction, answer, is_right in zip(predictions, answers, right, strict=True)
    ]


def group_rows(groups: Sequence[Key]) -> dict[Key, list[int]]:
    """Row indices by group, groups in order of first appearance, rows in order."""
    found: dict[Key, list[int]] = {}
    for row, group in enumerate(groups):
        found.setdefault(group, []).append(row)
    return found


def all_right(scores: Scores, rows: Sequence[int]) -> float | None:
    """A group is right only if every row is. One wrong row settles it; without one, a failed row leaves it unknown."""
    values = [scores[row] for row in rows]
    if any(value is not None and value < 1 for value in values):
        return 0.0
    return None if None in values else 1.0
