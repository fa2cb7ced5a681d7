"""What a comparison needs of a scored task: its units in order, with ids, clusters, scores and answers."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from evals.errors import StoreError
from evals.metrics.base import COMBINE, Statistic

CONTENT_DIGITS = 16  # of a content hash in score files: 64 bits tell apart far more samples than a task has

FINISHED = ("complete", "incomplete")  # statuses of a run that has asked all it was to ask


class RunLike(Protocol):
    """The part of :class:`evals.store.Run` that comparisons read."""

    @property
    def path(self) -> Path: ...

    @property
    def manifest(self) -> dict[str, Any]: ...

    @property
    def results(self) -> dict[str, Any]: ...

    def columns(self, task: str, names: Sequence[str]) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Evidence:
    """One task of one run, unit by unit. A unit is what the headline statistic counts: a question, or its rotations.

    Attributes:
        task: its name.
        ids: (row id, content hash) of each unit; unique.
        clusters: the unit's independence cluster.
        answers: the unit's extracted answer, else its raw text; None where the request failed. Only compared for
            equality.
        categories: by grouping column, each unit's value (None where it has none).
        statistic: the headline, vectors in the order of ``ids``.
        rows: all (row id, content hash) of the task, units or not: what was asked.
        waits_ms: how long each row's request really waited, in the order of ``rows``; None where unknown.
        is_compact: whether it came from, or was made like, a score file (see :mod:`evals.frozen`).
    """

    task: str
    ids: Sequence[tuple[str, str]]
    clusters: Sequence[str]
    answers: Sequence[str | None]
    categories: Mapping[str, Sequence[str | None]]
    statistic: Statistic
    rows: Sequence[tuple[str, str]]
    waits_ms: Sequence[float | None] = ()
    is_compact: bool = False

    def take(self, units: Sequence[int]) -> Evidence:
        """The same task over some of its units, in the order given."""
        return replace(
            self,
            ids=[self.ids[i] for i in units],
            clusters=[self.clusters[i] for i in units],
            answers=[self.answers[i] for i in units],
            categories={name: [column[i] for i in units] for name, column in self.categories.items()},
            statistic=take_units(self.statistic, units),
        )

    def compact(self) -> Evidence:
        """With answers as hashes and short content hashes, as score files keep them: only like pairs with like."""
        if self.is_compact:
            return self
        return replace(
            self,
            ids=[(row, content[:CONTENT_DIGITS]) for row, content in self.ids],
            rows=[(row, content[:CONTENT_DIGITS]) for row, content in self.rows],
            answers=[answer_hash(answer) for answer in self.answers],
            is_compact=True,
        )


def answer_hash(answer: str | None) -> str | None:
    """First 12 hex digits of an answer's sha256; None for a failed request."""
    return None if answer is None else hashlib.sha256(answer.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def take_units(statistic: Statistic, units: Sequence[int]) -> Statistic:
    """The statistic over some of its units."""
    index = np.asarray(units, dtype=np.intp)
    return replace(statistic, rows=tuple(statistic.rows[i] for i in units), vectors=statistic.vectors[index])


def load_evidence(run: RunLike, task: str) -> Evidence:
    """Read a task's units from a run's scored samples.

    Raises:
        StoreError: the run has not been scored, lacks the task, or its results are not those of its samples: one of the
            two was edited by hand.
    """
    remedy = f"Run `run_eval.py score {run.path}` to make them from the answers again."
    try:
        evidence = _load(run, task)
        told = run.results["tasks"][task]["statistics"][evidence.statistic.name]["value"]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise StoreError(
            f"{run.path}: its results do not hold what a comparison reads of task {task!r} ({error!r}). {remedy}"
        ) from error
    found = evidence.statistic.value
    if (told is None) != (found is None) or not math.isclose(told or 0.0, found or 0.0, rel_tol=1e-9, abs_tol=1e-9):
        raise StoreError(
            f"{run.path}: its results say that {evidence.statistic.name} of task {task!r} is {told}, but its samples "
            f"give {found}. One of them was edited or comes from elsewhere. {remedy}"
        )
    return evidence


def _load(run: RunLike, task: str) -> Evidence:
    result = run.results["tasks"].get(task)
    if result is None:
        known = ", ".join(run.results["tasks"])
        raise StoreError(f"{run.path} has no task {task!r}; it has {known}. Run the task, or leave it out.")
    headline = result["headline"]
    unit, grouping = f"unit:{headline}", list(result.get("categories", {}))
    scored = result["statistics"][headline]["n_units"] > 0  # where nothing was scored there is no column either
    names = ["row_id", "content_hash", "cluster", "extracted", "prediction", "timing:batch_ms"]
    names += [unit] if scored else []
    columns = run.columns(task, names + [f"category:{name}" for name in grouping])
    rows = list(zip(columns["row_id"], columns["content_hash"], strict=True))
    vectors = columns[unit] if scored else [None] * len(rows)
    at = [i for i, vector in enumerate(vectors) if vector is not None]
    whole = len(at) == len(rows)

    def pick(column: Sequence[Any]) -> Sequence[Any]:
        return column if whole else [column[i] for i in at]

    answers = [
        None if said is None else (said if read is None else read)
        for read, said in zip(pick(columns["extracted"]), pick(columns["prediction"]), strict=True)
    ]
    return Evidence(
        task=task,
        ids=pick(rows),
        clusters=pick(columns["cluster"]),
        answers=answers,
        categories={name: pick(columns[f"category:{name}"]) for name in grouping},
        statistic=stored_statistic(headline, result, at, pick(vectors)),
        rows=rows,
        waits_ms=columns["timing:batch_ms"],
        is_compact=bool(rows) and len(rows[0][1]) == CONTENT_DIGITS,
    )


def stored_statistic(name: str, result: Mapping[str, Any], rows: Sequence[int], vectors: Sequence[Any]) -> Statistic:
    """A statistic again from stored unit vectors and what results.json says of it."""
    about = result["statistics"][name]
    if about["combine"] not in COMBINE:  # an installed package's own formula: registered when its metric is imported
        from evals.metrics.registry import get_metric

        get_metric(result["metric"])
    low, high = about["scale"]
    scale = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
    width = len(vectors[0]) if len(vectors) else 2
    array = np.array(vectors, dtype=np.float64).reshape(len(vectors), width)
    return Statistic(name, tuple(rows), array, about["combine"], scale, about["higher_is_better"])


@dataclass(frozen=True, slots=True)
class Joined:
    """Two runs' units of one task, paired in the order of the first; and what could not be paired.

    Attributes:
        only_a, only_b: rows that the other run was not asked.
        unscored: rows asked of both that at least one has no score for (a failed request).
    """

    a: Evidence
    b: Evidence
    only_a: int
    only_b: int
    unscored: int


def join(a: Evidence, b: Evidence) -> Joined:
    """Pair the units of two runs on (row id, content hash)."""
    if list(a.ids) == list(b.ids) and len(a.rows) == len(a.ids) and len(b.rows) == len(b.ids):
        return Joined(a, b, 0, 0, 0)
    place = {key: i for i, key in enumerate(b.ids)}
    pairs = [(i, place[key]) for i, key in enumerate(a.ids) if key in place]
    asked_a, asked_b = set(a.rows), set(b.rows)
    scored_once = set(a.ids) ^ set(b.ids)
    return Joined(
        a.take([i for i, _ in pairs]),
        b.take([j for _, j in pairs]),
        len(asked_a - asked_b),
        len(asked_b - asked_a),
        len(scored_once & asked_a & asked_b),
    )
