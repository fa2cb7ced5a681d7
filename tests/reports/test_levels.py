"""Floors, ceilings and rivals of a score: from the task's card and its right answers, each with a sign of its own."""

from pathlib import Path
from typing import Any

import pytest
from report_runs import sample, write_run

from reports import run_figures, run_tables
from reports.distributions import Confusion
from reports.levels import Levels, levels
from reports.run_report import build_report
from reports.task_facts import all_facts

FEW = Confusion(("no", "yes"), ("no", "yes"), ((30, 10), (5, 15)))  # 40 of 60 right answers are "no"
PUBLISHED = [
    {"model": "Human (expert)", "value": 0.9},
    {"model": "random", "value": 0.07},
    {"model": "OmniLMM-3B", "value": 0.6},
    {"model": "LLaVA-1.5-13B", "value": 0.5, "statistic": "accuracy"},
    {"model": "LLaVA-1.5-13B", "value": 0.4, "statistic": "f1"},
]


def task(**changes: Any) -> dict[str, Any]:
    return {"headline": "accuracy", "n": 60, "n_requests": 60, "chance": 0.5, "published": PUBLISHED} | changes


def test_published_values_are_people_guessers_or_models_of_the_headline() -> None:
    assert levels(task(), FEW) == Levels((0.5, 0.07), 40 / 60, (0.9,), (0.6, 0.5))


def test_a_floor_that_is_said_twice_is_one() -> None:
    assert levels(task(published=[{"model": "chance", "value": 0.5}]), None).floors == (0.5,)


@pytest.mark.parametrize(
    ("confusion", "changes"),
    [(None, {}), (FEW, {"headline": "f1"}), (FEW, {"n_requests": 240})],
    ids=["many answers", "another number", "rotations"],
)
def test_there_is_no_majority_where_one_answer_for_all_gives_another_number(
    confusion: Confusion | None, changes: dict[str, Any]
) -> None:
    assert levels(task(**changes), confusion).majority is None


def test_a_task_without_any_has_none() -> None:
    assert levels({"headline": "cider", "n": 3}, None) == Levels()


def test_table_figure_and_caption_show_them(tmp_path: Path) -> None:
    rows = [sample(i) for i in range(40)]
    uneven = [row for row in rows if row.references == ("yes",) or int(row.row_id[1:]) < 10]  # 20 yes, 5 no
    run = write_run(tmp_path / "run", {"t": uneven}, changes={"t": {"published": PUBLISHED}})
    known = all_facts(run)
    table = run_tables.summary(run.results, known)
    row = {column.label: cell.text for column, cell in zip(table.columns, table.rows[0], strict=True)}
    assert (row["Chance"], row["Majority"]) == ("50", "80.0")
    dot = run_figures.score_dots(run.results, known)[0]
    assert dot.floors == pytest.approx((50.0, 7.0))
    assert (dot.majority, dot.people, dot.published) == (80.0, (90.0,), (60.0, 50.0))
    html = build_report(run).html.read_text(encoding="utf-8")
    signs = "A dotted tick is chance, a dashed one always the most frequent right answer, a solid one people, an open"
    assert f"{signs} diamond a published model." in html


def test_a_caption_names_no_sign_that_is_not_there(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"t": [sample(0)]}, changes={"t": {"chance": None}})
    dots = run_figures.score_dots(run.results, all_facts(run))
    assert run_figures.scores_caption(dots) == "Scores with 95 % intervals."
