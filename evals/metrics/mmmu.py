"""MMMU and CMMMU, as their official evaluators score, with the random draw replaced by its expected value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.errors import DataError
from evals.extract import cmmmu as chinese
from evals.extract.mmmu import MULTIPLE_CHOICE, normalise, parse_choice, parse_open
from evals.extract.text import option_map
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows


class Mmmu(Metric):
    """MMMU accuracy over multiple-choice and open questions.

    Where no option can be read, the official code draws one of the k options at random. ``accuracy`` (the headline)
    scores the expected value of that draw, 1/k; ``accuracy_strict`` scores 0. Open questions are right if a number or
    string that the reply may mean equals a reference or, for strings, contains one.

    Columns: ``question_type`` (``multiple-choice`` or ``open``); ``options`` or ``choices``, needed for multiple-choice
    rows; ``extracted`` optionally replaces the official reading of multiple-choice rows.
    """

    name = "mmmu"
    headline = "accuracy"
    columns: tuple[str, ...] = ("question_type",)
    optional_columns: tuple[str, ...] = ("options", "choices", "extracted")
    source = "MMMU-Benchmark/MMMU mmmu/utils/eval_utils.py"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1, 0, or 1/k where the official code would draw one of k options at random."""
        return self._score(predictions, references, columns, strict=False)

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``accuracy`` and ``accuracy_strict``."""
        return [
            mean_statistic("accuracy", self._score(predictions, references, columns, strict=False)),
            mean_statistic("accuracy_strict", self._score(predictions, references, columns, strict=True)),
        ]

    def _score(
        self,
        predictions: Sequence[str | None],
        references: Sequence[Sequence[str]],
        columns: dict[str, Sequence[Any]],
        strict: bool,
    ) -> Scores:
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        return [
            None if prediction is None else self._row(row, prediction, references[row], columns, strict)
            for row, prediction in enumerate(predictions)
        ]

    def _row(
        self, row: int, prediction: str, given: Sequence[str], columns: Mapping[str, Sequence[Any]], strict: bool
    ) -> float:
        if columns["question_type"][row] != MULTIPLE_CHOICE:
            return float(open_is_right(prediction, given))
        options = self._options(row, columns)
        extracted = columns.get("extracted")
        answer = extracted[row] if extracted is not None else parse_choice(prediction, options)[0]
        if answer is not None:
            return float(answer in given)
        return 0.0 if strict else sum(letter in given for letter in options) / len(options)

    def _options(self, row: int, columns: Mapping[str, Sequence[Any]]) -> dict[str, str]:
        found = next((columns[name][row] for name in ("options", "choices") if name in columns), None)
        if not found:
            raise DataError(
                f"Metric {self.name!r}, row {row}: a {columns['question_type'][row]!r} question without options. Give "
                "them in the column 'options' (or 'choices'), as a list or as letter -> text."
            )
        return option_map(found)


def open_is_right(prediction: str, references: Sequence[str]) -> bool:
    """A number that the reply may mean equals a reference's, or a string that it may mean contains a reference's."""
    wanted = [value for reference in references for value in normalise(str(reference))]
    return any(
        any(isinstance(want, str) and want in value for want in wanted) if isinstance(value, str) else value in wanted
        for value in parse_open(prediction)
    )


class Cmmmu(Mmmu):
    """CMMMU accuracy: multiple choice (one or more letters), fill in the blank, and true or false.

    As in :class:`Mmmu`, ``accuracy`` has the expected value where the official code draws at random: 1/4 over the
    single letters A to D (0 where the reference has several letters), 1/2 for true or false. ``accuracy_strict``
    has 0. ``question_type`` is the data set's ``type``: 选择, 填空 or 判断.
    """

    name = "cmmmu"
    source = "CMMMU-Benchmark/CMMMU eval/utils/eval_utils.py"

    def _row(
        self, row: int, prediction: str, given: Sequence[str], columns: Mapping[str, Sequence[Any]], strict: bool
    ) -> float:
        kind, reference = columns["question_type"][row], str(given[0])
        if kind == chinese.FILL_BLANK:
            return float(chinese.blank_is_right(prediction, reference))
        if kind not in (chinese.CHOICE, chinese.TRUE_FALSE):
            raise DataError(
                f"Metric {self.name!r}, row {row}: question_type {kind!r} is none of "
                f"{chinese.CHOICE}, {chinese.FILL_BLANK}, {chinese.TRUE_FALSE}."
            )
        drawn: Sequence[str] = ("对", "错")
        if kind == chinese.CHOICE:
            drawn = "ABCD"
            if not prediction:
                return 0.0  # the official code skips an empty reply to a multiple-choice question
        if "extracted" in columns:
            answer = columns["extracted"][row]
        elif kind == chinese.CHOICE:
            answer = chinese.parse_choice(prediction, self._options(row, columns))[0]
        else:
            answer = chinese.parse_true_false(prediction)[0]
        if answer is not None:
            return float(answer == reference)
        return 0.0 if strict else float(reference in tuple(drawn)) / len(drawn)
