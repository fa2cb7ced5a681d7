"""Runs that lack something: a page that says what is missing, or a refusal that says what to do."""

import json
from pathlib import Path

import pytest
from report_runs import failed, jpeg, sample, write_run, wrong

import run_eval
from evals.compare import compare_runs
from evals.gate import Margins, create_baseline, judge, open_baseline
from evals.leaderboard import build_board, update_folder
from evals.store import Run
from reports.compare_report import build_comparison
from reports.frozen_rows import baseline_rows
from reports.gate_report import build_gate
from reports.leaderboard_report import build_leaderboard
from reports.run_report import build_report
from reports.serve import run_site

Captured = pytest.CaptureFixture[str]


def rewrite(path: Path, **changes: object) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(document | changes), encoding="utf-8")


@pytest.mark.parametrize("file", ["manifest.json", "results.json"])
@pytest.mark.parametrize("version", [0, 2, None])
def test_another_schema_is_refused_with_what_to_do(
    tmp_path: Path, capsys: Captured, file: str, version: int | None
) -> None:
    run = write_run(tmp_path / "run", {"t": [sample(1)]})
    rewrite(run.path / file, schema_version=version)
    for command in (
        ["report", str(run.path)],
        ["report", str(run.path), "--serve"],
        ["report", str(run.path), "--export", "x"],
    ):
        assert run_eval.main(command) == 2
        said = capsys.readouterr().err
        assert f"schema version {version!r}" in said
        assert "run again" in said


def test_a_run_without_its_samples_names_the_command_that_makes_them(tmp_path: Path, capsys: Captured) -> None:
    run = write_run(tmp_path / "run", {"t": [sample(1)]})
    run.samples_path("t").unlink()
    assert run_eval.main(["report", str(run.path)]) == 2
    assert f"run_eval.py score {run.path}" in capsys.readouterr().err


def test_a_run_of_errors_only_has_every_kind_of_page(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"t": [failed(i) for i in range(5)]}, run_id=name) for name in ("a", "b")]
    board = build_leaderboard(build_board(runs), tmp_path, runs).read_text(encoding="utf-8")
    assert "none is ranked" in board
    page = build_comparison(runs, compare_runs(runs), tmp_path / "c").html.read_text(encoding="utf-8")
    assert "image file is truncated" in page
    assert dict(run_site(runs[0]).index.filters())["errors"] == 5


def test_a_run_of_one_sample_is_compared_and_judged(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name, {"t": [row]}, run_id=name) for name, row in (("a", sample(1)), ("b", wrong(1)))]
    page = build_comparison(runs, compare_runs(runs), tmp_path / "c").html.read_text(encoding="utf-8")
    assert "All 1 samples" in page or "All 1 sample" in page
    create_baseline([runs[0]], tmp_path / "base", "main", margins=Margins(), single_reason="a fixture")
    baseline = open_baseline(tmp_path / "base")
    verdict = judge(baseline, runs[1])
    gate = build_gate(verdict, tmp_path, baseline.run, runs[1]).read_text(encoding="utf-8")
    assert verdict.outcome in gate


def test_a_damaged_thumbnail_is_a_missing_picture(tmp_path: Path) -> None:
    rows = [sample(0, image_hashes=("0" * 64,)), sample(1, image_hashes=("1" * 64,))]
    run = write_run(tmp_path / "run", {"t": rows}, pictures={"0" * 64: b"not a picture", "1" * 64: jpeg((9, 9, 9))})
    assert "1 of 2 pictures are in this file" in build_report(run).html.read_text(encoding="utf-8")


def test_a_leaderboard_of_frozen_entries_says_that_it_has_no_samples(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / n, {"t": [sample(i) for i in range(30)]}, run_id=n, model=n) for n in ("a", "b")]
    board = update_folder(tmp_path / "board", runs)
    assert "kept their scores, not their answers" in build_leaderboard(board, tmp_path / "out").read_text(
        encoding="utf-8"
    )


def test_a_gate_without_the_candidates_answers_has_no_sample_browser(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"t": [sample(i, cluster=f"c{i}") for i in range(30)]})
    create_baseline([run], tmp_path / "base", "main", margins=Margins(), single_reason="a fixture")
    verdict = judge(open_baseline(tmp_path / "base"), run)
    assert 'id="browser"' not in build_gate(verdict, tmp_path).read_text(encoding="utf-8")


def frozen_scores(folder: Path, run: Run) -> dict[str, float | None]:
    create_baseline([run], folder / "base", "main", margins=Margins(), single_reason="a fixture")
    rows = baseline_rows(open_baseline(folder / "base").run, "t", run.samples("t"), "accuracy")
    return {row.row_id: row.scores["accuracy"] for row in rows}


def test_a_baselines_rows_have_the_scores_that_it_kept(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"t": [wrong(i) if i % 3 else sample(i) for i in range(9)]})
    assert frozen_scores(tmp_path, run) == {f"q{i:05d}": float(i % 3 == 0) for i in range(9)}


def test_a_units_score_that_is_not_the_rows_own_is_unknown(tmp_path: Path) -> None:
    """As with circular evaluation: the unit is right only if all rotations are."""
    run = write_run(tmp_path / "run", {"t": [sample(i) for i in range(4)]})
    rows = run.samples("t")
    rows[0].scores["accuracy"] = 0.0  # type: ignore[index]
    assert frozen_scores(tmp_path, run)["q00000"] is None
