"""Accuracy of multiple choice: each question once, or once for each rotation of its options (circular)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.errors import DataError
from evals.metrics.answers import all_right, compare, group_rows, read_answers
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows


class MultipleChoice(Metric):
    """The share of replies that name the right option.

    The answer is the value of column ``extracted`` (from the task's extractor) or, without that column, the prediction
    itself without outer white space. It is right if it equals a reference, upper or lower case alike.
    """

    name = "multiple_choice"
    headline = "accuracy"
    optional_columns: tuple[str, ...] = ("extracted",)
    source = "plain accuracy over extracted options (VLMEvalKit mcq_vanilla_eval, ScienceQA, AI2D, SEED-Bench)"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for the right option, 0 for another or an unparsed reply, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        answers = read_answers(predictions, columns, lambda reply: reply)
        right = [
            answer is not None and answer.strip().casefold() in {str(r).strip().casefold() for r in given}
            for answer, given in zip(answers, references, strict=True)
        ]
        return compare(predictions, answers, right)


class Circular(MultipleChoice):
    """CircularEval of MMBench and CCBench: a question is right only if it is right under every rotation of its options.

    Column ``group`` holds the rotations of a question together, in the order of the data (the first is the unrotated
    one). How many a question has is the data set's choice (MMBench dev has four options but three rotations in 53 of
    1,176 questions), so all rows of a group are taken to be the whole of it. A harness that may ask only a part of a
    group passes column ``rotations``, the group's full number of rows: a group that lacks some then has no circular
    score, since a subset of the rotations would be an easier test. With column ``choices`` a group with more rows than
    options is an error (duplicated rows).

    Numbers: ``circular`` over groups (the headline), ``vanilla`` over the first rotation of each group, ``rows`` over
    all rows.
    """

    name = "circular"
    headline = "circular"
    needs = "group"
    columns = ("group",)
    optional_columns = ("extracted", "choices", "rotations")
    source = "VLMEvalKit vlmeval/dataset/utils/multiple_choice.py: mcq_circular_eval"

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``circular``, ``vanilla`` and ``rows``."""
        scores = self.score_samples(predictions, references, **columns)
        groups = group_rows(columns["group"])
        first = [rows[0] for rows in groups.values()]
        circular = [
            all_right(scores, rows) if self._is_whole(group, rows, columns) else None for group, rows in groups.items()
        ]
        return [
            mean_statistic("circular", circular, first),
            mean_statistic("vanilla", [scores[row] for row in first], first),
            mean_statistic("rows", scores),
        ]

    def _is_whole(self, group: object, rows: list[int], columns: dict[str, Sequence[Any]]) -> bool:
        """The group has all its rotations, as far as their number is known."""
        choices, rotations = columns.get("choices"), columns.get("rotations")
        if choices is not None and choices[rows[0]] and len(rows) > len(choices[rows[0]]):
            raise DataError(
                f"Metric {self.name!r}: group {group!r} has {len(rows)} rows for a question with "
                f"{len(choices[rows[0]])} options (rows {rows[0]} to {rows[-1]}). Each rotation belongs there once; "
                "look for duplicated rows."
            )
        return rotations is None or len(rows) >= int(rotations[rows[0]])
