"""Samples found on disk: the same answers as the page's own browser gives, without reading the whole."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_runs import failed, mixed, sample, unparsed, with_units, write_run, wrong

from evals.records import ScoredSample
from evals.samples_file import SamplesFile
from evals.samples_table import read_samples
from reports.browsing import shared_rows, task_rows
from reports.sample_index import Query, SampleIndex
from reports.samples_view import state_of

Fate = Callable[[int], ScoredSample]
FATES: tuple[Fate, ...] = (sample, wrong, unparsed, failed)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> SampleIndex:
    """Two tasks of 120 and 30 rows; one answer of the second speaks of a Zebra."""
    rows = mixed(120)
    others = [*[sample(i) for i in range(29)], sample(29, prediction="A Zebra, 斑马", references=("zebra",))]
    return SampleIndex([write_run(tmp_path_factory.mktemp("index") / "run", {"one": rows, "two": others})])


def ids(index: SampleIndex, query: Query, rows: int = 200) -> list[str]:
    page = index.page(query, rows)
    return [row[0] for _, row in index.block(page, lambda _: None)["rows"]]


@settings(max_examples=20)
@given(st.lists(st.sampled_from(FATES), min_size=1, max_size=30))
def test_states_by_column_are_the_states_by_row(tmp_path_factory: pytest.TempPathFactory, fates: list[Fate]) -> None:
    rows = [fate(number) for number, fate in enumerate(fates)]
    run = write_run(tmp_path_factory.mktemp("states"), {"t": rows})
    head = task_rows(run.results, [{"t": rows}])[0]
    assert SampleIndex([run]).tasks[0].states[0].tolist() == [state_of(row, head) for row in rows]


def test_every_filter_shows_as_many_samples_as_it_says(index: SampleIndex) -> None:
    for name, count in index.filters():
        assert index.page(Query(name), 50).total == count


def test_filters_task_category_and_text_narrow_together(index: SampleIndex) -> None:
    query = Query("right", "one", ("shape", "circle"), "GREEN")
    assert ids(index, query) == []
    query = replace(query, text="RED CIRCLE")
    found = ids(index, query)
    assert found
    assert all(int(row_id[1:]) % 3 == 0 for row_id in found)


def test_text_is_found_in_answers_references_and_ids_in_any_case(index: SampleIndex) -> None:
    for text in ("zebra", "ZEBRA", "斑马"):
        assert ids(index, Query(task="two", text=text)) == ["q00029"]
    assert ids(index, Query(task="two", text="Q00007")) == ["q00007"]
    assert ids(index, Query(text=".*")) == []


@pytest.mark.parametrize("at", [0, 49, 50, 119, 120, 149])
def test_a_page_holds_the_sample_that_was_asked_for(index: SampleIndex, at: int) -> None:
    page = index.page(Query(), 50, at=at)
    assert (page.at, page.start, page.total) == (at, at // 50 * 50, 150)
    assert page.rows[at - page.start] == ((0, at) if at < 120 else (1, at - 120))


def test_a_number_beyond_the_end_is_the_last(index: SampleIndex) -> None:
    assert index.page(Query(), 50, at=10**9).at == 149


def test_a_key_is_found_within_a_filter_or_said_to_be_absent(index: SampleIndex) -> None:
    assert index.page(Query(task="two"), 10, key=("two", "q00025")).at == 25
    assert index.page(Query(), 10, key=("two", "q00025")).at == 145
    assert not index.page(Query("errors"), 10, key=("two", "q00025")).hit
    assert not index.page(Query(), 10, key=("nobody", "q00025")).hit


def test_categories_are_counted_over_all_tasks_or_one(index: SampleIndex) -> None:
    everywhere = {tuple(each[:2]): each[2] for each in index.categories("")}
    assert everywhere["shape", "circle"] == 50
    assert {tuple(each[:2]): each[2] for each in index.categories("two")}["shape", "circle"] == 10


def test_runs_in_another_order_are_put_side_by_side(tmp_path: Path) -> None:
    first = [sample(i) for i in range(20)]
    second = [wrong(i) if i < 3 else sample(i) for i in range(1, 20)][::-1]
    runs = [
        write_run(tmp_path / name, {"t": rows}, run_id=name) for name, rows in (("first", first), ("second", second))
    ]
    index = SampleIndex(runs)
    counts = dict(index.filters())
    assert (counts["regressed"], counts["fixed"], counts["all"]) == (3, 0, 20)  # an absent answer is as bad as a wrong
    assert ids(index, Query("regressed")) == ["q00000", "q00001", "q00002"]
    page = index.page(Query(), 20)
    for _, row in index.block(page, lambda _: None)["rows"]:
        mine, theirs = row[7]
        assert mine != 0
        assert (theirs == 0) == (row[0] == "q00000")


def test_rows_that_only_a_later_run_has_follow_those_of_the_first_as_in_the_page(tmp_path: Path) -> None:
    """Filters, categories, search and keys find them, and what the served page shows is what the file shows."""
    late = sample(40, prediction="A Zebra", categories={"shape": "spiral", "language": "en"})
    sides = {
        "a": [sample(i) for i in range(10)],
        "b": [late, wrong(41), *[sample(i) for i in range(9, 3, -1)]],
        "c": [sample(41), unparsed(42), sample(2)],
    }
    runs = [write_run(tmp_path / name, {"t": rows}, run_id=name) for name, rows in sides.items()]
    index = SampleIndex(runs)
    (rows,) = shared_rows(runs)
    in_page = list(dict.fromkeys(row_id for run in rows.runs for row_id in run))
    assert ids(index, Query()) == in_page == [*[f"q{i:05d}" for i in range(10)], "q00040", "q00041", "q00042"]
    block = index.block(index.page(Query(), 50), lambda _: None)["rows"]
    assert [[answer != 0 for answer in row[7]] for _, row in block] == [
        [row_id in run for run in rows.runs] for row_id in in_page
    ]
    assert dict(index.filters()) | {"all": 13, "unparsed": 1, "errors": 0, "wrong": 1} == dict(index.filters())
    assert ids(index, Query("unparsed")) == ids(index, Query("wrong")) == ["q00042"]
    assert "q00041" in ids(index, Query("right"))  # the last run that has it answers rightly
    assert ids(index, Query("fixed")) == ["q00040", "q00041"]
    assert ids(index, Query("disagree")) == in_page  # each of the three runs lacks some
    assert ids(index, Query(text="zebra")) == ids(index, Query(category=("shape", "spiral"))) == ["q00040"]
    assert index.page(Query(), 10, key=("t", "q00041")).at == 11
    counts = {tuple(each[:2]): each[2] for each in index.categories("")}
    assert counts["shape", "spiral"] == 1
    assert sum(count for (column, _), count in counts.items() if column == "shape") == 13


def test_rows_are_read_from_the_row_groups_that_hold_them(tmp_path: Path) -> None:
    rows = [with_units(sample(i)) for i in range(100)]
    path = write_run(tmp_path, {"t": rows}).samples_path("t")
    table = pq.read_table(path)
    pq.write_table(table, path, row_group_size=7)
    file = SamplesFile(path)
    assert len(file) == 100
    assert file.rows([99, 0, 7, 6, 50]) == [read_samples(path)[i] for i in (99, 0, 7, 6, 50)]
    assert np.concatenate(
        [batch.column(0).to_numpy(zero_copy_only=False) for batch in file.batches(["row_id"])]
    ).tolist() == [row.row_id for row in rows]
