"""HallusionBench: accuracy per answer (aAcc), per question over all its figures (qAcc), and per figure (fAcc)."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from evals.errors import DataError, SpecError
from evals.extract.vlmevalkit_yes_no import vlmevalkit_yes_no
from evals.metrics.answers import all_right, group_rows, read_answers, single_references
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.rows import check_rows

PROTOCOLS = ("official", "vlmevalkit")
CORRECT, INCORRECT, UNCLEAR = "correct", "incorrect", "unclear"

_LABELS = {"yes": "yes", "no": "no", "1": "yes", "0": "no"}


class HallusionBench(Metric):
    """aAcc (the headline), qAcc and fAcc.

    A question is right only if it is answered rightly on all its figures; a figure only if all questions on it are
    right. Questions belong together by category, subcategory, ``set_id`` and ``question_id``, figures by
    ``figure_id`` instead.

    The official protocol lets a judge model call each answer correct, incorrect or unclear. It counts "unclear" as
    right where there is no figure to look at (category VS, figure 0), and leaves those rows out of fAcc.
    VLMEvalKit reads yes or no by rule and does neither; ``protocol="vlmevalkit"`` reproduces its numbers.

    Columns: ``category`` (VD or VS), ``subcategory``, ``set_id``, ``figure_id``, ``question_id``. Answers come from
    ``judgement`` (correct, incorrect or unclear, from a judge) if given, else from ``extracted`` (None = unclear),
    else from the yes/no rule of VLMEvalKit.

    Args:
        protocol: ``official`` or ``vlmevalkit``.
    """

    name = "hallusion_bench"
    headline = "aAcc"
    needs = "group"
    columns = ("category", "subcategory", "set_id", "figure_id", "question_id")
    optional_columns = ("judgement", "extracted")
    source = "tianyi-lab/HallusionBench utils.py; VLMEvalKit vlmeval/dataset/utils/yorn.py: Hallusion_rating"

    def __init__(self, protocol: str = "official") -> None:
        if protocol not in PROTOCOLS:
            raise SpecError(f"Metric {self.name!r}: protocol {protocol!r} is none of {', '.join(PROTOCOLS)}.")
        self.protocol = protocol

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for a right answer, 0 for a wrong or (mostly) an unclear one, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        verdicts = self._verdicts(predictions, references, columns)
        return [
            None
            if prediction is None
            else float(verdict == CORRECT or (verdict == UNCLEAR and self._no_figure(columns, row)))
            for row, (prediction, verdict) in enumerate(zip(predictions, verdicts, strict=True))
        ]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """``aAcc``, ``qAcc`` and ``fAcc``."""
        scores = self.score_samples(predictions, references, **columns)
        everything = list(range(len(scores)))
        with_figure = [row for row in everything if not self._no_figure(columns, row)]
        return [
            mean_statistic("aAcc", scores),
            _group_accuracy("qAcc", scores, everything, lambda row: self._key(columns, "question_id", row)),
            _group_accuracy("fAcc", scores, with_figure, lambda row: self._key(columns, "figure_id", row)),
        ]

    def _verdicts(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], columns: dict[str, Sequence[Any]]
    ) -> list[str]:
        if "judgement" in columns:
            return [self._judgement(row, value) for row, value in enumerate(columns["judgement"])]
        labels = [_LABELS[label] for label in single_references(self, references, tuple(_LABELS))]
        answers = read_answers(predictions, columns, lambda reply: vlmevalkit_yes_no(reply)[0])
        return [
            UNCLEAR if answer is None else CORRECT if _as_label(answer) == label else INCORRECT
            for answer, label in zip(answers, labels, strict=True)
        ]

    def _judgement(self, row: int, value: Any) -> str:
        """A judge's word, or the official code for it: 0 incorrect, 1 correct, 2 unclear."""
        word = {"0": INCORRECT, "1": CORRECT, "2": UNCLEAR}.get(str(value), str(value).strip().lower())
        if word not in (CORRECT, INCORRECT, UNCLEAR):
            raise DataError(
                f"Metric {self.name!r}, row {row}: judgement {value!r} is none of {CORRECT}, {INCORRECT}, {UNCLEAR} "
                "(or 1, 0, 2)."
            )
        return word

    def _no_figure(self, columns: dict[str, Sequence[Any]], row: int) -> bool:
        """The official protocol's case of its own: a supplement question asked without its figure."""
        return (
            self.protocol == "official" and columns["category"][row] == "VS" and str(columns["figure_id"][row]) == "0"
        )

    @staticmethod
    def _key(columns: dict[str, Sequence[Any]], last: str, row: int) -> Hashable:
        return tuple(str(columns[name][row]) for name in ("category", "subcategory", "set_id", last))


def _as_label(answer: str) -> str:
    """An answer in the words of the labels: HallusionBench writes yes and no as 1 and 0."""
    answer = answer.strip().lower()
    return _LABELS.get(answer, answer)


def _group_accuracy(name: str, scores: Scores, rows: list[int], key: Callable[[int], Hashable]) -> Statistic:
    """The share of groups in which every row is right."""
    groups = [[rows[i] for i in members] for members in group_rows([key(row) for row in rows]).values()]
    return mean_statistic(name, [all_right(scores, members) for members in groups], [members[0] for members in groups])
