"""A baseline's rows for the sample browser: a frozen run kept the score of each unit, not its answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.frozen import FrozenRun
from evals.records import ScoredSample
from evals.store import Run
from reports import samples_view
from reports.browsing import task_rows
from reports.telling import page_rows

_SAME = 1e-9


def gate_browser(baseline: FrozenRun, candidate: Run) -> dict[str, Any]:
    """The sample browser's data of a candidate's answers beside a baseline's scores."""
    shared = {name: task for name, task in candidate.results["tasks"].items() if name in baseline.results["tasks"]}
    found = page_rows([candidate])
    rows = {task.name: list(task.runs[0].values()) for task in found.tasks if task.name in shared}
    before = {name: baseline_rows(baseline, name, rows[name], str(task.get("metric"))) for name, task in shared.items()}
    tasks = task_rows({"tasks": shared}, [before, rows])
    return samples_view.browser_data(tasks, candidate.thumbnail, frozen=1, left_out=found.left_out)


def baseline_rows(baseline: FrozenRun, task: str, candidate: Sequence[ScoredSample], metric: str) -> list[ScoredSample]:
    """The baseline's score of each row of the candidate that the baseline kept one of.

    A unit's score is known where its statistic is a ratio of sums and, on the candidate's side, equals the row's own
    score: a unit of several rows (all rotations right, say) says nothing of one of them.
    """
    result = baseline.results["tasks"][task]
    headline = result["headline"]
    column = f"unit:{headline}"
    held = baseline.columns(task, ["row_id", column])
    units = dict(zip(held["row_id"], held[column], strict=True))
    ratio = result["statistics"][headline].get("combine") == "ratio"
    found = []
    for row in candidate:
        if row.row_id not in units:
            continue
        own, score = _ratio(row.units.get(headline)), samples_view.main_score(row, metric)
        known = ratio and own is not None and score is not None and abs(own - score) < _SAME
        found.append(_row(row, metric, _ratio(units[row.row_id]) if known else None))
    return found


def _ratio(unit: Sequence[float] | None) -> float | None:
    return unit[0] / unit[1] if unit is not None and len(unit) == 2 and unit[1] else None


def _row(row: ScoredSample, metric: str, score: float | None) -> ScoredSample:
    return ScoredSample(
        row_id=row.row_id,
        group=row.group,
        content_hash=row.content_hash,
        cluster=row.cluster,
        prompt="",
        image_hashes=(),
        references=(),
        prediction="",
        extracted="",
        rule="",
        scores={metric: score},
    )
