"""What a metric is: per-sample scores, and numbers that are functions of sums over units.

Every number of every metric here is ``combine(sum of unit vectors)``: a mean is ``sum / count``, F1 is a function of
the sums of true positives and so on, BLEU of n-gram counts. So each metric hands out its unit vectors once, and value,
interval (cluster bootstrap or the analytic clustered error), paired difference and drill-down are all computed from
those vectors by ``evals.statistics``, never by scoring again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import DataError
from evals.metrics.formulas import FORMULAS

Scores = list[float | None]


@dataclass(frozen=True, slots=True)
class Statistic:
    """One number of a metric, as a function of sums over units.

    Attributes:
        name: the number's name, e.g. ``accuracy``, ``f1``, ``circular``.
        rows: for each unit the index of the row that stands for it (its cluster, categories and id are the unit's).
            A unit is a row, or a group of rows such as the rotations of one question.
        vectors: shape (units, k), what each unit adds to the totals.
        combine: name in :data:`COMBINE` of the function from totals to the number.
        scale: the number's range; (0, 1) is shown as percent, others as they are.
    """

    name: str
    rows: Sequence[int]
    vectors: NDArray[np.float64]
    combine: str = "ratio"
    scale: tuple[float, float] = (0.0, 1.0)
    higher_is_better: bool = True

    @property
    def value(self) -> float | None:
        """The number itself; None where it is undefined (no units, zero denominator)."""
        if not len(self.rows):
            return None
        value = float(COMBINE[self.combine](self.vectors.sum(axis=0)))
        return value if np.isfinite(value) else None


def _ratio(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Numerator / denominator: a mean (denominator counts units) or a pooled rate such as WER."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(totals[..., 0] / totals[..., 1])


# Functions from totals of shape (..., k) to values of shape (...); NaN where undefined. Formulas of single
# metrics stand in evals/metrics/formulas.py, so that a stored statistic can be combined again without scoring.
COMBINE: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {"ratio": _ratio, **FORMULAS}


def mean_statistic(
    name: str, scores: Sequence[float | None], rows: Sequence[int] | None = None, **kwargs: Any
) -> Statistic:
    """The mean of per-unit scores as a statistic; units whose score is None are left out (and lower the coverage)."""
    index = range(len(scores)) if rows is None else rows
    kept = [(row, score) for row, score in zip(index, scores, strict=True) if score is not None]
    vectors = np.array([[score, 1.0] for _, score in kept], dtype=np.float64).reshape(len(kept), 2)
    return Statistic(name, tuple(row for row, _ in kept), vectors, **kwargs)


class Metric:
    """Base of all metrics. A subclass sets the class attributes and overrides ``score_samples`` (for a mean of
    per-sample scores), or ``statistics`` as well (for anything else).

    Attributes:
        name: registry name.
        version: raised whenever any score can change; part of a result's identity.
        headline: key of ``compute`` that stands for the metric.
        needs: ``sample`` (each row alone), ``group`` (rows of one group together) or ``corpus`` (the whole set: a
            score over a subset is another number, and results say so).
        columns: keyword columns that must be given; ``optional_columns`` may be.
        source: the official scorer that this one equals.
    """

    name: str = ""
    version: str = "1"
    headline: str = ""
    needs: str = "sample"
    columns: tuple[str, ...] = ()
    optional_columns: tuple[str, ...] = ()
    source: str = ""

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """One score a row; None where a row has none (failed request, undefined)."""
        raise NotImplementedError

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """All numbers of this metric, the headline first."""
        return [mean_statistic(self.headline, self.score_samples(predictions, references, **columns))]

    def evaluate(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> tuple[Scores, list[Statistic]]:
        """Per-sample scores and all statistics together; a plain mean is scored once for both."""
        scores = self.score_samples(predictions, references, **columns)
        if type(self).statistics is Metric.statistics:
            return scores, [mean_statistic(self.headline, scores)]
        return scores, self.statistics(predictions, references, **columns)

    def compute(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> dict[str, float | None]:
        """All numbers by name, e.g. ``{"anls": 0.81}``."""
        return {s.name: s.value for s in self.statistics(predictions, references, **columns)}

    def check(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], columns: dict[str, Sequence[Any]]
    ) -> None:
        """Raise :class:`DataError` where lengths differ or a needed column is missing; public methods call it first."""
        lengths = {"predictions": len(predictions), "references": len(references)}
        lengths |= {name: len(values) for name, values in columns.items()}
        if len(set(lengths.values())) > 1:
            listed = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise DataError(
                f"Metric {self.name!r} needs columns of one length, found {listed}. Give one entry per sample in each."
            )
        missing = [name for name in self.columns if name not in columns]
        if missing:
            raise DataError(f"Metric {self.name!r} needs the column(s) {', '.join(missing)}, which were not given.")
