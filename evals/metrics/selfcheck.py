"""Checks an installation's scorers against the vectors that ship with it (``doctor --scorers``).

A vector file is ``evals/metrics/vectors/<name>.json``::

    {"metric": "anls", "options": {}, "tolerance": 1e-9,
     "cases": [{"prediction": "...", "references": ["..."], "score": 0.5, <further columns>}],
     "numbers": {"anls": 0.5}}

``options`` go to the metric's constructor; ``tolerance`` and ``numbers`` may be left out; a score of null says that the
metric must give none. The inputs are this project's own, the scores are what the official scorer gives.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.metrics.registry import get_metric

VECTORS = Path(__file__).parent / "vectors"
TOLERANCE = 1e-9
_NOT_COLUMNS = frozenset({"prediction", "references", "score"})


@dataclass(frozen=True, slots=True)
class VectorResult:
    """How a metric did on its vectors.

    Attributes:
        file: the vector file's stem.
        metric: the metric's registry name.
        source: the official scorer that it equals.
        checked: how many scores and numbers were compared.
        differences: one sentence for each that differs; empty is good.
    """

    file: str
    metric: str
    source: str
    checked: int
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything was equal and there was something to compare."""
        return self.checked > 0 and not self.differences


def check_vectors(folder: Path = VECTORS) -> list[VectorResult]:
    """Score every vector file in ``folder``, in the order of their names."""
    return [check_file(path) for path in sorted(folder.glob("*.json"))]


def check_file(path: Path) -> VectorResult:
    """Score one vector file and list what differs from it."""
    vectors: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    metric = get_metric(vectors["metric"], **vectors.get("options", {}))
    tolerance = float(vectors.get("tolerance", TOLERANCE))
    cases: list[dict[str, Any]] = vectors["cases"]
    predictions, references = [c["prediction"] for c in cases], [c["references"] for c in cases]
    names = dict.fromkeys(name for case in cases for name in case if name not in _NOT_COLUMNS)
    columns = {name: [case.get(name) for case in cases] for name in names}

    pairs: list[tuple[str, float | None, float | None]] = []
    if any("score" in case for case in cases):
        scores = metric.score_samples(predictions, references, **columns)
        pairs += [
            (f"case {row} ({case['prediction']!r:.60})", case["score"], score)
            for row, (case, score) in enumerate(zip(cases, scores, strict=True))
            if "score" in case
        ]
    if numbers := vectors.get("numbers"):
        found = metric.compute(predictions, references, **columns)
        pairs += [(name, expected, found.get(name)) for name, expected in numbers.items()]
    return VectorResult(path.stem, metric.name, metric.source, len(pairs), tuple(_differences(pairs, tolerance)))


def _differences(pairs: Iterable[tuple[str, float | None, float | None]], tolerance: float) -> Iterable[str]:
    for what, expected, found in pairs:
        same = expected is found if expected is None or found is None else abs(expected - found) <= tolerance
        if not same:
            yield f"{what}: expected {expected}, found {found}"
