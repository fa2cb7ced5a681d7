"""From units to clusters: totals by cluster, and what each cluster contributes to a number's error.

Questions about one image are not independent, so the cluster (by default: the image) is what counts as one
observation. Everything here knows only unit vectors and cluster keys.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import DataError
from evals.metrics.base import COMBINE, Statistic

Floats = NDArray[np.float64]
Codes = NDArray[np.intp]

FEW_CLUSTERS = (
    20  # below this, t with G-1 degrees of freedom is still too optimistic (Cameron & Miller 2015); shown as a flag
)


def cluster_codes(keys: Sequence[Hashable] | NDArray[np.integer[Any]]) -> tuple[Codes, int]:
    """Number the clusters 0 .. G-1 in order of first appearance; returns the units' numbers and G.

    Keys that are numbers already are best given as an array, which is faster and takes no memory a key.
    """
    if isinstance(keys, np.ndarray):
        if is_numbered(keys):
            return keys.astype(np.intp), int(keys.max()) + 1
        _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
        return np.argsort(np.argsort(first))[codes], len(first)
    numbers: dict[Hashable, int] = {}
    codes = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys), dtype=np.intp, count=len(keys))
    return codes, len(numbers)


def is_numbered(keys: NDArray[np.integer[Any]]) -> bool:
    """Whether keys are 0 .. G-1 in order of first appearance already, so that they need not be sorted to see it."""
    if not len(keys) or keys[0] != 0 or keys.min() < 0:
        return False
    return bool((np.diff(np.maximum.accumulate(keys)) <= 1).all())


def cluster_totals(vectors: Floats, codes: Codes, n_clusters: int) -> Floats:
    """Sum unit vectors (units, k) within clusters: shape (clusters, k)."""
    columns = [np.bincount(codes, weights=column, minlength=n_clusters) for column in vectors.T]
    return np.stack(columns, axis=1) if columns else np.zeros((n_clusters, 0))


def is_mean(statistic: Statistic) -> bool:
    """Whether the statistic is the plain mean of one score a unit (its denominator counts units)."""
    return (
        statistic.combine == "ratio"
        and statistic.vectors.shape[1] == 2
        and bool((statistic.vectors[:, 1] == 1.0).all())
    )


def check_statistic(statistic: Statistic, clusters: Sequence[Hashable] | NDArray[np.integer[Any]]) -> None:
    """Refuse what no number can be computed from.

    Raises:
        DataError: a unit's vector holds NaN or infinity (a score that does not exist must be None and its unit left
            out), or there is not one cluster key a unit.
    """
    if len(clusters) != len(statistic.vectors):
        raise DataError(
            f"Statistic {statistic.name!r} has {len(statistic.vectors)} units but {len(clusters)} cluster keys were "
            "given. Give one key for each unit, in the order of the unit vectors."
        )
    finite = np.isfinite(statistic.vectors).all(axis=1)
    if not finite.all():
        unit = int(np.argmin(finite))
        row = statistic.rows[unit] if unit < len(statistic.rows) else unit
        raise DataError(
            f"Statistic {statistic.name!r}: unit {unit} (row {row}) has the vector {statistic.vectors[unit].tolist()}, "
            "which is not finite. A metric must give None where it has no score, so that the unit is left out and "
            "lowers the coverage."
        )


def influence(statistic: Statistic, codes: Codes, n_clusters: int) -> Floats | None:
    """What each cluster contributes to the error of the number: values psi_c with SE = sqrt(sum psi_c^2).

    For a ratio of sums r = N / D it is the cluster-robust score sqrt(G / (G-1)) (N_c - r D_c) / D, which makes SE the
    CR1 clustered error (Miller 2024, arXiv 2411.00640, eq. 4, with the finite-cluster factor; equal to an OLS on a
    constant with clustered covariance). For any other combination it is the delete-one-cluster jackknife. Influences
    add: of a difference, of a weighted mean over tasks that share clusters, of any linear combination.

    Returns:
        Shape (clusters,); None with fewer than two clusters or where the number is undefined without some cluster.
    """
    value = statistic.value
    if n_clusters < 2 or value is None:
        return None
    totals = cluster_totals(statistic.vectors, codes, n_clusters)
    if statistic.combine == "ratio":
        residual = totals[:, 0] - value * totals[:, 1]
        return np.asarray(np.sqrt(n_clusters / (n_clusters - 1)) * residual / totals[:, 1].sum())
    without = leave_one_out(totals, statistic.combine)
    if not np.isfinite(without).all():
        return None
    return np.asarray(-np.sqrt((n_clusters - 1) / n_clusters) * (without - without.mean()))


def leave_one_out(totals: Floats, combine: str) -> Floats:
    """The number without each cluster in turn, from cluster totals (clusters, k): shape (clusters,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(COMBINE[combine](totals.sum(axis=0) - totals), dtype=np.float64)


def standard_error(psi: Floats) -> float:
    """sqrt(sum psi^2), with rounding dust below 1e-14 taken as the 0 that it is."""
    error = float(np.sqrt(np.square(psi).sum()))
    return 0.0 if error < 1e-14 else error
