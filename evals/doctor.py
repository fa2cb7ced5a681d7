"""Whether this installation is sound: the environment, and the scorers against the cases that ship with them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from evals.extract import get_extractor
from evals.metrics.selfcheck import check_vectors

EXTRACTOR_VECTORS = Path(__file__).parent / "extract" / "vectors"


@dataclass(frozen=True, slots=True)
class Check:
    """One scorer's result: how many shipped cases were compared, and the differences found."""

    kind: str
    name: str
    source: str
    checked: int
    differences: tuple[str, ...]


def check_scorers() -> list[Check]:
    """Compare every metric and extractor with its shipped cases."""
    metrics = [Check("metric", r.metric, r.source, r.checked, r.differences) for r in check_vectors()]
    return metrics + [_check_extractor(path) for path in sorted(EXTRACTOR_VECTORS.glob("*.json"))]


def _check_extractor(path: Path) -> Check:
    vectors = json.loads(path.read_text(encoding="utf-8"))
    extract = get_extractor(vectors["extractor"])
    differences = []
    for case in vectors["cases"]:
        found = extract(case["text"], **case.get("context", {}))
        if found != (case["value"], case["rule"]):
            differences.append(f"{case['text']!r}: expected {(case['value'], case['rule'])}, found {found}")
    return Check("extractor", vectors["extractor"], "", len(vectors["cases"]), tuple(differences))
