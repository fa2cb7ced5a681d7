"""Scores that equal the official scorers, case by case. ``get_metric(name)`` is the way in."""

from evals.metrics.base import Metric, Statistic
from evals.metrics.registry import METRICS, get_metric

__all__ = ["METRICS", "Metric", "Statistic", "get_metric"]
