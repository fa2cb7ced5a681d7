"""Figures are drawn once: the same bytes with and without what was kept, and nothing stale is ever found."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from report_runs import demo_run

from evals.compare import compare_runs
from evals.gate import create_baseline, judge, open_baseline
from evals.gate.margins import Margins
from evals.leaderboard import build_board
from reports import figure_store, figures, plots, svg
from reports.compare_report import build_comparison
from reports.gate_report import build_gate
from reports.leaderboard_report import build_leaderboard
from reports.plots import Plot
from reports.run_report import build_report

DOTS = [figures.Dot("words", 60.0, 50.0, 70.0), figures.Dot("单词", 40.0, floors=(25.0,))]


def plot(dots: list[figures.Dot] = DOTS, title: str = "Scores", axis: str = "score, %") -> Plot:
    return Plot("scores", title, "The scores.", partial(figures.dot_whisker, dots, axis=axis))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own for each test."""
    monkeypatch.setattr(figure_store, "cache_dir", lambda: tmp_path / "cache")
    return tmp_path / "cache" / "figures"


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the figures that are drawn, one after the other."""
    names: list[str] = []
    responsive = svg.responsive

    def noted(draw, name, title, description):  # type: ignore[no-untyped-def]
        names.append(name)
        return responsive(draw, name, title, description)

    monkeypatch.setattr(svg, "responsive", noted)
    return names


def entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.exists() else []


def test_a_figure_is_drawn_once_and_found_again_as_the_same_markup(drawings: list[str], folder: Path) -> None:
    first, second = plot().markup(), plot(list(DOTS)).markup()
    assert first == second
    assert type(second) is type(first)
    assert drawings == ["fig-scores"]
    assert len(entries(folder)) == 1


@pytest.mark.parametrize(
    "other",
    [
        plot([figures.Dot("words", 60.0, 50.0, 70.5), DOTS[1]]),
        plot(DOTS[:1]),
        plot(title="Punkte"),
        plot(axis="得分, %"),
        Plot("scores", "Scores", "The scores.", partial(figures.forest, DOTS, axis="score, %")),
        Plot("other", "Scores", "The scores.", partial(figures.dot_whisker, DOTS, axis="score, %")),
    ],
    ids=["number", "fewer", "title", "language", "painter", "name"],
)
def test_other_data_texts_or_painters_are_another_figure(drawings: list[str], other: Plot) -> None:
    assert plot().markup() != other.markup()
    assert len(drawings) == 2


def test_other_code_draws_anew(drawings: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = plot().markup()
    monkeypatch.setattr(figure_store, "_code", lambda: "a later version")
    assert plot().markup() == first
    assert len(drawings) == len(entries(folder)) == 2


def test_the_code_is_that_of_this_room_and_of_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    figure_store._code.cache_clear()
    ours = figure_store._code()
    room, library = tmp_path / "reports", tmp_path / "matplotlib"
    for path in (room / "figures.py", library / "_version.py"):
        path.parent.mkdir()
        path.write_text("1")
    monkeypatch.setattr(figure_store, "__file__", str(room / "figure_store.py"))
    spec = type("Spec", (), {"origin": str(library / "__init__.py")})
    monkeypatch.setattr(figure_store, "find_spec", lambda name: spec)
    found = [ours]
    for path in (room / "figures.py", library / "_version.py"):
        figure_store._code.cache_clear()
        found.append(figure_store._code())
        path.write_text("2")
    figure_store._code.cache_clear()
    found.append(figure_store._code())
    (library / "_version.py").unlink()
    figure_store._code.cache_clear()
    assert figure_store._code() is None
    figure_store._code.cache_clear()
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-1], lambda data: data.replace(b"words", b"w0rds"), lambda data: b"", lambda data: b"\xff\n"],
    ids=["cut", "changed", "empty", "nonsense"],
)
def test_a_damaged_entry_is_drawn_again_and_mended(damage, drawings: list[str], folder: Path) -> None:  # type: ignore[no-untyped-def]
    first = plot().markup()
    (entry,) = entries(folder)
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert plot().markup() == first
    assert entry.read_bytes() == whole
    assert len(drawings) == 2


def test_without_a_place_to_keep_them_figures_are_drawn(drawings: list[str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    assert plot().markup() == plot().markup()
    assert len(drawings) == 2


def test_a_user_without_a_home_still_gets_figures(drawings: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(figure_store, "cache_dir", homeless)
    assert plot().markup().startswith('<div class="wide"><svg')


def test_of_many_figures_those_asked_for_last_are_kept(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(figure_store, "MOST", 2)
    made: list[int] = []

    def ask(number: int) -> None:
        for entry in entries(folder):  # a second goes by, which no clock's step can hide
            os.utime(entry, (entry.stat().st_atime, entry.stat().st_mtime - 1))
        figure_store.kept(number, lambda: made.append(number) or "")  # type: ignore[func-returns-value]

    for number in (1, 2, 1, 3, 1, 2):
        ask(number)
    assert made == [1, 2, 3, 2]
    assert len(entries(folder)) == 2


def test_every_page_is_the_same_bytes_from_drawn_and_from_kept_figures(
    tmp_path: Path, drawings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also: a figure's facts say all of it and nothing of this process, such as an object's address."""
    facts: list[str] = []
    kept = figure_store.kept
    monkeypatch.setattr(plots.figure_store, "kept", lambda of, draw: facts.append(repr(of)) or kept(of, draw))  # type: ignore[func-returns-value]
    runs = [
        demo_run(tmp_path / name, count=40, seed=seed, model=name, run_id=name)
        for name, seed in (("one", 1), ("two", 2))
    ]
    found, board = compare_runs(runs), build_board(runs)
    create_baseline([runs[0]], tmp_path / "base", "main", margins=Margins(), single_reason="a fixture")
    verdict = judge(open_baseline(tmp_path / "base"), runs[1])

    def pages(out: Path) -> list[bytes]:
        written = [build_report(runs[0], out / "run").html, build_comparison(runs, found, out / "comparison").html]
        written += [build_gate(verdict, out / "gate"), build_leaderboard(board, out / "board", runs)]
        return [path.read_bytes() for path in written]

    first = pages(tmp_path / "a")
    n = len(drawings)
    assert pages(tmp_path / "b") == first
    assert len(drawings) == n > 6
    assert not [one for one in facts if " at 0x" in one]


DRAW = """
import hashlib, sys
from reports import figures
dots = [figures.Dot("one", 40.0, 30.0, 50.0, floors=(25.0,))]
print(hashlib.sha256(figures.export(figures.dot_whisker(dots, axis="score, %"))).hexdigest())
"""


def test_a_users_settings_for_matplotlib_change_no_figure(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_text("axes.grid: True\nlines.linewidth: 5\nsavefig.bbox: tight\nfigure.dpi: 33\n")
    project = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(project)!r})\n{DRAW}"]
    found = [
        subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout
        for cwd in (project, tmp_path)
    ]
    assert found[0] == found[1] != ""


def test_a_report_whose_figures_are_kept_does_without_matplotlib(tmp_path: Path) -> None:
    """Two processes: the first draws, the second finds."""
    demo_run(tmp_path / "run", count=20)
    program = f"""
import sys
from pathlib import Path
from evals.store import open_run
from reports import figure_store
from reports.run_report import build_report
figure_store.cache_dir = lambda: Path({str(tmp_path)!r}) / "cache"
build_report(open_run({str(tmp_path / "run")!r}))
print("matplotlib" in sys.modules)
"""
    said = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
        for _ in range(2)
    ]
    assert said == ["True", "False"]
