"""Latencies of two runs side by side: drawn and tabled where they were compared, and nowhere else."""

from pathlib import Path

import pytest
from report_runs import sample, write_run

from evals.compare import compare_runs
from evals.store import Run
from model_adapters.contract import Timing
from reports import compare_latency
from reports.compare_latency import ALL, latency_plot, latency_table
from reports.compare_report import build_comparison, pair_waits
from reports.export import export_comparison


def timed_run(folder: Path, name: str, factor: float, tasks: int = 1) -> Run:
    """120 requests of which each took a little longer than the one before."""
    rows = {
        f"t{task}": [
            sample(i, timing=Timing(batch_ms=factor * (task + 1) * (100 + i)), cluster=f"c{i}") for i in range(120)
        ]
        for task in range(tasks)
    }
    return write_run(folder / name, rows, model=name, run_id=name)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("timed")
    return [timed_run(folder, "slow", 2.0, tasks=2), timed_run(folder, "fast", 1.0, tasks=2)]


def test_each_task_and_all_together_have_percentiles_of_both_runs(runs: list[Run]) -> None:
    waits = pair_waits(compare_runs(runs)[0], 0, runs)
    assert waits is not None
    rows = [[cell.text for cell in row] for row in latency_table(waits).rows]
    assert [row[1:3] for row in rows] == [["A: slow", "120"], ["B: fast", "120"]] * 2 + [
        ["A: slow", "240"],
        ["B: fast", "240"],
    ]
    assert rows[-1][0] == ALL
    assert rows[0][3] == "318"  # 2 x (100 + 59), the 60th of 120
    assert rows[1][3:5] == ["159", "148 to 171"]
    assert rows[1][-1].endswith("to –")  # 120 requests give no upper end of the 99th percentile


def test_the_curves_are_those_of_all_requests_pooled(runs: list[Run]) -> None:
    waits = pair_waits(compare_runs(runs)[0], 0, runs)
    assert waits is not None
    plot = latency_plot(waits, "")
    slow, fast = plot.paint.args[0]
    assert (slow.label, fast.label) == ("A: slow", "B: fast")
    assert (fast.x[0], fast.x[-1], slow.x[-1]) == (100.0, 438.0, 876.0)
    assert slow.y[-1] == fast.y[-1] == 100.0
    assert "2\xa0tasks are pooled" in plot.caption


def test_page_and_export_show_them(runs: list[Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compare_runs(runs)
    html = build_comparison(runs, found, tmp_path).html.read_text(encoding="utf-8")
    assert 'id="fig-latency-wide-title"' in html
    assert "Latency of a request in both runs" in html
    monkeypatch.setattr("reports.export.KINDS", ("svg",))
    names = {str(path.relative_to(tmp_path / "x")) for path in export_comparison(runs, found, tmp_path / "x")}
    assert {"figures/latency.svg", "tables/latency.tex"} <= names


def test_several_runs_have_a_figure_each(tmp_path: Path) -> None:
    runs = [timed_run(tmp_path, name, factor) for name, factor in (("a", 1.0), ("b", 2.0), ("c", 3.0))]
    html = build_comparison(runs, compare_runs(runs), tmp_path / "out").html.read_text(encoding="utf-8")
    assert 'id="fig-latency-1-wide-title"' in html
    assert 'id="fig-latency-2-wide-title"' in html


def test_without_times_in_both_runs_there_is_nothing_to_show(tmp_path: Path) -> None:
    untimed = write_run(tmp_path / "u", {"t0": [sample(i, cluster=f"c{i}", timing=Timing()) for i in range(120)]})
    runs = [timed_run(tmp_path, "a", 1.0), untimed]
    assert pair_waits(compare_runs(runs)[0], 0, runs) is None
    html = build_comparison(runs, compare_runs(runs), tmp_path / "out").html.read_text(encoding="utf-8")
    assert "fig-latency" not in html


def test_where_most_requests_shared_a_batch_no_interval_is_given() -> None:
    waits = compare_latency.Waits(("A", "B"), (("t", [100.0] * 400, [float(i) for i in range(400)]),))
    shared, apart = latency_table(waits).rows
    assert [cell.text for cell in shared[3:5]] == ["100", "–"]
    assert apart[4].text == "179 to 220"
