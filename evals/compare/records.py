"""What a comparison says: frozen records that become JSON with :func:`as_json`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from evals.compare.identity import Mismatch
from evals.statistics import Difference, Macro


@dataclass(frozen=True, slots=True)
class CategoryComparison:
    """One value of one category: its own paired difference. Exploratory: p is adjusted by Benjamini-Hochberg."""

    column: str
    value: str
    difference: Difference
    p_bh: float | None = None


@dataclass(frozen=True, slots=True)
class Efficiency:
    """B / A of one efficiency quantity; ``low`` and ``high`` None where there is no interval to give.

    ``better`` is "lower" or "higher". ``note`` says what the interval does not cover.
    """

    name: str
    unit: str
    a: float
    b: float
    ratio: float
    low: float | None
    high: float | None
    better: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class TaskComparison:
    """One task of two runs.

    Attributes:
        task, title, statistic: names; scale: the statistic's range (None for an open end); chance as in results.
        difference: B - A in the statistic's own units; gain: the same with up better and 1 the whole scale.
        p_holm: adjusted over the family of all tasks of all comparisons made together.
        detectable: smallest true difference (own units) found with 80 % probability, two-sided at 5 %.
        agreement: share of units with the same extracted answer; None without units.
        only_a, only_b, unscored: rows that could not be paired, as in :class:`evals.compare.evidence.Joined`.
        verdict: better | worse | equivalent | undetected | undefined; sentence says it in words.
    """

    task: str
    title: str
    statistic: str
    scale: tuple[float | None, float | None]
    weight: float
    difference: Difference
    gain: Difference
    agreement: float | None
    detectable: float | None
    only_a: int
    only_b: int
    unscored: int
    categories: tuple[CategoryComparison, ...] = ()
    efficiency: tuple[Efficiency, ...] = ()
    p_holm: float | None = None
    verdict: str = "undefined"
    sentence: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two runs, A (the older or reference one) and B.

    Attributes:
        a, b: run ids; a_model, b_model: the adapters' identities.
        tasks: tasks of both, in A's order; missing: tasks of only one of them.
        overall: macro difference in parts of the scale; None where a task is missing or cannot be averaged.
        allowed: identity parts that differ and were allowed to.
        efficiency: ratios of the whole runs (memory, load time); efficiency_note: why there are none.
    """

    a: str
    b: str
    a_model: dict[str, Any]
    b_model: dict[str, Any]
    tasks: tuple[TaskComparison, ...]
    missing: tuple[str, ...]
    overall: Macro | None
    overall_a: float | None
    overall_b: float | None
    overall_detectable: float | None
    verdict: str
    sentence: str
    allowed: tuple[Mismatch, ...]
    efficiency: tuple[Efficiency, ...]
    efficiency_note: str
    margin: float
    warnings: tuple[str, ...] = field(default=())


def as_json(value: Any) -> Any:
    """Records as plain JSON values: arrays (influences) are left out, infinities become null."""
    if is_dataclass(value) and not isinstance(value, type):
        named = ((f.name, getattr(value, f.name)) for f in fields(value))
        return {name: as_json(item) for name, item in named if not isinstance(item, np.ndarray) and name != "psi"}
    if isinstance(value, dict):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, np.bool_ | np.integer):
        return value.item()
    return value
