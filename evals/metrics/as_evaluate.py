"""Our metrics as modules of the `evaluate` library, whose import takes seconds."""

from __future__ import annotations

from typing import Any

import datasets
import evaluate

from evals.metrics.base import Metric
from evals.metrics.registry import get_metric


class _Module(evaluate.Metric):  # type: ignore[misc]
    """One of our metrics as a module of the `evaluate` library."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric
        super().__init__(config_name=metric.name)

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=(type(self._metric).__doc__ or "").strip(),
            citation=self._metric.source,
            inputs_description="predictions: texts; references: a list of accepted texts for each prediction.",
            features=datasets.Features(
                {
                    "predictions": datasets.Value("string"),
                    "references": datasets.Sequence(datasets.Value("string")),
                }
            ),
        )

    def _compute(self, predictions: Any, references: Any, **columns: Any) -> dict[str, float | None]:
        return self._metric.compute(list(predictions), [list(accepted) for accepted in references], **columns)


def as_evaluate(name: str, **options: Any) -> evaluate.EvaluationModule:
    """One of our metrics as an ``evaluate.EvaluationModule``.

    Args:
        name: registry name, such as ``anls``.
        options: to the metric's constructor.

    Returns:
        a module whose ``compute(predictions=..., references=..., **columns)`` gives the same numbers as ours.
    """
    return _Module(get_metric(name, **options))
