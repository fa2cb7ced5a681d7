"""The mean score so far, where each answer is scored alone: a person wants to see early that something is off."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.extract import get_extractor
from evals.metrics.registry import get_metric
from evals.records import Answer, Question
from evals.spec.records import TaskSpec


class RunningScore:
    """Mean of the main metric over this session's answers; None where that metric needs more than single answers."""

    def __init__(self, spec: TaskSpec) -> None:
        use = spec.metrics[0]
        metric = get_metric(use.name, **use.options)
        self._metric = metric if metric.needs == "sample" and not set(metric.columns) - {"extracted"} else None
        self._extract = get_extractor(spec.extractor)
        self._sum, self._n = 0.0, 0

    @property
    def value(self) -> float | None:
        """The mean, on the metric's own scale."""
        return self._sum / self._n if self._n else None

    def add(self, batch: Sequence[tuple[Question, Answer]]) -> tuple[float, int]:
        """Score a batch of answers; failures and likelihood answers are passed over.

        Returns:
            The sum of the batch's scores, and how many there are.
        """
        if self._metric is None:
            return 0.0, 0
        good = [(q, a) for q, a in batch if a.failure is None and a.choice_scores is None]
        columns: dict[str, list[Any]] = {}
        if "extracted" in (*self._metric.columns, *self._metric.optional_columns):
            columns["extracted"] = [self._extract(a.text, **q.fields)[0] for q, a in good]
        scores = self._metric.score_samples([a.text for _, a in good], [q.references for q, _ in good], **columns)
        known = [score for score in scores if score is not None]
        self._sum += sum(known)
        self._n += len(known)
        return float(sum(known)), len(known)
