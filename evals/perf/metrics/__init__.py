"""The metrics of a profile: one small class each, a pure function of a recorded process and case."""

from evals.perf.metrics.base import Metric, NoValue, Seen
from evals.perf.metrics.registry import METRICS, metric, metric_table

__all__ = ["METRICS", "Metric", "NoValue", "Seen", "metric", "metric_table"]
