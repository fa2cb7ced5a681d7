"""The samples of one run, or of several side by side, that are too many for a page: counted, filtered, found on disk.

What stays in memory is one byte and one number a row and run; texts are read from the runs' files when they are asked
for. The answers are those of ``static/samples_source.js``, which does the same for samples that are in the page.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.arrow_columns import positions
from evals.samples_file import SamplesFile
from evals.store import Run
from reports import samples_view
from reports.browsing import right_and_wrong
from reports.inputs import title
from reports.sample_columns import differs, has_rules, holding, in_category, join, row_of, scores_of, states_of
from reports.samples_view import ERROR, PARTLY, RIGHT, UNPARSED, WRONG, TaskRows

ABSENT = 255  # state of a row that a run does not have
_KEPT_QUERIES = 8
_SAME = 1e-9  # scores nearer than this are equal


@dataclass(frozen=True, slots=True)
class Query:
    """Which samples: a filter's name, and a task, a category (column and value) and a text where they are given."""

    show: str = "all"
    task: str = ""
    category: tuple[str, str] | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """Some samples of a query: how many there are, where ``at`` is, and whether the key asked for is among them."""

    total: int
    at: int
    hit: bool
    start: int
    rows: tuple[tuple[int, int], ...]


class TaskIndex:
    """One task: each run's file, state and score by row. The rows are the first run's, then those that only a later one
    has."""

    def __init__(self, runs: Sequence[Run], name: str) -> None:
        self.files = [SamplesFile(run.scored_path(name)) for run in runs]
        task = runs[0].results["tasks"][name]
        worst, best = right_and_wrong(task)
        extracts = any(run.results["tasks"][name].get("parse_failures") for run in runs)
        extracts = extracts or any(has_rules(file) for file in self.files)
        self.head = TaskRows(name, title(name, task), str(task.get("metric", "")), best, worst, extracts, ())
        self.joined = join(self.files)
        self.scores = [self.aligned(scores_of(f, self.head.metric), p, np.nan) for f, p in self.pairs()]
        self.states = [self.aligned(states_of(f, self.head), p, ABSENT) for f, p in self.pairs()]

    def __len__(self) -> int:
        return self.joined.size

    def pairs(self) -> Iterator[tuple[SamplesFile, NDArray[np.int64] | None]]:
        """Each run's file, and where the rows are in it, -1 where it has none (None: the rows are its own)."""
        return zip(self.files, self.joined.places, strict=True)

    def new(self) -> Iterator[tuple[SamplesFile, NDArray[np.int64] | None]]:
        """The files that together hold every row once, and which of their rows to count (None: all)."""
        return ((file, own) for file, own in zip(self.files, self.joined.own, strict=True) if own is None or len(own))

    @staticmethod
    def aligned(values: NDArray[Any], places: NDArray[np.int64] | None, absent: float) -> NDArray[Any]:
        """Values of a run's own rows put where these are among all rows."""
        if places is None:
            return values
        found = np.full(len(places), absent, dtype=values.dtype)
        found[places >= 0] = values[places[places >= 0]]
        return found

    def rows(self, indices: Sequence[int]) -> list[tuple[Any, ...]]:
        """The rows of all runs at some indices, None where a run lacks one."""
        sides = []
        for file, places in self.pairs():
            wanted = list(indices) if places is None else [int(places[index]) for index in indices]
            found = iter(file.rows([index for index in wanted if index >= 0]))
            sides.append([next(found) if index >= 0 else None for index in wanted])
        return list(zip(*sides, strict=True))

    def row_of(self, row_id: str) -> int:
        """Where a row is by its id; -1 where it is not."""
        for file, places in self.pairs():
            index = row_of(file, row_id)
            if index >= 0:
                return index if places is None else int(np.flatnonzero(places == index)[0])
        return -1


class SampleIndex:
    """All tasks that the runs share.

    Raises:
        StoreError: a run has not been scored.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        shared = [name for name in runs[0].results["tasks"] if all(name in run.results["tasks"] for run in runs)]
        self.tasks = [TaskIndex(runs, name) for name in shared]
        self.compared = len(runs) > 1
        self._found: OrderedDict[Query, list[NDArray[np.int64]]] = OrderedDict()
        self._lock = threading.Lock()

    def heads(self) -> list[dict[str, Any]]:
        """What the browser knows of each task."""
        return [samples_view.task_head(task.head) for task in self.tasks]

    def filters(self) -> list[tuple[str, int]]:
        """The names of all filters, and how many samples each shows."""
        return [(name, sum(int(test(task).sum()) for task in self.tasks)) for name, test in self._tests().items()]

    def categories(self, task: str) -> list[tuple[str, str, int]]:
        """The values of all category columns and how often each occurs, in one task or in all of them."""
        import pyarrow.compute as pc

        counts: dict[tuple[str, str], int] = {}
        for held in self.tasks:
            if task and held.head.name != task:
                continue
            for file, own in held.new():
                for name in (name for name in file.column_names if name.startswith("category:")):
                    column = file.column(name) if own is None else file.column(name).take(positions(own))
                    for part in pc.value_counts(column).to_pylist():
                        if part["values"] is not None:
                            key = (name.removeprefix("category:"), part["values"])
                            counts[key] = counts.get(key, 0) + part["counts"]
        return [(*key, count) for key, count in counts.items()]

    def page(self, query: Query, rows: int, *, at: int = 0, key: tuple[str, str] | None = None) -> Page:
        """The page of a query that holds the sample number ``at``, or the one of ``key`` (task and row id)."""
        found = self._find(query)
        sizes = [len(each) for each in found]
        place = self._place(found, *key) if key else min(max(at, 0), max(sum(sizes) - 1, 0))
        start = max(place, 0) // rows * rows
        shown, before = [], 0
        for number, each in enumerate(found):
            part = each[max(start - before, 0) : max(start + rows - before, 0)]
            shown += [(number, int(index)) for index in part]
            before += len(each)
        return Page(sum(sizes), max(place, 0), place >= 0, start, tuple(shown))

    def block(self, page: Page, picture: Callable[[str], str | None]) -> dict[str, Any]:
        """The rows of a page as the browser reads them."""
        by_task: dict[int, list[int]] = {}
        for number, index in page.rows:
            by_task.setdefault(number, []).append(index)
        rows = [
            (number, present) for number, indices in by_task.items() for present in self.tasks[number].rows(indices)
        ]
        return samples_view.block(rows, [task.head for task in self.tasks], picture)

    def telling(self, most: int) -> list[dict[str, Any]]:
        """Some failed, unparsed and wrong samples, for readers without JavaScript."""
        found: list[dict[str, Any]] = []
        for task in self.tasks:
            states = task.states[-1]
            wanted = np.flatnonzero(np.isin(states, (ERROR, UNPARSED, WRONG)))[: most - len(found)]
            for index, present in zip(wanted, task.rows(wanted.tolist()), strict=True):
                name = samples_view.STATE_NAMES[states[index]]
                found.append({"task": task.head.title, "row": present[-1], "state": name})
        return found

    def _tests(self) -> Mapping[str, Callable[[TaskIndex], NDArray[np.bool_]]]:
        def last(*states: int) -> Callable[[TaskIndex], NDArray[np.bool_]]:
            return lambda task: np.isin(_last_states(task), states)

        def some(state: int) -> Callable[[TaskIndex], NDArray[np.bool_]]:
            return lambda task: np.any([states == state for states in task.states], axis=0)

        tests: dict[str, Callable[[TaskIndex], NDArray[np.bool_]]] = {
            "all": lambda task: np.ones(len(task), dtype=bool)
        }
        if self.compared:
            tests |= {"regressed": lambda t: _changed(t, -1), "fixed": lambda t: _changed(t, 1), "disagree": _disagree}
        tests |= {"wrong": last(WRONG, UNPARSED), "partly right": last(PARTLY), "right": last(RIGHT)}
        return tests | {"unparsed": some(UNPARSED), "errors": some(ERROR)}

    def _find(self, query: Query) -> list[NDArray[np.int64]]:
        """The rows of each task that match; the last few answers are kept."""
        with self._lock:
            if query in self._found:
                self._found.move_to_end(query)
                return self._found[query]
        test = self._tests().get(query.show, self._tests()["all"])
        found = [self._matches(task, query, test) for task in self.tasks]
        with self._lock:
            self._found[query] = found
            while len(self._found) > _KEPT_QUERIES:
                self._found.popitem(last=False)
        return found

    def _matches(
        self, task: TaskIndex, query: Query, test: Callable[[TaskIndex], NDArray[np.bool_]]
    ) -> NDArray[np.int64]:
        if query.task and task.head.name != query.task:
            return np.zeros(0, dtype=np.int64)
        mask = test(task)
        if query.category:
            hits = [task.aligned(in_category(f, *query.category), p, False) for f, p in task.pairs()]
            mask &= np.any(hits, axis=0)
        if query.text:
            hits = [task.aligned(holding(f, query.text), p, False) for f, p in task.pairs()]
            mask &= np.any(hits, axis=0)
        return np.flatnonzero(mask)

    def _place(self, found: Sequence[NDArray[np.int64]], task: str, row_id: str) -> int:
        """Which sample of a query a key is; -1 where it is not among them."""
        before = 0
        for held, each in zip(self.tasks, found, strict=True):
            if held.head.name == task:
                index = held.row_of(row_id)
                place = int(np.searchsorted(each, index))
                return before + place if index >= 0 and place < len(each) and each[place] == index else -1
            before += len(each)
        return -1


def _last_states(task: TaskIndex) -> NDArray[np.uint8]:
    """How the answer of the last run fared that has the row."""
    found = task.states[0]
    for states in task.states[1:]:
        found = np.where(states == ABSENT, found, states)
    return found


def _goodness(task: TaskIndex, run: int) -> NDArray[np.float64]:
    up = task.head.best > task.head.worst
    return np.where(np.isnan(task.scores[run]), 0.0 if up else -1.0, task.scores[run] * (1 if up else -1))


def _changed(task: TaskIndex, direction: int) -> NDArray[np.bool_]:
    """Whether any later run's answer is better (1) or worse (-1) than the first run's."""
    first = _goodness(task, 0)
    later = (_goodness(task, run) for run in range(1, len(task.files)))
    found: NDArray[np.bool_] = np.any([direction * (other - first) > _SAME for other in later], axis=0)
    return found


def _disagree(task: TaskIndex) -> NDArray[np.bool_]:
    """Whether the extracted answers (the whole ones where none was extracted) differ."""
    first, absent = _said(task, 0), task.states[0] == ABSENT
    found: NDArray[np.bool_] = np.any(
        [
            differs(first, _said(task, run)) | (absent != (task.states[run] == ABSENT))
            for run in range(1, len(task.files))
        ],
        axis=0,
    )
    return found


def _said(task: TaskIndex, run: int) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    file, places = task.files[run], task.joined.places[run]
    column = file.column("extracted")
    if places is None:
        return column
    known = pa.Array.from_buffers(
        pa.int64(), len(places), [pa.py_buffer(np.packbits(places >= 0, bitorder="little")), pa.py_buffer(places)]
    )
    return pc.take(column, known)
