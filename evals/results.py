"""results.json: what came out, with intervals, coverage and efficiency; rebuilt from questions and answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evals.journal import latest_answers
from evals.metrics.base import Statistic
from evals.perf.summary import efficiency
from evals.plan import read_questions
from evals.records import ScoredSample
from evals.samples_table import write_samples
from evals.scoring import ScoredTask, score_task
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec
from evals.statistics.intervals import Interval, interval
from evals.statistics.macro import TaskNumber, macro_mean, score_part
from evals.store import SCHEMA_VERSION, Run


def score_run(run: Run) -> dict[str, Any]:
    """Score all tasks of a run from its questions and answers; writes samples and results.json, and returns the latter.

    Raises:
        StoreError: questions or journal are missing or damaged, or the folder cannot be written.
    """
    manifest = run.manifest
    tasks: dict[str, Any] = {}
    parts: list[TaskNumber] = []
    for name, stored in manifest["tasks"].items():
        spec = build_stored(TaskSpec, stored["spec"])
        questions = read_questions(run.questions_path(name))
        scored = score_task(spec, questions, latest_answers(run.responses_path(name)))
        write_samples(run.samples_path(name), scored.samples)
        tasks[name] = task_results(spec, scored, stored, manifest["identity"]["tasks"][name])
        headline, samples = scored.statistics[0], scored.samples
        clusters = [samples[row].cluster for row in headline.rows]
        parts.append(score_part(name, headline, clusters, stored.get("weight", 1.0)))
    results = {
        "schema_version": SCHEMA_VERSION,
        "run_id": manifest["run_id"],
        "model": manifest["identity"]["model"],
        "suite": manifest.get("suite"),
        "tasks": tasks,
        "macro": _macro(parts),
        "efficiency": manifest.get("efficiency", {}),
    }
    run.write_results(results)
    return results


def _macro(parts: Sequence[TaskNumber]) -> dict[str, Any] | None:
    """The weighted mean over tasks as fractions of each task's scale; None for a single task."""
    if len(parts) < 2:
        return None
    macro = macro_mean(parts)
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in (macro.low, macro.high))
    return {"value": macro.value, "low": low, "high": high, "se": macro.se, "n_tasks": macro.n_tasks}


def task_results(
    spec: TaskSpec, scored: ScoredTask, stored: Mapping[str, Any], identity: Mapping[str, Any]
) -> dict[str, Any]:
    """The results of one task; see the report's documentation for the fields."""
    samples = scored.samples
    headline = scored.statistics[0]
    groups = {s.group for s in samples}
    failed = {s.group for s in samples if s.prediction is None}
    return {
        "title": spec.title,
        "family": spec.family,
        "metric": spec.metrics[0].name,
        "headline": headline.name,
        "n": len(groups),
        "n_requests": len(samples),
        "n_scored": len(groups) - len(failed),
        "n_errors": len(failed),
        "coverage": (len(groups) - len(failed)) / len(groups) if groups else None,
        "parse_failures": scored.parse_failures,
        "bounds": {"all_wrong": scored.all_wrong, "all_right": scored.all_right},
        "subset": identity["data"]["subset"],
        "chance": spec.chance,
        "weight": stored.get("weight", 1.0),
        "published": [
            {"model": p.model, "value": p.value, "source": p.source, "date": p.date, "protocol": p.protocol}
            for p in spec.published
        ],
        "statistics": {s.name: _statistic(s, samples) for s in scored.statistics},
        "categories": {name: _by_category(headline, samples, name) for name in spec.categories},
        "efficiency": efficiency(samples, stored.get("wall_s")),
    }


def _interval(statistic: Statistic, samples: Sequence[ScoredSample]) -> Interval:
    return interval(statistic, [samples[row].cluster for row in statistic.rows])


def _statistic(statistic: Statistic, samples: Sequence[ScoredSample]) -> dict[str, Any]:
    found = _interval(statistic, samples)
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "se": found.se,
        "method": found.method,
        "n_units": found.n_units,
        "n_clusters": found.n_clusters,
        "few_clusters": found.few_clusters,
        "scale": list(statistic.scale),
        "higher_is_better": statistic.higher_is_better,
        "combine": statistic.combine,
    }


def _by_category(statistic: Statistic, samples: Sequence[ScoredSample], column: str) -> dict[str, Any]:
    """The statistic within each value of a category, most frequent first."""
    rows: dict[str, list[int]] = {}
    for unit, row in enumerate(statistic.rows):
        if column in samples[row].categories:
            rows.setdefault(samples[row].categories[column], []).append(unit)
    table: dict[str, Any] = {}
    for value, units in sorted(rows.items(), key=lambda item: (-len(item[1]), item[0])):
        part = restrict(statistic, units)
        found = _interval(part, samples)
        table[value] = {"n": len(units), "value": found.value, "low": found.low, "high": found.high}
    return table


def restrict(statistic: Statistic, units: Sequence[int]) -> Statistic:
    """The same statistic over some of its units."""
    index = np.asarray(units, dtype=np.intp)
    return Statistic(
        statistic.name,
        tuple(statistic.rows[i] for i in units),
        statistic.vectors[index],
        statistic.combine,
        statistic.scale,
        statistic.higher_is_better,
    )
