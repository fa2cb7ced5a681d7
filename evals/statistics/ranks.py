"""Ranks with the uncertainty they have: rank intervals and tie groups from corrected pairwise tests.

The rank of model i lies in [1 + significantly better ones, K - significantly worse ones] (after Mogstad, Romano, Shaikh
& Wilhelm 2024: with family-wise error control over the pairs, such intervals cover all true ranks at once).
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

import numpy as np
from numpy.typing import NDArray

from evals.statistics.multiplicity import holm

Booleans = NDArray[np.bool_]


def significantly_better(
    differences: NDArray[np.float64], p_values: NDArray[np.float64], alpha: float = 0.05
) -> Booleans:
    """Which model beats which after Holm over all K (K - 1) / 2 pairs.

    Args:
        differences: shape (K, K), score of row less score of column.
        p_values: shape (K, K), two-sided; NaN where a pair has no test, which proves nothing. Only the upper triangle
            is read.
        alpha: family-wise error rate.

    Returns:
        shape (K, K), True where the row is significantly better than the column.
    """
    size = len(differences)
    rows, columns = np.triu_indices(size, k=1)
    raw = [None if np.isnan(p) else float(p) for p in p_values[rows, columns]]
    better = np.zeros((size, size), dtype=bool)
    for i, j, p in zip(rows, columns, holm(raw), strict=True):
        if p is not None and p <= alpha:
            winner, loser = (i, j) if differences[i, j] > 0 else (j, i)
            better[winner, loser] = True
    return better


def rank_intervals(better: Booleans) -> list[tuple[int, int]]:
    """(best, worst) rank that the tests leave possible for each model; 1 is the best."""
    size = len(better)
    return [(1 + int(better[:, i].sum()), size - int(better[i].sum())) for i in range(size)]


def tie_groups(better: Booleans, order: Sequence[int]) -> list[str]:
    """Compact letter display: two models share a letter exactly if no test separates them (Piepho 2004).

    Args:
        better: as :func:`significantly_better` returns it.
        order: models from best to worst; letters are given in this order, ``a`` first.

    Returns:
        One string of letters for each model, in the models' own numbering.
    """
    groups: list[set[int]] = [set(order)]
    separated = better | better.T
    for i, j in zip(*np.nonzero(np.triu(separated)), strict=True):
        split: list[set[int]] = []
        for group in groups:
            split += [group - {int(i)}, group - {int(j)}] if i in group and j in group else [group]
        groups = _absorbed(split)
    place = {model: position for position, model in enumerate(order)}
    groups.sort(key=lambda group: sorted(place[model] for model in group))
    letters = [""] * len(better)
    for number, group in enumerate(groups):
        for model in group:
            letters[model] += _letter(number)
    return letters


def _absorbed(groups: list[set[int]]) -> list[set[int]]:
    """The groups without those contained in another, each once."""
    kept: list[set[int]] = []
    for group in sorted(groups, key=len, reverse=True):
        if not any(group <= other for other in kept):
            kept.append(group)
    return kept


def _letter(number: int) -> str:
    """a .. z, then a1 .. z1, a2 ..."""
    lap, place = divmod(number, len(ascii_lowercase))
    return ascii_lowercase[place] + (str(lap) if lap else "")
