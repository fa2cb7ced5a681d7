"""A run held against published values: ours, theirs, the difference, and what can be said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports import format as fmt
from reports.inputs import headline, published_headlines, statistic, title
from reports.tables import Cell, Column, Table, number_cell, table, text_cell

INSIDE = "within our interval"
NOTE = (
    "Difference is ours less the published value, with our own 95 % interval moved by it: a published value comes "
    "without one, so that its own sampling error is not in it. Where the protocol differs, so may the number."
)


def published_table(results: Mapping[str, Any], manifest: Mapping[str, Any]) -> Table | None:
    """One line a published value of a number that this run has too; None where there is none.

    Values of the run's own model come first within a task.
    """
    tasks = (manifest.get("identity") or {}).get("tasks") or {}
    model = str(results["model"].get("model") or "")
    rows = []
    for name, task in results["tasks"].items():
        preset = str(((tasks.get(name) or {}).get("task") or {}).get("preset") or "default")
        entries = sorted(task.get("published") or [], key=lambda entry: entry.get("model") != model)
        rows += [row for entry in entries if (row := _row(name, task, entry, preset)) is not None]
    if not rows:
        return None
    columns = [
        Column("Task", numeric=False),
        Column("Number", numeric=False),
        Column("Ours"),
        Column("95 % interval"),
        Column("Published"),
        Column("Model", numeric=False),
        Column("Difference", hint="ours less published"),
        Column("95 % interval", hint="of the difference; the published value is taken as exact"),
        Column("In words", numeric=False),
        Column("Protocol", numeric=False, hint="behind the published value, and whether this run used its preset"),
        Column("Source", numeric=False),
    ]
    return table("published", "Beside published values", columns, rows, note=NOTE, align=(2, 4, 6))


def _row(name: str, task: Mapping[str, Any], entry: Mapping[str, Any], preset: str) -> list[Cell] | None:
    number = entry.get("statistic") or task.get("headline")
    ours = statistic(task, str(number))
    theirs, scale = entry.get("value"), ours["scale"]
    if ours["value"] is None or theirs is None:
        return None
    low, high, gap = ours["low"], ours["high"], ours["value"] - theirs
    least, most = (None, None) if low is None else (low - theirs, high - theirs)
    source = ", ".join(str(entry[key]) for key in ("source", "date") if entry.get(key))
    return [
        Cell(title(name, task), sort=title(name, task).casefold(), href=f"#task-{name}", title=name),
        text_cell(str(number).replace("_", " ")),
        number_cell(fmt.shown(ours["value"], scale), fmt.score(ours["value"], low, high, scale)),
        Cell(fmt.interval(low, high, scale), sort=low),
        number_cell(fmt.shown(theirs, scale), fmt.score(theirs, scale=scale)),
        text_cell(str(entry.get("model") or "")),
        number_cell(fmt.shown(gap, scale), fmt.score(gap, least, most, scale, signed=True)),
        Cell(fmt.interval(least, most, scale, signed=True), sort=least),
        _words(least, most, ours["higher_is_better"]),
        text_cell(_protocol(entry, preset)),
        text_cell(source),
    ]


def _words(low: float | None, high: float | None, up: bool) -> Cell:
    if low is None or high is None:
        return Cell("no interval", tone="muted")
    if low <= 0 <= high:
        return Cell(INSIDE, sort=1)
    better = (low > 0) == up
    return Cell("▲ ours is better" if better else "▼ ours is worse", sort=2 if better else 0)


def _protocol(entry: Mapping[str, Any], preset: str) -> str:
    wanted = entry.get("preset")
    said = str(entry.get("protocol") or "")
    if wanted and wanted != preset:
        asked = f"its preset is {wanted}, this run used {preset}"
        return f"{said} ({asked})" if said else asked
    return said


def published_sentence(results: Mapping[str, Any]) -> str:
    """How many of the tasks with a published value of this model lie where; empty where there is none."""
    model = str(results["model"].get("model") or "")
    inside, better, worse = 0, 0, 0
    for task in results["tasks"].values():
        ours = headline(task)
        for entry in published_headlines(task):
            if entry.get("model") == model and ours["low"] is not None and entry.get("value") is not None:
                gaps = (ours["low"] - entry["value"], ours["high"] - entry["value"])
                inside += gaps[0] <= 0 <= gaps[1]
                better += (gaps[0] > 0) if ours["higher_is_better"] else (gaps[1] < 0)
                worse += (gaps[1] < 0) if ours["higher_is_better"] else (gaps[0] > 0)
    total = inside + better + worse
    if not total:
        return ""
    if inside == total:
        where = "its score agrees" if total == 1 else "all scores agree"
        return (
            f"Where a value of {model} is published ({fmt.plural(total, 'task')}), {where} with it within our interval."
        )
    parts = [(inside, "agree within our interval"), (better, "are better than that"), (worse, "are worse")]
    said = fmt.sentence_list([f"{fmt.count(count)} {words}" for count, words in parts if count])
    return f"Of {fmt.plural(total, 'task')} with a published value of {model}, {said}."
