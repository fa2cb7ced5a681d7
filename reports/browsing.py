"""The rows of runs as the sample browser takes them, and what readers without JavaScript get of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from evals.records import ScoredSample
from evals.store import Run
from reports import samples_view
from reports.inputs import headline, title

SAMPLE_SCRIPTS = ("samples_text.js", "samples_source.js", "samples.js")  # of reports/static, after link.js
FALLBACK_ROWS = 20  # telling samples in the page for readers without JavaScript


def task_rows(
    results: Mapping[str, Any], runs: Sequence[Mapping[str, Sequence[ScoredSample]]]
) -> list[samples_view.TaskRows]:
    """The rows of every task of one or more runs, for the sample browser."""
    found = []
    for name, task in results["tasks"].items():
        worst, best = right_and_wrong(task)
        found.append(
            samples_view.TaskRows(
                name=name,
                title=title(name, task),
                metric=str(task.get("metric", "")),
                best=best,
                worst=worst,
                extracts=bool(task.get("parse_failures"))
                or any(row.rule for rows in runs for row in rows.get(name, ())),
                runs=tuple({row.row_id: row for row in rows.get(name, ())} for rows in runs),
            )
        )
    return found


def right_and_wrong(task: Mapping[str, Any]) -> tuple[float, float]:
    """The scores of a fully wrong and a fully right answer: the ends of the scale, one where it is open."""
    estimate = headline(task)
    low, high = (default if end is None else float(end) for end, default in zip(estimate["scale"], (0, 1), strict=True))
    high = high if math.isfinite(high) else 1.0
    return (low, high) if estimate["higher_is_better"] else (high, low)


def fallback_rows(tasks: Sequence[samples_view.TaskRows]) -> list[dict[str, Any]]:
    """A few telling samples for readers without JavaScript: failed, unparsed and wrong ones, in the page's order."""
    telling = (samples_view.ERROR, samples_view.UNPARSED, samples_view.WRONG)
    found = []
    for task in tasks:
        for row in task.runs[-1].values():
            state = samples_view.state_of(row, task)
            if state in telling:
                found.append({"task": task.title, "row": row, "state": samples_view.STATE_NAMES[state]})
            if len(found) == FALLBACK_ROWS:
                return found
    return found


def shared_rows(runs: Sequence[Run]) -> list[samples_view.TaskRows]:
    """The rows of the tasks that all runs have."""
    first = runs[0].results
    shared = {name: task for name, task in first["tasks"].items() if all(name in run.results["tasks"] for run in runs)}
    rows: list[Mapping[str, Sequence[ScoredSample]]] = [{name: run.samples(name) for name in shared} for run in runs]
    return task_rows({"tasks": shared}, rows)


def first_thumbnail(runs: Sequence[Run], sha256: str) -> bytes | None:
    """A picture from the first run that kept it."""
    return next((data for run in runs if (data := run.thumbnail(sha256)) is not None), None)
