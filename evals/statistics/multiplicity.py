"""Many tests at once: Holm for claims (any false one is a failure), Benjamini-Hochberg for exploring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Step = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm (1979) step-down adjusted p: family-wise error at the level they are compared with.

    A None (no test exists) stays None and is not counted in the family.
    """
    return _adjusted(p_values, _step_down)


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Benjamini-Hochberg (1995) adjusted p: expected share of false ones among those called; None stays None."""
    return _adjusted(p_values, _step_up)


def _step_down(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    m = len(ordered)
    return np.asarray(np.maximum.accumulate(ordered * np.arange(m, 0, -1)))


def _step_up(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    m = len(ordered)
    scaled = ordered * m / np.arange(1, m + 1)
    return np.asarray(np.minimum.accumulate(scaled[::-1])[::-1])


def _adjusted(p_values: Sequence[float | None], step: Step) -> list[float | None]:
    known = [(i, p) for i, p in enumerate(p_values) if p is not None]
    adjusted: list[float | None] = [None] * len(p_values)
    if not known:
        return adjusted
    order = np.argsort([p for _, p in known], kind="stable")
    values = np.minimum(step(np.array([p for _, p in known], dtype=np.float64)[order]), 1.0)
    for rank, position in enumerate(order):
        adjusted[known[int(position)][0]] = float(values[rank])
    return adjusted
