"""A comparison as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.compare.ablation import Ablation
from evals.compare.records import Comparison, as_json


def comparison_json(found: Sequence[Comparison], ablation: Ablation | None = None) -> dict[str, Any]:
    """The document that ``compare --json`` prints and reports read; ``ablation`` is null where runs are no series."""
    comparisons = [as_json(comparison) for comparison in found]
    return {"schema_version": 1, "kind": "comparison", "comparisons": comparisons, "ablation": as_json(ablation)}
