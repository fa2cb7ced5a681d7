"""Tables and figures for papers."""

import logging
import re
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from report_runs import demo_run, mixed, sample, write_run

from evals.compare import compare_runs
from evals.leaderboard import build_board
from reports import export, figures, fonts
from reports.export import NOTES, export_comparison, export_leaderboard, export_run, file_names, write_export
from reports.plots import Plot


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def chinese_plot() -> Plot:
    return Plot("scores", "Scores", "Scores.", partial(lambda narrow: chinese_figure()))


def test_a_run_is_exported_with_all_its_tables_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "KINDS", ("svg",))
    written = export_run(demo_run(tmp_path / "run", count=60), tmp_path / "out")
    found = contents(tmp_path / "out")
    assert {path.relative_to(tmp_path / "out") for path in written} == set(map(Path, found))
    assert {"figures/scores.svg", "figures/latency.svg", "tables/scores.tex", "tables/published.tex"} <= set(found)
    assert rb"\toprule" in found["tables/scores.tex"]


def test_an_export_is_the_same_byte_for_byte_and_without_dates(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_export(tmp_path / name, [], [chinese_plot()])
    found = contents(tmp_path / "one")
    assert found == contents(tmp_path / "two")
    assert {"figures/scores.pdf", "figures/scores.svg", "figures/scores.png"} <= set(found)
    assert b"CreationDate" not in found["figures/scores.pdf"]


def test_a_comparison_and_a_leaderboard_are_exported_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "KINDS", ("svg",))
    runs = [
        write_run(tmp_path / name, {"t": mixed(80, seed=seed)}, model=name, run_id=name)
        for seed, name in enumerate(("one", "two"))
    ]
    export_comparison(runs, compare_runs(runs), tmp_path / "comparison")
    assert {"figures/forest.svg", "tables/differences.tex", "tables/flips.tex"} <= set(
        contents(tmp_path / "comparison")
    )
    export_leaderboard(build_board(runs), tmp_path / "board", runs)
    assert {"figures/macro.svg", "tables/board.tex"} <= set(contents(tmp_path / "board"))


CHINESE = "单词识别"


@given(st.lists(st.text(st.sampled_from("aA-_ 难度\ud83d/.\0"), max_size=4) | st.text(max_size=300), max_size=12))
def test_each_table_has_a_file_of_its_own_whatever_it_is_called(names: list[str]) -> None:
    files = file_names(names)
    assert len({file.casefold() for file in files}) == len(names)
    assert all(len(file) < 128 and re.fullmatch("[A-Za-z0-9-]*", file) for file in files)


def test_categories_with_chinese_names_are_all_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "KINDS", ())
    rows = [sample(i, categories={"难度": "易", "类型": "图", "long" * 90: "x"}) for i in range(30)]
    export_run(write_run(tmp_path / "run", {"t": rows}), tmp_path / "out")
    tables = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "out" / "tables").iterdir())
    assert all(f"By {name}" in tables for name in ("难度", "类型", "long"))


def chinese_figure() -> Figure:
    return figures.dot_whisker([figures.Dot(CHINESE, 50.0, 40.0, 60.0)], axis="score, %")


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_chinese_labels_are_set_in_an_installed_font_or_spelled_out_with_a_note(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, kind: str, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.setattr(fonts, "FAMILIES", ())  # as on a machine without such fonts
    with caplog.at_level(logging.WARNING):
        data, missing = figures.export_with_fonts(chinese_figure(), kind)
    assert data
    assert missing == set(CHINESE)
    assert "fonts-noto-cjk" in fonts.note(missing)
    assert not [record for record in caplog.records if "glyph" in record.message.lower()]
    assert not [warning for warning in recwarn if "Glyph" in str(warning.message)]


def test_a_label_without_a_font_is_written_as_code_points() -> None:
    assert fonts.spelled("a 单词 b", frozenset("单词")) == "a [U+5355 U+8BCD] b"
    assert fonts.spelled("plain", frozenset()) == "plain"
    assert fonts.note(()) == ""


def test_fonts_are_looked_for_only_where_the_base_font_lacks_a_character() -> None:
    assert fonts.choose(["Latin, Ελληνικά, кириллица", "العربية"]) == fonts.Choice(("DejaVu Sans",), frozenset())


def test_an_export_says_which_characters_have_no_font(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "FAMILIES", ())
    monkeypatch.setattr(export, "KINDS", ("pdf",))
    write_export(tmp_path, [], [chinese_plot()])
    assert "U+5355" in (tmp_path / NOTES).read_text(encoding="utf-8")


def test_an_svg_keeps_chinese_as_text() -> None:
    assert CHINESE in figures.export(chinese_figure()).decode()
