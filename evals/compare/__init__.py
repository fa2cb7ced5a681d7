"""Two or more runs on the same questions: what differs, how surely, and where."""

from evals.compare.ablation import Ablation, ablate, in_step_order, is_series
from evals.compare.document import comparison_json
from evals.compare.records import CategoryComparison, Comparison, Efficiency, TaskComparison, as_json
from evals.compare.runs import Options, compare_runs

__all__ = [
    "Ablation",
    "CategoryComparison",
    "Comparison",
    "Efficiency",
    "Options",
    "TaskComparison",
    "ablate",
    "as_json",
    "compare_runs",
    "comparison_json",
    "in_step_order",
    "is_series",
]
