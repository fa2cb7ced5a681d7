"""The rows that a page may hold: all of them, or of very many the most telling ones, found without loading the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from evals.store import Run
from reports.browsing import shared_rows
from reports.samples_view import (
    ANSWER_OVERHEAD_BYTES,
    CHANGED_BEFORE,
    INTEREST,
    LONGEST_TEXT,
    PAGE_BUDGET_BYTES,
    ROW_OVERHEAD_BYTES,
    TEXT_SHARE,
    TaskRows,
)

if TYPE_CHECKING:
    from reports.sample_index import TaskIndex

MOST_ANSWERS = 40_000  # of a page, all its runs together; each takes about 10 KB while the page is made


@dataclass(frozen=True, slots=True)
class PageRows:
    """What a page's sample browser is made of: rows by task, and how many more there are."""

    tasks: list[TaskRows]
    left_out: int


def page_rows(runs: Sequence[Run], most: int = MOST_ANSWERS) -> PageRows:
    """The rows of the tasks that all runs have.

    Args:
        most: answers to load. Of more, errors, unparsed and wrong answers (of several runs changed ones first) go
            before right ones, as far as the text of a page may go; memory does not grow with the others.

    Raises:
        StoreError: a run has not been scored.
    """
    tasks: Mapping[str, Any] = runs[0].results["tasks"]
    shared = [name for name in tasks if all(name in run.results["tasks"] for run in runs)]
    total = sum(tasks[name].get("n_requests") or tasks[name].get("n") or 0 for name in shared)
    if total * len(runs) <= most:
        return PageRows(shared_rows(runs), 0)
    from reports.sample_index import SampleIndex

    index = SampleIndex(runs)
    chosen = _most_telling(index.tasks, most // len(runs))
    found = []
    for task, places in zip(index.tasks, chosen, strict=True):
        sides: list[dict[str, Any]] = [{} for _ in runs]
        for present in task.rows(places.tolist()):
            for side, row in zip(sides, present, strict=True):
                if row is not None:
                    side[row.row_id] = row
        found.append(replace(task.head, runs=tuple(sides)))
    return PageRows(found, sum(map(len, index.tasks)) - sum(map(len, chosen)))


def _most_telling(tasks: Sequence[TaskIndex], most: int) -> list[NDArray[np.int64]]:
    """For each task the places of the rows to load, in their order."""
    interest = np.concatenate([_interest(task) for task in tasks])
    sizes = np.concatenate([_least_bytes(task) for task in tasks])
    order = np.argsort(interest, kind="stable")[:most]
    order = order[np.cumsum(sizes[order]) <= PAGE_BUDGET_BYTES * TEXT_SHARE]
    ends = np.cumsum([len(task) for task in tasks])
    taken = np.sort(order)
    return [
        taken[(taken >= end - len(task)) & (taken < end)] - (end - len(task))
        for task, end in zip(tasks, ends, strict=True)
    ]


def _interest(task: TaskIndex) -> NDArray[np.int8]:
    """How telling each row is, lower is more; as :mod:`reports.samples_view` ranks rows that are loaded."""
    from reports.sample_index import ABSENT

    ranks = np.full(ABSENT + 1, max(INTEREST.values()) + 1, dtype=np.int8)
    for state, rank in INTEREST.items():
        ranks[state] = rank
    found = np.minimum.reduce([ranks[states] for states in task.states])
    changed = np.logical_or.reduce([states != task.states[0] for states in task.states])
    ranked: NDArray[np.int8] = np.where(changed, found - CHANGED_BEFORE, found).astype(np.int8)
    return ranked


def _least_bytes(task: TaskIndex) -> NDArray[np.int64]:
    """Bytes that each row takes in the page at least: its answers, and what stands around them."""
    import pyarrow.compute as pc

    total = np.full(len(task), ROW_OVERHEAD_BYTES, dtype=np.int64)
    for file, places in task.pairs():
        parts = [pc.fill_null(pc.binary_length(batch.column(0)), 0) for batch in file.batches(["prediction"])]
        lengths = np.concatenate([np.from_dlpack(part) for part in parts if len(part)])
        sizes = np.minimum(lengths, LONGEST_TEXT) + ANSWER_OVERHEAD_BYTES
        total += task.aligned(sizes, places, 0)
    return total
