"""The difference of two runs on the same units: one paired analysis, never two separate intervals.

=============================================  ========================  ========================================
situation                                      p                         interval and one-sided bounds
=============================================  ========================  ========================================
mean, ten or more clusters changed             cluster t, G-1 df         difference ± t × clustered error
0/1, one unit a cluster, under 25 discordant   exact mid-p McNemar       (as the row above or below)
mean, fewer than ten clusters changed          exact sign flip           conservative exact bound
any other function of sums                     t on the jackknife error  paired BCa cluster bootstrap; bounds by t
mean, all clusters changed alike               exact sign flip           bound on the clusters not seen
nothing changed                                1                         conservative exact bound
=============================================  ========================  ========================================

Differences are B - A in the statistic's own units. ``Difference.gain()`` turns one so that up is better and 1 is the
whole scale, which is what margins and macro means are stated in.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evals.errors import ComparisonError
from evals.metrics.base import COMBINE, Statistic
from evals.statistics.bootstrap import RESAMPLES, SEED, bca_interval, bootstrap_values
from evals.statistics.clusters import (
    FEW_CLUSTERS,
    Codes,
    Floats,
    check_statistic,
    cluster_codes,
    cluster_totals,
    influence,
    is_mean,
    leave_one_out,
    standard_error,
)
from evals.statistics.distributions import beta_quantile, t_cdf, t_quantile
from evals.statistics.exact import mid_p_fall, sign_flip_p_fall

FEW_CHANGES = 10  # changed clusters below which the t bound is unusable: its error can be 0 while answers do differ
MCNEMAR_BELOW = 25  # discordant pairs below which the exact test is used


@dataclass(frozen=True, slots=True)
class Difference:
    """B - A on the same units.

    Attributes:
        a, b, value: the two numbers and their difference.
        low, high: two-sided interval; se: clustered error of the difference; df: its degrees of freedom.
        p: two-sided; p_fall, p_rise: one-sided, small where B is lower, higher; None where no test exists.
        method, test: how interval and p were made.
        n_units, n_clusters, few_clusters: as in :class:`evals.statistics.Interval`.
        n_changed: units whose score differs; n_rose, n_fell: by direction, None where a unit has no score of its own.
        clusters_rose, clusters_fell: the same for clusters.
        reach: the most that one changed cluster in every cluster's place could move the number (for exact bounds).
        span, higher_is_better: of the statistic (span: its range, 1 for an open scale).
        exact: bounds come from the conservative exact bound.
        psi: influence of each cluster on the difference; None where undefined.
    """

    a: float | None
    b: float | None
    value: float | None
    low: float | None
    high: float | None
    se: float | None
    df: float
    p: float | None
    p_fall: float | None
    p_rise: float | None
    method: str
    test: str
    n_units: int
    n_clusters: int
    few_clusters: bool
    n_changed: int
    n_rose: int | None
    n_fell: int | None
    clusters_rose: int
    clusters_fell: int
    reach: float
    span: float
    higher_is_better: bool
    exact: bool
    psi: NDArray[np.float64] | None

    @property
    def discordance(self) -> float | None:
        """Share of units whose score differs; None without units."""
        return self.n_changed / self.n_units if self.n_units else None

    def lower(self, alpha: float) -> float | None:
        """One-sided lower confidence bound at level 1 - alpha; None where no error is known."""
        return self._bound(alpha, -1, self.clusters_fell)

    def upper(self, alpha: float) -> float | None:
        """One-sided upper confidence bound at level 1 - alpha; None where no error is known."""
        return self._bound(alpha, +1, self.clusters_rose)

    def _bound(self, alpha: float, side: int, changed: int) -> float | None:
        if self.value is None or self.n_clusters < 2:
            return None
        if self.exact:
            return side * self.reach * beta_quantile(1 - alpha, changed + 1, self.n_clusters - changed)
        if self.se is None:
            return None
        if (
            self.se == 0.0
        ):  # as evals.statistics.intervals.constant_interval: clusters not seen may have changed otherwise
            differing = beta_quantile(1 - alpha, 1, self.n_clusters)
            return self.value + side * differing * max(self.reach - side * self.value, 0.0)
        return self.value + side * t_quantile(1 - alpha, self.df) * self.se

    @property
    def effective_se(self) -> float | None:
        """The error to plan and to combine with: ``se``, or what the exact bound implies where that is larger."""
        if not self.exact and self.se != 0.0:
            return self.se
        low, high = self.lower(0.05), self.upper(0.05)
        if low is None or high is None or self.value is None or self.se is None:
            return None
        return max(self.se, max(self.value - low, high - self.value) / t_quantile(0.95, self.df))

    def gain(self) -> Difference:
        """The same difference with up meaning better and 1 meaning the whole scale."""
        factor = (1.0 if self.higher_is_better else -1.0) / self.span
        low, high = (self.low, self.high) if factor > 0 else (self.high, self.low)
        turned = replace(
            self,
            a=_scaled(self.a, factor),
            b=_scaled(self.b, factor),
            value=_scaled(self.value, factor),
            low=_scaled(low, factor),
            high=_scaled(high, factor),
            se=_scaled(self.se, abs(factor)),
            reach=self.reach * abs(factor),
            span=1.0,
            higher_is_better=True,
            psi=None if self.psi is None else self.psi * factor,
        )
        if factor > 0:
            return turned
        return replace(
            turned,
            p_fall=self.p_rise,
            p_rise=self.p_fall,
            n_rose=self.n_fell,
            n_fell=self.n_rose,
            clusters_rose=self.clusters_fell,
            clusters_fell=self.clusters_rose,
        )


def paired_difference(
    a: Statistic,
    b: Statistic,
    clusters: Sequence[Hashable],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """The difference B - A of one statistic on the same units.

    Args:
        a, b: the statistic of each run; unit i of both is the same unit.
        clusters: cluster key of each unit.
        confidence: of the two-sided interval.
        resamples, seed: of the bootstrap, where one is needed; 0 resamples gives t intervals on the jackknife error.

    Raises:
        ComparisonError: the two are not the same statistic on the same number of units.
        DataError: a unit vector is not finite.
    """
    if (a.name, a.combine, a.vectors.shape) != (b.name, b.combine, b.vectors.shape):
        raise ComparisonError(
            f"Cannot pair statistic {a.name!r} ({a.combine}, {a.vectors.shape[0]} units) with {b.name!r} ({b.combine}, "
            f"{b.vectors.shape[0]} units). Pair the same statistic on the units that both runs scored."
        )
    check_statistic(a, clusters)
    check_statistic(b, clusters)
    codes, n_clusters = cluster_codes(clusters)
    base = _counts(a, b, codes, n_clusters)
    psi_a, psi_b = influence(a, codes, n_clusters), influence(b, codes, n_clusters)
    value = base.value
    if psi_a is None or psi_b is None or value is None:
        return base
    psi = psi_b - psi_a
    se = standard_error(psi)
    mean = is_mean(a) and is_mean(b)
    changed = base.clusters_rose + base.clusters_fell
    exact = base.n_changed == 0 or (mean and changed < min(FEW_CHANGES, n_clusters / 2))
    base = replace(base, se=se, psi=psi, exact=exact, reach=_reach(a, b, psi_a, psi_b, codes, n_clusters))
    test, p_fall, p_rise = _test(base, a, b, codes, mean)
    base = replace(base, p=min(1.0, 2 * min(p_fall, p_rise)), p_fall=p_fall, p_rise=p_rise, test=test)
    alpha = (1 - confidence) / 2
    if mean or exact:
        method = "exact_bound" if exact or se == 0.0 else "cluster_t"
        return replace(base, low=base.lower(alpha), high=base.upper(alpha), method=method)
    if not resamples:
        return replace(base, low=base.lower(alpha), high=base.upper(alpha), method="jackknife_t")
    ends = _bootstrap_ends(a, b, codes, n_clusters, value, confidence, resamples, seed)
    low, high = ends or (None, None)
    return replace(base, low=low, high=high, method="cluster_bca" if ends else "undefined")


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def _counts(a: Statistic, b: Statistic, codes: Codes, n_clusters: int) -> Difference:
    """Everything that needs no error: values, what changed, and undefined ends."""
    value = None if a.value is None or b.value is None else b.value - a.value
    changed = (a.vectors != b.vectors).any(axis=1)
    scores = _unit_difference(a, b)
    n_rose = None if scores is None else int((scores > 0).sum())
    n_fell = None if scores is None else int((scores < 0).sum())
    if scores is None:  # without a score a unit has no direction: a changed cluster counts both ways
        touched = int((np.bincount(codes, weights=changed, minlength=n_clusters) > 0).sum())
        rose = fell = touched
    else:
        sums = np.bincount(codes, weights=scores, minlength=n_clusters)
        dust = 1e-12 * max(1.0, float(np.abs(scores).max(initial=0.0)))
        rose, fell = int((sums > dust).sum()), int((sums < -dust).sum())
    span = a.scale[1] - a.scale[0]
    return Difference(
        a=a.value,
        b=b.value,
        value=value,
        low=None,
        high=None,
        se=None,
        df=max(n_clusters - 1, 0),
        p=None,
        p_fall=None,
        p_rise=None,
        method="undefined",
        test="none",
        n_units=len(a.vectors),
        n_clusters=n_clusters,
        few_clusters=n_clusters < FEW_CLUSTERS,
        n_changed=int(changed.sum()),
        n_rose=n_rose,
        n_fell=n_fell,
        clusters_rose=rose,
        clusters_fell=fell,
        reach=0.0,
        span=span if math.isfinite(span) and span > 0 else 1.0,
        higher_is_better=a.higher_is_better,
        exact=False,
        psi=None,
    )


def _unit_difference(a: Statistic, b: Statistic) -> Floats | None:
    """Each unit's own difference (units,), of scores or of pooled rates; None for any other combination."""
    if a.combine != "ratio":
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        before, after = (s.vectors[:, 0] / s.vectors[:, 1] for s in (a, b))
        return np.nan_to_num(after - before, nan=0.0, posinf=0.0, neginf=0.0)


def _reach(a: Statistic, b: Statistic, psi_a: Floats, psi_b: Floats, codes: Codes, n_clusters: int) -> float:
    """How far the number would move if every cluster were the heaviest one and changed over the whole scale."""
    span = a.scale[1] - a.scale[0]
    span = span if math.isfinite(span) and span > 0 else 1.0
    if a.combine == "ratio":
        weights = [np.bincount(codes, weights=s.vectors[:, 1], minlength=n_clusters) for s in (a, b)]
        return span * max(float(w.max() / w.mean()) for w in weights)
    # Leaving a cluster out moves the number by psi; turning it from right to wrong, by up to twice that.
    return max(span, 2 * n_clusters * float(max(np.abs(psi_a).max(), np.abs(psi_b).max())))


def _test(diff: Difference, a: Statistic, b: Statistic, codes: Codes, mean: bool) -> tuple[str, float, float]:
    """(name of the test, one-sided p of a fall, one-sided p of a rise)."""
    if diff.n_changed == 0 or diff.value is None or diff.se is None:
        return "identical", 1.0, 1.0
    binary = mean and bool(np.isin([a.vectors[:, 0], b.vectors[:, 0]], (0.0, 1.0)).all())
    if binary and diff.n_clusters == diff.n_units and diff.n_changed < MCNEMAR_BELOW:
        name, p_fall = "mcnemar_mid_p", mid_p_fall(diff.clusters_fell, diff.clusters_rose)
    elif mean and (diff.exact or diff.se == 0.0):
        sums: Floats = np.bincount(codes, weights=b.vectors[:, 0] - a.vectors[:, 0]).astype(np.float64)
        return "sign_flip", sign_flip_p_fall(sums), sign_flip_p_fall(-sums)
    else:
        ratio = diff.value / diff.se if diff.se > 0 else math.copysign(math.inf, diff.value) if diff.value else 0.0
        name, p_fall = ("cluster_t" if mean else "jackknife_t"), t_cdf(ratio, diff.df)
    return name, p_fall, 1 - p_fall


def _bootstrap_ends(
    a: Statistic,
    b: Statistic,
    codes: Codes,
    n_clusters: int,
    value: float,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float] | None:
    """Paired BCa interval: both runs' totals of a cluster are drawn together."""
    totals = [cluster_totals(s.vectors, codes, n_clusters) for s in (a, b)]
    width = totals[0].shape[1]
    combine = COMBINE[a.combine]
    draws = bootstrap_values(
        np.hstack(totals), lambda t: combine(t[..., width:]) - combine(t[..., :width]), resamples, seed
    )
    without = leave_one_out(totals[1], a.combine) - leave_one_out(totals[0], a.combine)
    return bca_interval(value, draws, without, confidence)
