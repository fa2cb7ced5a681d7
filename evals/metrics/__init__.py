"""Scores that equal the official scorers, case by case. ``get_metric(name)`` is the way in."""

from typing import TYPE_CHECKING, Any

from evals.metrics.registry import METRICS, get_metric

if TYPE_CHECKING:
    from evals.metrics.base import Metric, Statistic

__all__ = ["METRICS", "Metric", "Statistic", "get_metric"]


def __getattr__(name: str) -> Any:
    """The base classes, when they are asked for: they bring numpy, which listing names does not need."""
    if name in ("Metric", "Statistic"):
        from evals.metrics import base

        return getattr(base, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
