"""Whether this installation is sound: the environment, and the scorers against the cases that ship with them."""

from __future__ import annotations

from dataclasses import dataclass

from evals.extract.selfcheck import check_extractors
from evals.metrics.selfcheck import check_vectors


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
    return metrics + [Check("extractor", r.extractor, r.source, r.checked, r.differences) for r in check_extractors()]
