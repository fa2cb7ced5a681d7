"""The comparison report: what it says, in words, tables and files."""

import csv
import json
from pathlib import Path

import pytest
from report_runs import demo_run, sample, write_run, wrong

from evals.compare import Comparison, ablate, compare_runs
from evals.store import Run
from reports import compare_report, compare_tables
from reports.compare_report import Written, build_comparison
from reports.series import step_table


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Run]:
    folder = tmp_path_factory.mktemp("compared")
    early = demo_run(folder / "early", seed=2, model="small (early)", run_id="early")
    return [early, demo_run(folder / "final", seed=1, model="small (final)", run_id="final")]


@pytest.fixture(scope="module")
def found(runs: list[Run]) -> list[Comparison]:
    return compare_runs(runs)


@pytest.fixture(scope="module")
def written(runs: list[Run], found: list[Comparison], tmp_path_factory: pytest.TempPathFactory) -> Written:
    return build_comparison(runs, found, tmp_path_factory.mktemp("out"))


def two_runs(folder: Path, right_before: int, right_after: int, count: int = 400) -> list[Run]:
    def rows(right: int) -> list:  # type: ignore[type-arg]
        return [sample(i, cluster=f"c{i}") if i < right else wrong(i) for i in range(count)]

    return [
        write_run(folder / name, {"t": rows(right)}, model=name, run_id=name)
        for name, right in (("before", right_before), ("after", right_after))
    ]


def test_the_page_names_both_runs_and_the_verdict(written: Written, found: list[Comparison]) -> None:
    html = written.html.read_text(encoding="utf-8")
    assert "small (early) and small (final)" in html
    assert "A is run early · B is run final" in html
    assert compare_report.spoken(found[0].sentence, "small (final)") in html


def test_the_page_is_made_again_byte_for_byte(
    runs: list[Run], found: list[Comparison], written: Written, tmp_path: Path
) -> None:
    again = build_comparison(runs, found, tmp_path)
    assert again.html.read_bytes() == written.html.read_bytes()
    assert again.json.read_bytes() == written.json.read_bytes()


def test_samples_have_an_answer_of_each_run(written: Written) -> None:
    html = written.html.read_text(encoding="utf-8")
    data = json.loads(html.partition('id="report-data">')[2].partition("</script>")[0])
    assert data["runs"] == ["A: small (early)", "B: small (final)"]
    assert all(len(row[7]) == 2 for task in data["samples"]["tasks"] for row in task["rows"])


def test_the_drop_of_a_worse_run_is_said_with_sign_and_word(tmp_path: Path) -> None:
    found = compare_runs(two_runs(tmp_path, 380, 300))[0]
    row = compare_tables.difference_table(found).rows[0]
    assert row[3].text.startswith("\u2212")
    assert row[5].text == "▼ worse"
    flips = compare_tables.flips_table(found).rows[0]
    assert [cell.text for cell in flips[1:5]] == ["80", "0", "80", "320"]
    assert compare_report.spoken(found.tasks[0].sentence, "").startswith("B is worse: \u221220.0 points")


def test_a_difference_that_was_found_is_drawn_filled(tmp_path: Path) -> None:
    found = compare_runs(two_runs(tmp_path, 380, 300))[0]
    assert [dot.filled for dot in compare_report.forest_dots(found)] == [True, True]


def test_the_same_run_twice_shows_no_flips_and_gets_its_id(tmp_path: Path) -> None:
    run = two_runs(tmp_path, 380, 380)[0]
    found = compare_runs([run, run])
    assert compare_tables.flips_table(found[0]).rows[0][3].text == "0"
    assert compare_report.labels([run, run]) == ["before [before]", "before [before]"]
    assert build_comparison([run, run], found, tmp_path / "out").html.exists()


def test_several_runs_are_each_compared_with_the_first(runs: list[Run], tmp_path: Path) -> None:
    three = [*runs, runs[1]]
    html = build_comparison(three, compare_runs(three), tmp_path).html.read_text(encoding="utf-8")
    assert 'id="differences-1"' in html
    assert 'id="differences-2"' in html
    assert "B2: small (final)" in html


@pytest.mark.parametrize(
    ("gain", "shade"), [(0.0, ""), (0.004, ""), (0.02, "up-1"), (-0.06, "down-2"), (-0.5, "down-3")]
)
def test_shades_follow_the_size_of_a_difference(gain: float, shade: str) -> None:
    assert compare_tables.heat(gain) == shade


def test_csv_has_tasks_and_categories_in_full(written: Written, found: list[Comparison]) -> None:
    with written.csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["difference"]) == found[0].tasks[0].difference.value
    assert {row["category"] for row in rows} >= {"", "shape", "length"}


def test_json_is_the_document_that_compare_prints(written: Written) -> None:
    document = json.loads(written.json.read_text(encoding="utf-8"))
    assert document["kind"] == "comparison"


def test_markdown_reads_as_a_comment(written: Written) -> None:
    text = written.markdown.read_text(encoding="utf-8")
    assert text.startswith("# Comparison\n\n- A: small (early) (run early)\n- B: small (final) (run final)\n")
    assert "**Differences by task**" in text
    assert "**Flips**" in text


def test_checkpoints_of_one_training_are_shown_as_curves_and_a_table_of_steps(tmp_path: Path) -> None:
    rows = {
        step: [sample(i, cluster=f"c{i}") if i < step // 4 else wrong(i) for i in range(300)]
        for step in (400, 800, 1200)
    }
    runs = [write_run(tmp_path / f"step-{s}", {"t": r}, model=f"step {s}", run_id=f"step-{s}") for s, r in rows.items()]
    series = ablate(runs)
    written = build_comparison(runs, compare_runs(runs), tmp_path / "out", series)
    html = written.html.read_text(encoding="utf-8")
    assert "fig-series-wide" in html
    assert 'id="steps"' in html
    assert "**Scores by step**" in written.markdown.read_text(encoding="utf-8")
    table = step_table(series, runs[0])
    assert [row[0].text for row in table.rows] == ["400", "800", "1,200"]
    assert [cell.text for cell in table.footer[0]] == ["First gain", "", "", "800"]
