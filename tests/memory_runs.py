"""Runs that live in memory: what comparisons, leaderboards and gates read of a run directory, made from lists."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from evals.metrics.base import Statistic, mean_statistic
from evals.records import ScoredSample
from evals.samples_table import write_samples
from evals.statistics import interval
from model_adapters.contract import Timing


@dataclass
class MemoryTask:
    """One task: a score a question (None = failed request), and what else a test wants to set."""

    scores: Sequence[float | None]
    clusters: Sequence[str] | None = None
    predictions: Sequence[str | None] | None = None
    categories: Mapping[str, Sequence[str]] = field(default_factory=dict)
    statistic: Statistic | None = None
    weight: float = 1.0
    chance: float | None = None
    identity: Mapping[str, Any] = field(default_factory=dict)
    waits_ms: Sequence[float] | None = None
    new_tokens: Sequence[int] | None = None
    prefix: str = "q"
    scale: tuple[float, float] = (0.0, 1.0)
    parse_failures: int = 0
    requests_per_s: float | None = None


class MemoryRun:
    """Answers like :class:`evals.store.Run`."""

    def __init__(self, run_id: str, tasks: Mapping[str, MemoryTask], **manifest: Any) -> None:
        self.path = Path(run_id)
        self._columns = {name: _columns(name, task) for name, task in tasks.items()}
        self.results = {
            "schema_version": 1,
            "run_id": run_id,
            "model": manifest.get("model", {"name": "tiny"}),
            "suite": "unit-tests",
            "tasks": {name: _result(task, self._columns[name]) for name, task in tasks.items()},
            "efficiency": manifest.pop("efficiency", {}),
        }
        identity = {name: _identity(name, task, self._columns[name]) for name, task in tasks.items()}
        self.manifest = {
            "schema_version": 1,
            "run_id": run_id,
            "suite": "unit-tests",
            "created": "2030-01-02T03:04:05+00:00",
            "identity": {"model": manifest.pop("model", {"name": "tiny"}), "tasks": identity},
            "environment": {"hardware_key": manifest.pop("hardware_key", "cpu-1"), "hardware": {"device": "cpu"}},
            "status": "complete",
        } | manifest

    @property
    def tasks(self) -> list[str]:
        return list(self.results["tasks"])

    def columns(self, task: str, names: Sequence[str]) -> dict[str, Any]:
        held = self._columns[task]
        return {name: held.get(name, [None] * len(held["row_id"])) for name in names}


def _columns(name: str, task: MemoryTask) -> dict[str, Any]:
    n = len(task.scores)
    ids = [f"{task.prefix}{i}" for i in range(n)]
    predictions = task.predictions
    if predictions is None:
        predictions = [
            None if score is None else ("right" if score == 1 else f"wrong{i}") for i, score in enumerate(task.scores)
        ]
    statistic = task.statistic or mean_statistic("accuracy", list(task.scores), scale=task.scale)
    units: list[list[float] | None] = [None] * n
    for row, vector in zip(statistic.rows, statistic.vectors.tolist(), strict=True):
        units[row] = vector
    return {
        "row_id": ids,
        "group": ids,
        "content_hash": [hashlib.sha256(f"{name}/{i}".encode()).hexdigest() for i in ids],
        "cluster": list(task.clusters) if task.clusters is not None else [f"{name}/{i}" for i in ids],
        "extracted": list(predictions),
        "prediction": list(predictions),
        f"unit:{statistic.name}": units,
        "timing:batch_ms": list(task.waits_ms) if task.waits_ms is not None else [None] * n,
        "new_tokens": list(task.new_tokens) if task.new_tokens is not None else [None] * n,
        "_statistic": statistic,
    } | {f"category:{column}": list(values) for column, values in task.categories.items()}


def _result(task: MemoryTask, columns: Mapping[str, Any]) -> dict[str, Any]:
    statistic = columns["_statistic"]
    found = interval(statistic, [columns["cluster"][row] for row in statistic.rows])
    n, scored = len(task.scores), sum(p is not None for p in columns["prediction"])
    about = {
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "se": found.se,
        "method": found.method,
        "n_units": found.n_units,
        "n_clusters": found.n_clusters,
        "few_clusters": found.few_clusters,
        "scale": [end if np.isfinite(end) else None for end in statistic.scale],
        "higher_is_better": statistic.higher_is_better,
        "combine": statistic.combine,
    }
    return {
        "title": "",
        "family": "vqa",
        "metric": "exact_match",
        "headline": statistic.name,
        "n": n,
        "n_requests": n,
        "n_scored": scored,
        "n_errors": n - scored,
        "coverage": scored / n if n else None,
        "parse_failures": task.parse_failures,
        "subset": None,
        "chance": task.chance,
        "weight": task.weight,
        "statistics": {statistic.name: about},
        "categories": {column: {} for column in task.categories},
        "efficiency": {"requests_per_s": task.requests_per_s, "latency_ms": {"p50": None}},
    }


def _identity(name: str, task: MemoryTask, columns: Mapping[str, Any]) -> dict[str, Any]:
    identity = {
        "task": {"version": 1, "preset": "default"},
        "data": {"samples": hashlib.sha256("".join(columns["content_hash"]).encode()).hexdigest(), "subset": None},
        "prompt": "p0",
        "generation": {"max_new_tokens": 16, "num_beams": 1},
        "scorer": {"metrics": [{"name": "exact_match", "version": "1", "options": {}}], "extractor": "none"},
    }
    return copy.deepcopy(identity) | dict(task.identity)


def stored(run: MemoryRun, folder: Path) -> Path:
    """Write a run the way the harness stores it: manifest.json, results.json and samples/<task>.parquet."""
    folder.mkdir(parents=True)
    for name, document in (("manifest", run.manifest), ("results", run.results)):
        (folder / f"{name}.json").write_text(json.dumps(document))
    for task, result in run.results["tasks"].items():
        held, headline = run._columns[task], result["headline"]
        grouping = [name for name in held if name.startswith("category:")]
        rows = [
            ScoredSample(
                **{
                    name: held[name][i]
                    for name in ("row_id", "group", "content_hash", "cluster", "prediction", "extracted")
                },
                prompt="Which?",
                image_hashes=(),
                references=("right",),
                rule="given",
                scores={},
                units={} if held[f"unit:{headline}"][i] is None else {headline: tuple(held[f"unit:{headline}"][i])},
                categories={name.removeprefix("category:"): held[name][i] for name in grouping},
                timing=Timing(batch_ms=held["timing:batch_ms"][i]),
                new_tokens=held["new_tokens"][i],
            )
            for i in range(len(held["row_id"]))
        ]
        write_samples(folder / "samples" / f"{task}.parquet", rows)
    return folder


def right(n: int, share: float, seed: int = 0) -> list[float]:
    """0/1 scores, right with this probability."""
    return (np.random.default_rng(seed).random(n) < share).astype(float).tolist()


def flipped(scores: Sequence[float], lost: int, gained: int, seed: int = 0) -> list[float]:
    """The scores with so many right answers lost and wrong ones gained, at random places."""
    rng, changed = np.random.default_rng(seed), np.array(scores, dtype=float)
    ones, zeros = np.flatnonzero(changed == 1), np.flatnonzero(changed == 0)
    changed[rng.choice(ones, lost, replace=False)] = 0
    changed[rng.choice(zeros, gained, replace=False)] = 1
    return changed.tolist()
