"""Results of a run: numbers with intervals, counts and efficiency; rebuilt from questions and answers."""

from __future__ import annotations

import copy
import math
from array import array
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.files import canonical_json
from evals.identity import scorer_identity
from evals.journal import JournalIndex
from evals.metrics.base import Statistic
from evals.questions import read_questions
from evals.samples_table import SamplesWriter
from evals.scoring import ScoredTask, score_task
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec
from evals.statistics.intervals import interval
from evals.statistics.macro import TaskNumber, macro_mean, score_part
from evals.store import SCHEMA_VERSION, Run

Codes = NDArray[np.integer[Any]]


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
        scored = _score(run, spec)
        tasks[name] = task_results(spec, scored, stored, manifest["identity"]["tasks"][name]["data"]["subset"])
        if len(manifest["tasks"]) > 1:
            parts.append(_macro_part(name, scored, stored.get("weight", 1.0)))
    results = {
        "schema_version": SCHEMA_VERSION,
        "run_id": manifest["run_id"],
        "model": manifest["identity"]["model"],
        "suite": manifest.get("suite"),
        "tasks": tasks,
        "macro": _macro(parts) if parts else None,
        "efficiency": manifest.get("efficiency", {}),
    }
    run.write_results(results)
    _note_scorers(run)
    return results


def _note_scorers(run: Run) -> None:
    """Put into the run's identity what scores it now: another version of the program may have scored it before."""
    identity = copy.deepcopy(run.manifest["identity"])
    for name, stored in run.manifest["tasks"].items():
        identity["tasks"][name]["scorer"] = scorer_identity(build_stored(TaskSpec, stored["spec"]))
    if canonical_json(identity) != canonical_json(run.manifest["identity"]):
        run.write_manifest(run.manifest | {"identity": identity})


def _score(run: Run, spec: TaskSpec) -> ScoredTask:
    metrics = [use.name for use in spec.metrics]
    with (
        JournalIndex(run.responses_path(spec.name)) as answers,
        SamplesWriter(run.samples_path(spec.name), metrics, spec.categories) as samples,
    ):
        return score_task(spec, read_questions(run.questions_path(spec.name)), answers.get, samples.write)


def _macro_part(name: str, scored: ScoredTask, weight: float) -> TaskNumber:
    headline, clusters = scored.statistics[0], scored.tally.clusters
    names = clusters.names  # tasks may share pictures, so clusters go by name here
    return score_part(name, headline, [names[code] for code in clusters.codes[_rows(headline)]], weight)


def _macro(parts: list[TaskNumber]) -> dict[str, Any]:
    """The weighted mean over tasks as fractions of each task's scale."""
    macro = macro_mean(parts)
    low, high = macro.score_interval
    return {"value": macro.value, "low": low, "high": high, "se": macro.se, "n_tasks": macro.n_tasks}


def task_results(spec: TaskSpec, scored: ScoredTask, stored: Mapping[str, Any], subset: str | None) -> dict[str, Any]:
    """The results of one task; see the report's documentation for the fields."""
    tally, headline = scored.tally, scored.statistics[0]
    n_scored = tally.n_samples - tally.n_failed
    return {
        "title": spec.title,
        "family": spec.family,
        "metric": scored.metric,
        "headline": headline.name,
        "n": tally.n_samples,
        "n_requests": tally.n_requests,
        "n_scored": n_scored,
        "n_errors": tally.n_failed,
        "coverage": n_scored / tally.n_samples if tally.n_samples else None,
        "parse_failures": tally.parse_failures,
        "bounds": {"all_wrong": scored.all_wrong, "all_right": scored.all_right},
        "subset": subset,
        "several_pictures": {"samples": stored.get("several_pictures", 0), "policy": spec.image},
        "plan": stored.get("plan"),
        "batch_halved": stored.get("batch_halved", []),
        "chance": spec.chance,
        "weight": stored.get("weight", 1.0),
        "published": [
            {
                "model": p.model,
                "value": p.value,
                "source": p.source,
                "date": p.date,
                "protocol": p.protocol,
                "preset": p.preset,
                "statistic": p.statistic,
            }
            for p in spec.published
        ],
        "statistics": {s.name: _statistic(s, tally.clusters.codes) for s in scored.statistics},
        "categories": {
            name: _by_category(headline, tally.clusters.codes, column.codes, column.names)
            for name, column in tally.categories.items()
        },
        "options": scored.options,
        "efficiency": tally.efficiency.result(stored.get("wall_s")),
    }


def _rows(statistic: Statistic) -> NDArray[np.int64]:
    rows = statistic.rows
    return np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else np.asarray(rows, dtype=np.int64)


def _of_units(column: Codes, statistic: Statistic) -> Codes:
    """A column's values of the statistic's units; the column itself where every row is a unit."""
    rows = statistic.rows
    return column if isinstance(rows, range) and rows == range(len(column)) else column[_rows(statistic)]


def _statistic(statistic: Statistic, clusters: Codes) -> dict[str, Any]:
    found = interval(statistic, _of_units(clusters, statistic))
    return {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "se": found.se,
        "method": found.method,
        "n_units": found.n_units,
        "n_clusters": found.n_clusters,
        "few_clusters": found.few_clusters,
        "scale": [end if math.isfinite(end) else None for end in statistic.scale],  # an open end is null
        "higher_is_better": statistic.higher_is_better,
        "combine": statistic.combine,
    }


def _by_category(statistic: Statistic, clusters: Codes, categories: Codes, names: list[str]) -> dict[str, Any]:
    """The statistic within each value of a category, most frequent first."""
    values = _of_units(categories, statistic)
    counts = np.bincount(values[values >= 0], minlength=len(names))
    table: dict[str, Any] = {}
    for code in sorted(range(len(names)), key=lambda code: (-counts[code], names[code])):
        if counts[code]:
            part = restrict(statistic, np.flatnonzero(values == code))
            found = interval(part, clusters[_rows(part)])
            table[names[code]] = {"n": int(counts[code]), "value": found.value, "low": found.low, "high": found.high}
    return table


def restrict(statistic: Statistic, units: NDArray[np.int64]) -> Statistic:
    """The same statistic over some of its units."""
    return replace(statistic, rows=array("q", _rows(statistic)[units].tobytes()), vectors=statistic.vectors[units])
