"""Pages of very many samples: the most telling ones are found on disk, and only they are loaded."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from report_runs import failed, mixed, write_run

from evals.records import ScoredSample
from evals.store import Run
from reports import run_report, samples_view
from reports.browsing import shared_rows
from reports.run_report import build_report
from reports.telling import page_rows


def ids(tasks: list[samples_view.TaskRows]) -> list[list[str]]:
    return [[row for run in task.runs for row in run] for task in tasks]


def chosen_by_loading_all(runs: list[Run], most: int) -> list[list[str]]:
    """The rows that the page itself ranks first among all rows."""
    tasks = shared_rows(runs)
    candidates = samples_view._candidates(tasks)
    order = sorted(range(len(candidates)), key=lambda i: (candidates[i].interest, i))[: most // len(runs)]
    found: list[list[str]] = [[] for _ in tasks]
    for side in range(len(runs)):
        for number in sorted(order):
            one = candidates[number]
            if (row := one.present[side]) is not None:
                found[one.task].append(row.row_id)
    return found


@pytest.fixture
def rows() -> list[ScoredSample]:
    return mixed(300)


@pytest.mark.parametrize("most", [1, 40, 333])
def test_the_rows_are_those_that_a_page_ranks_first(tmp_path: Path, rows: list[ScoredSample], most: int) -> None:
    second = [failed(3), *mixed(100, seed=8)[4:]]
    run = write_run(tmp_path / "run", {"a": rows, "b": second})
    found = page_rows([run], most)
    assert ids(found.tasks) == chosen_by_loading_all([run], most)
    assert found.left_out == len(rows) + len(second) - most
    whole = {task.name: task for task in shared_rows([run])}
    for task in found.tasks:
        assert replace(task, runs=()) == replace(whole[task.name], runs=())
        assert all(row == whole[task.name].runs[0][name] for name, row in task.runs[0].items())


def test_of_two_runs_the_rows_that_changed_go_first(tmp_path: Path, rows: list[ScoredSample]) -> None:
    other = [row for row in mixed(300, seed=5) if row.row_id not in {rows[0].row_id, rows[9].row_id}]
    runs = [write_run(tmp_path / "a", {"t": rows}), write_run(tmp_path / "b", {"t": other}, run_id="other")]
    found = page_rows(runs, 60)
    assert ids(found.tasks) == chosen_by_loading_all(runs, 60)
    assert len(found.tasks[0].runs[0]) == 30


def test_what_fits_is_loaded_whole(tmp_path: Path, rows: list[ScoredSample]) -> None:
    run = write_run(tmp_path / "run", {"t": rows})
    assert page_rows([run], len(rows)).left_out == 0
    assert ids(page_rows([run], len(rows)).tasks) == [[row.row_id for row in rows]]


def test_long_answers_are_not_loaded_beyond_what_a_page_may_hold(
    tmp_path: Path, rows: list[ScoredSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path / "run", {"t": [replace(row, prediction="x" * 5_000) for row in rows]})
    monkeypatch.setattr("reports.telling.PAGE_BUDGET_BYTES", 100_000)
    assert len(page_rows([run], 299).tasks[0].runs[0]) == 60_000 // (4_000 + 150)


def test_the_page_says_how_many_samples_it_holds(
    tmp_path: Path, rows: list[ScoredSample], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_report, "page_rows", partial(page_rows, most=50))
    run = write_run(tmp_path / "run", {"t": rows})
    loaded: list[Any] = []
    monkeypatch.setattr(Run, "samples", lambda self, task: loaded.append(task))
    text = build_report(run).html.read_text()
    assert "50 of 300 samples are in this file, the most telling ones first" in text
    assert loaded == []
