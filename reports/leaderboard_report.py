"""The leaderboard as a page: leaderboard.html. Its Markdown, CSV and JSON are written by ``evals.leaderboard``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from evals.leaderboard import Board, Entry, Group
from evals.leaderboard import Column as Task
from reports import figures, page, svg
from reports import format as fmt
from reports.tables import Cell, Column, Table, number_cell, table, text_cell

SCRIPTS = ("report.js", "leaderboard.js")
EFFICIENCY = {
    "requests_per_s": "Requests/s",
    "latency_p50_ms": "Median latency, ms",
    "peak_allocated_mib": "Peak device memory, MiB",
    "peak_host_mib": "Peak host memory, MiB",
    "energy_j": "Energy, J",
}
COSTS = ("latency_p50_ms", "peak_allocated_mib", "peak_host_mib", "energy_j")  # accuracy is drawn against these
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


def build_leaderboard(board: Board, out_dir: Path) -> Path:
    """Write ``leaderboard.html`` and return its path; raises ``StoreError`` where the folder cannot be written."""
    return page.write(out_dir / "leaderboard.html", html(board))


def html(board: Board) -> str:
    """The whole page."""
    several = len(board.groups) > 1
    models = sum(len(group.entries) for group in board.groups)
    sections = [section(board, group, number if several else 0) for number, group in enumerate(board.groups, start=1)]
    context = {
        "title": board.title,
        "heading": board.title,
        "kicker": "Leaderboard",
        "byline": f"{fmt.plural(models, 'model')}, {fmt.plural(len(board.columns), 'task')}",
        "verdict": verdict(board.groups[0]) if board.groups else "This leaderboard has no models.",
        "notes": board.notes,
        "sections": sections,
        "legend": LEGEND,
    }
    return page.render("leaderboard.html.jinja", context, scripts=SCRIPTS)


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


def section(board: Board, group: Group, number: int) -> Section:
    """One group's plots and table; ``number`` is 0 where there is only one."""
    heading = f"Protocol {number} ({group.key})" if number else "Models"
    return Section(heading, group.differs[:10], tuple(group_figures(group, number)), group_table(board, group, number))


def group_table(board: Board, group: Group, number: int = 0) -> Table:
    """One line an entry, best first."""
    measured = [name for name in EFFICIENCY if any(entry.efficiency.get(name) is not None for entry in group.entries)]
    columns = [
        Column("Model", numeric=False),
        Column("Rank", hint="places that corrected paired tests leave possible; shared letters: not told apart"),
        Column("Macro"),
        Column("95 % interval"),
        Column("Above chance", hint="0 is guessing, 100 is perfect"),
        *(Column(task.title, hint=task.statistic, group="tasks") for task in board.columns),
        Column("Parameters", group="model"),
        Column("Type", numeric=False, group="model"),
        Column("Adapter", numeric=False, group="model"),
        *(Column(EFFICIENCY[name], group="efficiency") for name in measured),
        Column("Hardware", numeric=False, group="efficiency"),
    ]
    rows = [_row(entry, board.columns, measured) for entry in group.entries]
    name = f"board-{number}" if number else "board"
    return table(name, "Models, best first", columns, rows, align=(2, *range(4, 5 + len(board.columns))))


def _row(entry: Entry, tasks: Sequence[Task], measured: Sequence[str]) -> list[Cell]:
    macro = fmt.score(entry.macro, entry.macro_low, entry.macro_high)
    above = fmt.score(entry.macro_normalised, entry.macro_low, entry.macro_high)
    name = entry.model + (" (imported)" if entry.imported else "") + (" (control)" if entry.control else "")
    efficiency = [number_cell(value, fmt.significant(value)) for value in map(entry.efficiency.get, measured)]
    return [
        Cell(name, sort=name.casefold(), title=f"run {entry.run}"),
        _rank_cell(entry),
        number_cell(entry.macro, macro),
        Cell(fmt.interval(entry.macro_low, entry.macro_high), sort=entry.macro_low),
        number_cell(entry.macro_normalised, above),
        *(_score_cell(entry, task) for task in tasks),
        number_cell(entry.parameters, fmt.parameters(entry.parameters)),
        text_cell(entry.dtype),
        text_cell(entry.adapter),
        *efficiency,
        text_cell(entry.hardware),
    ]


def _rank_cell(entry: Entry) -> Cell:
    if entry.rank is None:
        return Cell(fmt.DASH, title=entry.unranked, tone="muted")
    best, worst = entry.rank
    place = str(best) if best == worst else f"{best} to {worst}"
    return Cell(f"{place} {entry.ties}".strip(), sort=best + worst / 1000)


def _score_cell(entry: Entry, task: Task) -> Cell:
    found = entry.cells.get(task.task)
    if found is None or found.value is None:
        return Cell(fmt.DASH, tone="muted", title="not run" if found is None else "no score")
    said = f"{fmt.interval(found.low, found.high, task.scale)}, n {fmt.count(found.n)}"
    if found.coverage is not None and found.coverage < 1:
        said += f", {fmt.share(found.coverage)} scored"
    text = fmt.score(found.value, found.low, found.high, task.scale)
    return Cell(text, sort=found.value, title=said)


def group_figures(group: Group, number: int) -> list[tuple[str, Markup]]:
    """The macro averages, and accuracy against each measured cost within one hardware."""
    suffix = f"-{number}" if number else ""
    drawn = []
    ranked = [entry for entry in group.entries if entry.macro is not None]
    if ranked:
        dots = [figures.Dot(entry.model, *_macro(entry)) for entry in ranked]
        caption = "Macro average with 95 % intervals."
        drawing = svg.responsive(
            lambda narrow: figures.dot_whisker(dots, axis="macro average, %", narrow=narrow),
            f"fig-macro{suffix}",
            "Macro averages",
            caption,
        )
        drawn.append((caption, drawing))
    for name in COSTS:
        for key in dict.fromkeys(entry.hardware_key for entry in ranked if entry.hardware_key):
            points = pareto_points([entry for entry in ranked if entry.hardware_key == key], name)
            if len(points) > 1:
                hardware = next(entry.hardware for entry in ranked if entry.hardware_key == key)
                drawn.append(_pareto(points, name, hardware, f"fig-{name}-{key[:6]}{suffix}"))
    return drawn


def _macro(entry: Entry) -> tuple[float | None, float | None, float | None]:
    """The macro average and its interval in percent."""
    low, high = fmt.shown(entry.macro_low, fmt.PERCENT_SCALE), fmt.shown(entry.macro_high, fmt.PERCENT_SCALE)
    return fmt.shown(entry.macro, fmt.PERCENT_SCALE), low, high


def pareto_points(entries: Sequence[Entry], name: str) -> list[figures.Point]:
    """Macro against one cost, for the entries that have both; marked where no other is better in both."""
    known = [(entry, value) for entry in entries if (value := entry.efficiency.get(name)) is not None]
    points = []
    for entry, x in known:
        beaten = any(
            (other.macro or 0.0) >= (entry.macro or 0.0) and y <= x and (other.macro, y) != (entry.macro, x)
            for other, y in known
        )
        level, low, high = _macro(entry)
        points.append(figures.Point(entry.model, x, level or 0.0, low, high, front=not beaten))
    return points


def _pareto(points: Sequence[figures.Point], name: str, hardware: str | None, ident: str) -> tuple[str, Markup]:
    label = EFFICIENCY[name]
    caption = f"Macro average against {label[0].lower()}{label[1:]}, on {hardware or 'the same hardware'}."
    caption += " Filled: no other model is better in both."
    drawing = svg.responsive(
        lambda narrow: figures.scatter(points, x_axis=label, y_axis="macro average, %", narrow=narrow),
        ident.replace("_", "-"),
        f"Macro average against {name.replace('_', ' ')}",
        caption,
    )
    return caption, drawing
