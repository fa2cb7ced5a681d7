"""The table of a leaderboard: rank, macro average, tasks by family, model, and efficiency by hardware."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from evals.leaderboard import Board, Entry, Group
from evals.leaderboard import Column as Task
from reports import format as fmt
from reports.leaderboard_plots import EFFICIENCY, macro_ends
from reports.tables import Cell, Column, Table, number_cell, table, text_cell

MODEL_GROUP, EFFICIENCY_GROUP = "model", "efficiency"


@dataclass(frozen=True, slots=True)
class Cost:
    """An efficiency column: a quantity on one hardware."""

    name: str
    key: str | None
    label: str


def group_table(board: Board, group: Group, number: int = 0) -> Table:
    """One line an entry, best first; ``number`` is 0 where the board has one group."""
    costs = cost_columns(group)
    columns = [
        Column("Model", numeric=False),
        Column("Rank", hint="places that corrected paired tests leave possible; shared letters: not told apart"),
        Column("Macro"),
        Column("95 % interval", hint="of the macro average; drawn from 0 to 100"),
        Column("Above chance", hint="0 is guessing, 100 is perfect"),
        *(Column(task.title, hint=task.statistic, group=task_group(task)) for task in board.columns),
        Column("Parameters", group=MODEL_GROUP),
        Column("Family", numeric=False, group=MODEL_GROUP, hint="as the model's identity names it, or its first word"),
        Column("Type", numeric=False, group=MODEL_GROUP),
        Column("Adapter", numeric=False, group=MODEL_GROUP),
        *(Column(cost.label, group=EFFICIENCY_GROUP) for cost in costs),
        Column("Hardware", numeric=False, group=EFFICIENCY_GROUP),
    ]
    rows = [_row(entry, board.columns, costs) for entry in group.entries]
    name = f"board-{number}" if number else "board"
    return table(name, "Models, best first", columns, rows, align=(2, *range(4, 5 + len(board.columns))))


def task_group(task: Task) -> str:
    """The group that a task's column hides with."""
    return f"{task.family.replace('_', ' ')} tasks" if task.family else "tasks"


def cost_columns(group: Group) -> list[Cost]:
    """The efficiency columns: one a quantity, or where entries ran on several machines, one a quantity and hardware."""
    keys: dict[str | None, str] = {
        entry.hardware_key: entry.hardware or "unknown hardware" for entry in group.entries if entry.hardware_key
    }
    found = []
    for name, label in EFFICIENCY.items():
        for key in keys or [None]:
            own = (entry.efficiency.get(name) for entry in group.entries if entry.hardware_key == key)
            if any(value is not None for value in own):
                named = f"{label}, {keys[key]} ({key[:6]})" if key and len(keys) > 1 else label
                found.append(Cost(name, key, named))
    return found


def family_of(entry: Entry) -> str:
    """A model's family: what its identity says, else the first word of its name."""
    said = entry.identity.get("family")
    return str(said) if said else re.split(r"[-_\s(/.]", entry.model.rpartition("/")[2], maxsplit=1)[0]


def _row(entry: Entry, tasks: Sequence[Task], costs: Sequence[Cost]) -> list[Cell]:
    macro = fmt.score(entry.macro, entry.macro_low, entry.macro_high)
    above = fmt.score(entry.macro_normalised, entry.macro_low, entry.macro_high)
    name = entry.model + (" (imported)" if entry.imported else "") + (" (control)" if entry.control else "")
    ends = macro_ends(entry)
    return [
        Cell(name, sort=name.casefold(), title=f"run {entry.run}"),
        _rank_cell(entry),
        number_cell(entry.macro, macro),
        Cell(fmt.interval(entry.macro_low, entry.macro_high), sort=entry.macro_low, plot=ends),
        number_cell(entry.macro_normalised, above),
        *(_score_cell(entry, task) for task in tasks),
        number_cell(entry.parameters, fmt.parameters(entry.parameters)),
        text_cell(family_of(entry)),
        text_cell(entry.dtype),
        text_cell(entry.adapter),
        *(_cost_cell(entry, cost) for cost in costs),
        text_cell(entry.hardware),
    ]


def _cost_cell(entry: Entry, cost: Cost) -> Cell:
    value = entry.efficiency.get(cost.name) if cost.key in (None, entry.hardware_key) else None
    return number_cell(value, fmt.significant(value))


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
