"""Percentiles, distributions, confusion."""

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_runs import failed, sample, unparsed, write_run, wrong

from evals.errors import StoreError
from evals.records import ScoredSample
from reports.distributions import distribution, percentile
from reports.task_facts import TaskFacts, facts_of


def facts(folder: Path, rows: list[ScoredSample]) -> TaskFacts:
    return facts_of(write_run(folder, {"t": rows}), "t")


def test_a_median_interval_is_the_textbooks() -> None:
    """n = 10: order statistics 2 and 9 hold the median with 97.9 % (David and Nagaraja, table of section 7.1)."""
    found = percentile([float(i) for i in range(1, 11)], 50)
    assert (found.value, found.low, found.high) == (5.0, 2.0, 9.0)


@pytest.mark.parametrize(("n", "known"), [(367, False), (368, True)])
def test_the_99th_percentile_has_an_upper_end_from_368_values_on(n: int, known: bool) -> None:
    """0.99**n <= 0.025 first holds at n = 368."""
    assert (percentile([float(i) for i in range(n)], 99).high is not None) is known


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.integers(1, 99))
def test_an_interval_holds_its_percentile(values: list[float], percent: int) -> None:
    found = percentile(sorted(values), percent)
    assert found.low is None or found.low <= found.value
    assert found.high is None or found.value <= found.high


@given(st.lists(st.floats(0, 1e6), max_size=1000))
def test_a_distribution_rises_to_one(values: list[float]) -> None:
    x, y = distribution(values)
    assert len(x) == len(y) <= 200
    assert x == sorted(x)
    assert y == sorted(y)
    assert not values or (y[-1] == 1.0 and x[-1] == max(values))


def test_confusion_counts_answers_by_reference(tmp_path: Path) -> None:
    rows = [sample(1), wrong(1), sample(2), unparsed(2), failed(3), sample(3, extracted="maybe")]
    found = facts(tmp_path, rows).confusion
    assert found is not None
    assert found.labels == ("no", "yes")
    assert found.answers == ("no", "yes", "other", "unparsed")
    assert found.counts == ((1, 0, 0, 1), (1, 1, 1, 0))


def test_the_same_reference_given_twice_is_one(tmp_path: Path) -> None:
    rows = [sample(1, references=("yes", "yes")), sample(2)]
    found = facts(tmp_path, rows).confusion
    assert found is not None
    assert found.counts == ((1, 0), (0, 1))


@pytest.mark.parametrize(
    "rows",
    [
        [replace(sample(i), rule="") for i in range(2)],
        [failed(1)],
        [sample(1)],
        [sample(1, references=("a", "b")), sample(2)],
        [replace(sample(i), references=(str(i),)) for i in range(9)],
    ],
    ids=["not parsed", "none answered", "one label", "several references", "many labels"],
)
def test_confusion_needs_few_single_labels_and_parsed_answers(tmp_path: Path, rows: list[ScoredSample]) -> None:
    assert facts(tmp_path, rows).confusion is None


def test_answers_are_measured_in_tokens_or_else_in_characters(tmp_path: Path) -> None:
    counted = facts(tmp_path / "a", [sample(1), sample(2), failed(3)])
    assert (counted.length_unit, counted.lengths) == ("tokens", (3.0, 4.0))
    uncounted = facts(tmp_path / "b", [replace(sample(i), new_tokens=None) for i in range(2)])
    assert (uncounted.length_unit, uncounted.lengths) == ("characters", (2.0, 3.0))


def test_a_samples_file_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"t": [sample(1)]})
    table = pq.read_table(run.samples_path("t"))
    pq.write_table(table.drop_columns(["rule"]), run.samples_path("t"))
    with pytest.raises(StoreError, match=r"has no column 'rule'.*score"):
        facts_of(run, "t")
