"""A run beside published values."""

from pathlib import Path
from typing import Any

import pytest
from report_runs import mixed, task_result, write_run

from evals.store import Run
from reports.published import published_sentence, published_table

MODEL = "OmniLMM-3B"


def run_with(folder: Path, **entry: Any) -> Run:
    rows = mixed(200)
    published = [{"model": "another model", "value": 0.5}, {"model": MODEL, "value": 0.85} | entry]
    return write_run(folder, {"t": rows}, changes={"t": {"published": published}}, model=MODEL)


@pytest.mark.parametrize(
    ("value", "words"), [(0.85, "within our interval"), (0.5, "▲ ours is better"), (0.99, "▼ ours is worse")]
)
def test_a_published_value_stands_beside_ours_with_the_difference_in_words(
    tmp_path: Path, value: float, words: str
) -> None:
    run = run_with(tmp_path, value=value)
    table = published_table(run.results, run.manifest)
    assert table is not None
    first = table.rows[0]  # the run's own model comes first
    assert first[5].text == MODEL
    assert first[8].text == words
    assert first[6].sort == pytest.approx(100 * (task_result(mixed(200))["statistics"]["accuracy"]["value"] - value))


def test_a_value_of_another_number_is_held_against_that_number_or_left_out(tmp_path: Path) -> None:
    run = run_with(tmp_path, statistic="f1")
    table = published_table(run.results, run.manifest)
    assert table is not None
    assert [row[5].text for row in table.rows] == ["another model"]


def test_another_preset_than_the_published_one_is_said(tmp_path: Path) -> None:
    run = run_with(tmp_path, preset="official", protocol="three beams")
    table = published_table(run.results, run.manifest)
    assert table is not None
    assert table.rows[0][9].text == "three beams (its preset is official, this run used default)"


def test_the_verdict_counts_agreement_with_the_models_own_values(tmp_path: Path) -> None:
    run = run_with(tmp_path)
    said = published_sentence(run.results).replace("\u00a0", " ")
    assert said == f"Where a value of {MODEL} is published (1 task), its score agrees with it within our interval."


def test_nothing_is_said_where_nothing_is_published(tmp_path: Path) -> None:
    run = write_run(tmp_path, {"t": mixed(20)})
    assert published_table(run.results, run.manifest) is None
    assert published_sentence(run.results) == ""
