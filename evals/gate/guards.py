"""Absolute guards beside the accuracy test: what a mean can hide, and what makes scores incomparable in kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.compare.records import CategoryComparison
from evals.gate.margins import Margins
from evals.statistics import holm
from evals.statistics.distributions import t_cdf


@dataclass(frozen=True, slots=True)
class Guard:
    """One check: ``kind`` is error_rate | parse_failures | answer_length | category_collapse | peak_memory.

    ``found`` and ``limit`` are in ``unit``; ``detail`` says it in words.
    """

    kind: str
    task: str
    kept: bool
    found: float
    limit: float
    unit: str
    detail: str


Rates = Mapping[str, float | None]


def rate_guards(task: str, before: Rates, after: Rates, margins: Margins) -> list[Guard]:
    """Failed requests, unreadable answers and answer length of one task; a quantity unknown on a side has no guard."""
    found = []
    for kind, words, allowed in (
        ("error_rate", "failed requests", margins.error_rate),
        ("parse_failures", "unreadable answers", margins.parse_failures),
    ):
        old, new = before.get(kind), after.get(kind)
        if old is not None and new is not None:
            limit = old + allowed
            detail = f"{words}: {old * 100:.1f} % → {new * 100:.1f} %, at most {limit * 100:.1f} %"
            found.append(Guard(kind, task, new <= limit + 1e-12, new, limit, "share", detail))
    old, new = before.get("answer_chars"), after.get("answer_chars")
    if old and new is not None:
        ratio = new / old
        kept = margins.length_low <= ratio <= margins.length_high
        limit = margins.length_low if ratio < 1 else margins.length_high
        detail = (
            f"mean answer length: {old:.1f} → {new:.1f} characters (× {ratio:.2f}), "
            f"allowed × {margins.length_low} to × {margins.length_high}"
        )
        found.append(Guard("answer_length", task, kept, ratio, limit, "ratio", detail))
    return found


def category_guards(cells: Mapping[str, Sequence[CategoryComparison]], margins: Margins) -> list[Guard]:
    """Categories shown to have fallen by more than the margin: one-sided t tests against it, Holm at 5 % over all.

    Only categories of at least ``category_n`` units take part. A guard is returned for each collapsed category, and one
    that says so where none is.
    """
    every = [(task, cell) for task, found in cells.items() for cell in found]
    judged = [(task, cell) for task, cell in every if cell.difference.n_units >= margins.category_n]
    p_values = holm([_p_collapsed(cell, margins.category) for _, cell in judged])
    guards = []
    for (task, cell), p in zip(judged, p_values, strict=True):
        gain = cell.difference.gain()
        if p is not None and p <= 0.05 and gain.value is not None:
            detail = (
                f"{cell.column} = {cell.value} ({gain.n_units} questions) fell by {-gain.value * 100:.1f} points, "
                f"more than {margins.category * 100:.1f} (adjusted p = {p:.2g})"
            )
            guards.append(Guard("category_collapse", task, False, gain.value, -margins.category, "gain", detail))
    if judged and not guards:
        worst = min(cell.difference.gain().value or 0.0 for _, cell in judged)
        detail = f"no collapse among {len(judged)} categories; the largest fall is {max(0.0, -worst) * 100:.1f} points"
        guards.append(Guard("category_collapse", "", True, worst, -margins.category, "gain", detail))
    return guards


def _p_collapsed(cell: CategoryComparison, margin: float) -> float | None:
    """One-sided p of "fell by more than the margin"; None without an error."""
    gain = cell.difference.gain()
    if gain.value is None or gain.se is None:
        return None
    if gain.exact or gain.se == 0.0:  # too few changes for a t: then no fall beyond the margin is shown
        return 0.0 if gain.se == 0.0 and not gain.exact and gain.value < -margin else 1.0
    return t_cdf((gain.value + margin) / gain.se, gain.df)


def memory_guard(before: Mapping[str, Any], after: Mapping[str, Any], margins: Margins) -> list[Guard]:
    """Peak of allocated device memory, nearly deterministic on one hardware; no guard where either is unknown."""
    old, new = before.get("peak_allocated_mib"), after.get("peak_allocated_mib")
    if not old or not new:
        return []
    limit = old * margins.memory_factor + margins.memory_mib
    detail = f"peak allocated device memory: {old:.0f} → {new:.0f} MiB, at most {limit:.0f}"
    return [Guard("peak_memory", "", new <= limit, new, limit, "MiB", detail)]
