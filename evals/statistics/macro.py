"""A weighted mean over tasks with its error, for scores and for differences alike.

The influences of the tasks' clusters add, so tasks that ask about the same images are handled by summing influences of
the same image before squaring; for tasks without common clusters this is SE^2 = sum w^2 SE_t^2. (It equals, to first
order, a cluster bootstrap that draws an image with all its questions in all tasks, and needs no draws.)
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evals.metrics.base import Statistic
from evals.statistics.clusters import cluster_codes, influence, standard_error
from evals.statistics.distributions import t_cdf, t_quantile
from evals.statistics.intervals import Interval, interval
from evals.statistics.paired import Difference


@dataclass(frozen=True, slots=True)
class TaskNumber:
    """One task's part of a macro mean, with up meaning better and 1 meaning the whole scale.

    Attributes:
        name, weight: of the task; weights are normalised over all parts.
        value: score or difference; None makes the macro mean None.
        se: its error, at least what an exact bound implies; None makes the macro error None.
        psi: influence of each cluster, shape (clusters,); None as ``se``.
        clusters: the clusters' keys in the order of ``psi``.
    """

    name: str
    weight: float
    value: float | None
    se: float | None
    psi: NDArray[np.float64] | None
    clusters: Sequence[Hashable]


@dataclass(frozen=True, slots=True)
class Macro:
    """A weighted mean over tasks.

    Attributes:
        value, low, high, se: None where a task has no value (all) or no error (the last three).
        df: Welch-Satterthwaite degrees of freedom; with shared clusters at most the smallest task's.
        p, p_fall: two-sided, and one-sided for a fall; of a difference only.
        n_tasks: parts; shared_clusters: some cluster is in more than one task.
    """

    value: float | None
    low: float | None
    high: float | None
    se: float | None
    df: float
    p: float | None
    p_fall: float | None
    n_tasks: int
    shared_clusters: bool

    @property
    def score_interval(self) -> tuple[float | None, float | None]:
        """Low and high of a mean of scores, kept within [0, 1]; of a difference take ``low`` and ``high``."""
        low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (self.low, self.high))
        return low, high

    def lower(self, alpha: float) -> float | None:
        """One-sided lower confidence bound at level 1 - alpha."""
        return None if self.value is None or self.se is None else self.value - t_quantile(1 - alpha, self.df) * self.se

    def upper(self, alpha: float) -> float | None:
        """One-sided upper confidence bound at level 1 - alpha."""
        return None if self.value is None or self.se is None else self.value + t_quantile(1 - alpha, self.df) * self.se


def unit_value(statistic: Statistic) -> float | None:
    """The number with up meaning better and 1 meaning the whole scale: what macro means average.

    None where the number is undefined or its scale is open, as for an error rate: such a task cannot be averaged.
    """
    low, high = statistic.scale
    if statistic.value is None or not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return None
    share = (statistic.value - low) / (high - low)
    return share if statistic.higher_is_better else 1 - share


def score_part(
    name: str, statistic: Statistic, clusters: Sequence[Hashable], weight: float = 1.0, known: Interval | None = None
) -> TaskNumber:
    """A task's score as a part of the macro mean; ``known`` saves computing its interval again."""
    codes, n_clusters = cluster_codes(clusters)
    value, psi = unit_value(statistic), influence(statistic, codes, n_clusters)
    if value is None or psi is None or statistic.value is None:
        return TaskNumber(name, weight, value, None, None, ())
    span = statistic.scale[1] - statistic.scale[0]
    psi = psi / (span if statistic.higher_is_better else -span)
    se: float | None = standard_error(psi)
    if se == 0.0:  # nothing varies: take the error that the interval allows for, as 0 would claim certainty
        known = known or interval(statistic, clusters)
        se = None
        if known.low is not None and known.high is not None:  # the farther end counts: at 0 or 1 the nearer is no error
            reach = max(statistic.value - known.low, known.high - statistic.value) / span
            se = reach / t_quantile((1 + known.confidence) / 2, n_clusters - 1)
    return TaskNumber(name, weight, value, se, psi, tuple(dict.fromkeys(clusters)))


def difference_part(name: str, gain: Difference, clusters: Sequence[Hashable], weight: float = 1.0) -> TaskNumber:
    """A task's difference as a part of the macro difference; ``gain`` is what ``Difference.gain()`` returned."""
    return TaskNumber(name, weight, gain.value, gain.effective_se, gain.psi, tuple(dict.fromkeys(clusters)))


def macro_mean(parts: Sequence[TaskNumber], confidence: float = 0.95) -> Macro:
    """The weighted mean of the parts with its interval.

    Args:
        parts: at least one; weights positive, normalised here.
        confidence: of the two-sided interval.

    Returns:
        All None where a part has no value; value only where a part has no error.
    """
    total = sum(part.weight for part in parts)
    values = [part.value for part in parts if part.value is not None]
    if not parts or len(values) < len(parts) or total <= 0:
        return Macro(None, None, None, None, 0.0, None, None, len(parts), False)
    weights = [part.weight / total for part in parts]
    value = sum(w * v for w, v in zip(weights, values, strict=True))
    known = [(w, p.se, p.psi, p.clusters) for w, p in zip(weights, parts, strict=True)]
    parts_known = [(w, se, psi, keys) for w, se, psi, keys in known if se is not None and psi is not None]
    if len(parts_known) < len(parts):
        return Macro(value, None, None, None, 0.0, None, None, len(parts), False)
    se, shared = _error(parts_known)
    df = _degrees_of_freedom([(w * se_t, len(psi) - 1) for w, se_t, psi, _ in parts_known], shared)
    ratio = value / se if se > 0 else math.copysign(math.inf, value) if value else 0.0
    p_fall = t_cdf(ratio, df)
    half = t_quantile((1 + confidence) / 2, df) * se
    p = min(1.0, 2 * min(p_fall, 1 - p_fall))
    return Macro(value, value - half, value + half, se, df, p, p_fall, len(parts), shared)


def _error(parts: Sequence[tuple[float, float, NDArray[np.float64], Sequence[Hashable]]]) -> tuple[float, bool]:
    """(standard error, whether clusters are shared) from (weight, se, psi, cluster keys) of each task."""
    codes, n_clusters = cluster_codes([key for *_, keys in parts for key in keys])
    weighted = np.concatenate([w * psi for w, _, psi, _ in parts])
    joint = np.bincount(codes, weights=weighted, minlength=n_clusters)
    # What exact bounds add to a task's error has no direction, so it is added as an independent part.
    extra = sum(w * w * max(0.0, se * se - float(np.square(psi).sum())) for w, se, psi, _ in parts)
    return math.sqrt(float(np.square(joint).sum()) + extra), n_clusters < len(codes)


def _degrees_of_freedom(errors: Sequence[tuple[float, int]], shared: bool) -> float:
    """Welch-Satterthwaite from (weighted error, df) of each task."""
    fourth = sum(error**4 / df for error, df in errors)
    smallest = float(min(df for _, df in errors))
    if fourth == 0:
        return smallest
    welch = sum(error**2 for error, _ in errors) ** 2 / fourth
    return min(welch, smallest) if shared else welch
