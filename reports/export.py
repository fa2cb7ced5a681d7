"""Tables and figures of a report for a paper: booktabs LaTeX, and PDF, SVG and PNG, the same bytes for the same run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from evals.compare import Ablation, Comparison
from evals.compare.evidence import RunLike
from evals.files import write_bytes
from evals.leaderboard import Board
from evals.store import Run
from reports import (
    compare_report,
    compare_tables,
    figures,
    fonts,
    leaderboard_plots,
    leaderboard_table,
    run_figures,
    run_report,
    run_tables,
    series,
    time_tables,
)
from reports.compare_latency import latency_table
from reports.plots import Plot
from reports.published import published_table
from reports.tables import Table, to_latex
from reports.task_facts import all_facts

KINDS = ("pdf", "svg", "png")
NOTES = "NOTES.txt"
LONGEST_NAME = 100  # characters of a file's name, which file systems end at 255 bytes


def export_run(run: Run, folder: Path) -> list[Path]:
    """Write a run's tables and figures; returns the files.

    Raises:
        StoreError: the run has not been scored, or the folder cannot be written.
    """
    known = all_facts(run)
    tables = [run_tables.summary(run.results, known), published_table(run.results, run.manifest)]
    for name, task in run.results["tasks"].items():
        tables.append(run_tables.statistics_table(name, task))
        tables += run_tables.category_tables(name, task)
        if confusion := known[name].confusion:
            tables.append(run_tables.confusion_table(name, confusion))
    tables += [*run_report.timing(run.results, known), time_tables.length_table(run.results, known)]
    return write_export(folder, tables, run_figures.plots(run.results, known))


def export_comparison(
    runs: Sequence[Run], found: Sequence[Comparison], folder: Path, steps: Ablation | None = None
) -> list[Path]:
    """Write a comparison's tables and figures; arguments as :func:`reports.compare_report.build_comparison`."""
    tables: list[Table | None] = []
    plots: list[Plot] = []
    if steps:
        tables.append(series.step_table(steps, runs[0]))
        plots += [plot for plot in [series.series_plot(steps, runs)] if plot]
    for number, one in enumerate(found):
        suffix, waits = compare_report.pair_suffix(number, runs), compare_report.pair_waits(one, number, runs)
        made = (
            compare_tables.difference_table(one),
            compare_tables.flips_table(one),
            compare_tables.category_table(one),
            compare_tables.efficiency_table(one),
            latency_table(waits) if waits else None,
        )
        tables += [compare_report.named(table, suffix) for table in made if table is not None]
        plots += compare_report.pair_plots(one, suffix, waits)
    return write_export(folder, tables, plots)


def export_leaderboard(board: Board, folder: Path, runs: Sequence[RunLike] = ()) -> list[Path]:
    """Write a leaderboard's tables and figures; ``runs`` give the intervals of latencies."""
    latencies = leaderboard_plots.latency_intervals([run for run in runs if isinstance(run, Run)])
    several = len(board.groups) > 1
    groups = [(group, number if several else 0) for number, group in enumerate(board.groups, start=1)]
    tables = [leaderboard_table.group_table(board, group, number) for group, number in groups]
    plots = [plot for group, number in groups for plot in leaderboard_plots.group_plots(group, number, latencies)]
    return write_export(folder, tables, plots)


def write_export(folder: Path, tables: Iterable[Table | None], plots: Iterable[Plot]) -> list[Path]:
    """Write ``tables/<name>.tex`` and ``figures/<name>.{pdf,svg,png}``, and a note where a font was missing."""
    made = [table for table in tables if table is not None]
    written = [
        _written(folder / "tables" / f"{name}.tex", to_latex(table).encode("utf-8"))
        for table, name in zip(made, file_names([table.name for table in made]), strict=True)
    ]
    missing: set[str] = set()
    for plot in plots:
        figure = plot.figure()
        for kind in KINDS:
            data, unknown = figures.export_with_fonts(figure, kind)
            missing |= unknown
            written.append(_written(folder / "figures" / f"{plot.name}.{kind}", data))
    if said := fonts.note(missing):
        written.append(_written(folder / NOTES, f"{said}\n".encode()))
    return written


def _written(path: Path, data: bytes) -> Path:
    write_bytes(path, data)
    return path


def file_names(names: Sequence[str]) -> list[str]:
    """A file name for each name, of ASCII letters, digits and hyphens, all different also where case does not count.

    Where two names have the same letters (all of them Chinese, say), or one is too long, a digest tells them apart.
    """
    taken: set[str] = set()
    found = []
    for number, name in enumerate(names):
        slug = (
            "".join(character if character.isalnum() and character.isascii() else "-" for character in name) or "table"
        )
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        file = slug if len(slug) <= LONGEST_NAME else f"{slug[:LONGEST_NAME]}-{digest}"
        if file.casefold() in taken:
            file = f"{slug[:LONGEST_NAME]}-{digest}"
        if file.casefold() in taken:  # the same name twice
            file = f"{file}-{number}"
        taken.add(file.casefold())
        found.append(file)
    return found
