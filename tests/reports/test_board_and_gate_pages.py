"""Leaderboard and gate as pages."""

from dataclasses import replace
from pathlib import Path

import pytest
from report_runs import sample, write_run, wrong

from evals.gate import Margins, create_baseline, judge, open_baseline
from evals.leaderboard import Board, build_board
from evals.store import Run
from reports import gate_report, leaderboard_report
from reports.gate_report import build_gate
from reports.leaderboard_plots import pareto_points
from reports.leaderboard_report import build_leaderboard, named_apart
from reports.leaderboard_table import group_table


def a_run(folder: Path, name: str, right: int, tasks: tuple[str, ...] = ("presence", "words")) -> Run:
    rows = [sample(i, cluster=f"c{i}", categories={}) if i < right else wrong(i) for i in range(300)]
    return write_run(folder / name, dict.fromkeys(tasks, rows), model=name, run_id=name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("boards")
    made = [a_run(folder, "good", 280), a_run(folder, "near", 278), a_run(folder, "poor", 150)]
    return {run.path.name: run for run in [*made, a_run(folder, "half", 290, ("presence",))]}


@pytest.fixture(scope="module")
def board(runs: dict[str, Run]) -> Board:
    return build_board(list(runs.values()), title="A <b>board</b>")


def test_models_that_cannot_be_told_apart_share_the_lead(board: Board) -> None:
    assert "share the first place" in leaderboard_report.verdict(board.groups[0])


def test_models_of_one_name_are_told_apart_by_their_runs(board: Board) -> None:
    group = board.groups[0]
    alike = replace(board, groups=(replace(group, entries=tuple(replace(e, model="same") for e in group.entries)),))
    names = [entry.model for entry in named_apart(alike).groups[0].entries]
    assert names == [f"same [{entry.run}]" for entry in group.entries]
    assert named_apart(board) == board


def test_a_model_with_a_missing_task_has_neither_macro_nor_rank(board: Board) -> None:
    rows = group_table(board, board.groups[0]).rows
    half = next(row for row in rows if row[0].text == "half")
    assert [cell.text for cell in half[1:5]] == ["–", "–", "–", "–"]
    assert half[2].sort is None


def test_the_front_is_what_no_other_model_beats(board: Board) -> None:
    entries = [entry for entry in board.groups[0].entries if entry.macro is not None]
    points = pareto_points(entries, "latency_p50_ms", {})
    assert [point.label for point in points if point.front] == ["good"]


def test_the_board_is_one_inert_page_made_again_byte_for_byte(board: Board, tmp_path: Path) -> None:
    first = build_leaderboard(board, tmp_path / "a").read_bytes()
    assert first == build_leaderboard(board, tmp_path / "b").read_bytes()
    assert b"<b>board</b>" not in first
    assert b'data-group="efficiency"' in first


def test_a_failed_gate_names_the_worst_task_and_what_to_do(runs: dict[str, Run], tmp_path: Path) -> None:
    create_baseline([runs["good"]], tmp_path / "base", "main", margins=Margins(), single_reason="a fixture")
    verdict = judge(open_baseline(tmp_path / "base"), runs["poor"])
    html = build_gate(verdict, tmp_path).read_text(encoding="utf-8")
    assert "<bdi>FAIL</bdi>" in html
    assert "What to do next" in html
    table = gate_report.task_table(verdict)
    assert table.rows[0][1].text.startswith("\u2212")
    assert table.rows[0][-1].text == "✗ fell"
    assert gate_report.short_sentence(verdict).endswith("reasons.")


def test_an_unchanged_model_is_never_shown_as_fallen(runs: dict[str, Run], tmp_path: Path) -> None:
    create_baseline([runs["good"]], tmp_path / "base", "main", margins=Margins(), single_reason="a fixture")
    verdict = judge(open_baseline(tmp_path / "base"), runs["good"])
    assert {row[-1].tone for row in gate_report.task_table(verdict).rows} <= {"good", "muted"}
    assert all(guard.kept for guard in verdict.guards)
