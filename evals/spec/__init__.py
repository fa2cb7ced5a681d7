"""Tasks and suites as data: YAML in, checked frozen records out."""

from evals.spec.catalogue import find_suite, find_task, is_suite, read_task, suite_names, task_names
from evals.spec.records import MetricUse, SuiteEntry, SuiteSpec, TaskSpec

__all__ = [
    "MetricUse",
    "SuiteEntry",
    "SuiteSpec",
    "TaskSpec",
    "find_suite",
    "find_task",
    "is_suite",
    "read_task",
    "suite_names",
    "task_names",
]
