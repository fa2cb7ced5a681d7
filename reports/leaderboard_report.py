"""The leaderboard as a page: leaderboard.html. Its Markdown, CSV and JSON are written by ``evals.leaderboard``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from markupsafe import Markup

from evals.compare.evidence import RunLike
from evals.leaderboard import Board, Entry, Group
from evals.store import Run
from reports import format as fmt
from reports import page, samples_view
from reports.browsing import SAMPLE_SCRIPTS, first_thumbnail
from reports.leaderboard_plots import Intervals, group_plots, latency_intervals
from reports.leaderboard_table import group_table
from reports.tables import Table
from reports.telling import page_rows

SCRIPTS = ("link.js", "report.js", "leaderboard.js")
MOST_COMPARED = 6  # models whose answers the sample browser shows side by side, the best ones
LEGEND = (
    "Rank is the range of places that paired tests leave possible (Holm over all pairs, 5 %); models that share a "
    "letter cannot be told apart. Macro is the weighted mean of the tasks in percent of their scales. Above chance: 0 "
    "is guessing and 100 is perfect. A model with a missing task has no macro average and no rank. Efficiency is to be "
    "read within one hardware only."
)


@dataclass(frozen=True, slots=True)
class Section:
    """One protocol's part of the page: only its entries are ranked together."""

    heading: str
    differs: tuple[str, ...]
    figures: tuple[tuple[str, Markup], ...]
    table: Table


def build_leaderboard(board: Board, out_dir: Path, runs: Sequence[RunLike] = ()) -> Path:
    """Write ``leaderboard.html`` and return its path.

    Args:
        board: the ranking.
        out_dir: where to.
        runs: the ranked runs, for the intervals of latencies and the samples; frozen ones have neither.

    Raises:
        StoreError: the folder cannot be written.
    """
    return page.write(out_dir / "leaderboard.html", html(board, runs))


def html(board: Board, runs: Sequence[RunLike] = ()) -> str:
    """The whole page."""
    whole = [run for run in runs if isinstance(run, Run)]
    latencies = latency_intervals(whole)
    board = named_apart(board)
    several = len(board.groups) > 1
    models = sum(len(group.entries) for group in board.groups)
    sections = [
        section(board, group, number if several else 0, latencies) for number, group in enumerate(board.groups, start=1)
    ]
    browser, names = samples(board, whole)
    context = {
        "title": board.title,
        "heading": board.title,
        "kicker": "Leaderboard",
        "byline": f"{fmt.plural(models, 'model')}, {fmt.plural(len(board.columns), 'task')}",
        "verdict": verdict(board.groups[0]) if board.groups else "This leaderboard has no models.",
        "notes": board.notes,
        "sections": sections,
        "legend": LEGEND,
        "kept": browser["kept"] if browser else None,
        "compared": names,
    }
    data = {"view": "leaderboard", "runs": names, "samples": browser} if browser else None
    return page.render(
        "leaderboard.html.jinja", context, scripts=SCRIPTS + (SAMPLE_SCRIPTS if browser else ()), data=data
    )


def samples(board: Board, runs: Sequence[Run]) -> tuple[dict[str, Any] | None, list[str]]:
    """The sample browser of the first group's best models that kept their answers, and their names; None without."""
    by_id = {run.manifest["run_id"]: run for run in runs}
    entries = [entry for group in board.groups[:1] for entry in group.entries if entry.run in by_id][:MOST_COMPARED]
    shown = [by_id[entry.run] for entry in entries]
    if not shown:
        return None, []
    rows = page_rows(shown)
    browser = samples_view.browser_data(
        rows.tasks, lambda sha256: first_thumbnail(shown, sha256), left_out=rows.left_out
    )
    return (browser, [entry.model for entry in entries]) if browser["kept"]["of_rows"] else (None, [])


def named_apart(board: Board) -> Board:
    """The board with the run's id beside the name of a model that comes more than once, as comparisons name them."""
    models = [entry.model for group in board.groups for entry in group.entries]

    def named(entry: Entry) -> Entry:
        return replace(entry, model=f"{entry.model} [{entry.run}]") if models.count(entry.model) > 1 else entry

    return replace(
        board, groups=tuple(replace(group, entries=tuple(map(named, group.entries))) for group in board.groups)
    )


def verdict(group: Group) -> str:
    """Who leads, as far as it can be said."""
    ranked = [entry for entry in group.entries if entry.rank]
    if not ranked:
        return "No model has all tasks, so none is ranked."
    first = [entry for entry in ranked if entry.rank and entry.rank[0] == 1]
    if len(first) == 1:
        leader = first[0]
        macro = fmt.score(leader.macro, leader.macro_low, leader.macro_high)
        ahead = fmt.plural(len(ranked), "ranked model")
        return f"{leader.model} leads {ahead} with a macro average of {macro}{fmt.NBSP}%."
    return f"{fmt.sentence_list([entry.model for entry in first])} share the first place: they cannot be told apart."


def section(board: Board, group: Group, number: int, latencies: Intervals) -> Section:
    """One group's plots and table; ``number`` is 0 where there is only one."""
    heading = f"Protocol {number} ({group.key})" if number else "Models"
    plots = tuple((plot.caption, plot.markup()) for plot in group_plots(group, number, latencies))
    return Section(heading, group.differs[:10], plots, group_table(board, group, number))
