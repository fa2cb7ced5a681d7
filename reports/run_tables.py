"""The tables of a run's scores: tasks, statistics, categories, confusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports import distributions
from reports import format as fmt
from reports.inputs import headline, published_headlines, title
from reports.levels import Levels, levels
from reports.tables import Cell, Column, Table, count_cell, number_cell, table, text_cell
from reports.task_facts import TaskFacts

_NOT_SAID = ("other", distributions.UNPARSED_LABEL)
_INTERVAL_HINT = "95 % confidence interval, clustered by the task's independent unit"


def score_cells(estimate: Mapping[str, Any]) -> tuple[Cell, Cell]:
    """A score and its interval, as two cells."""
    value, low, high, scale = (estimate[key] for key in ("value", "low", "high", "scale"))
    return (
        number_cell(fmt.shown(value, scale), fmt.score(value, low, high, scale)),
        Cell(fmt.interval(low, high, scale), sort=None if low is None else high - low),
    )


def summary(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> Table:
    """One line a task: score, interval, counts, and where some task has them bounds, floors and a published value."""
    tasks: Mapping[str, Any] = results["tasks"]
    optional = {
        "bounds": any(_has_bounds(task) for task in tasks.values()),
        "chance": any(task.get("chance") is not None for task in tasks.values()),
        "majority": any(_levels(name, tasks, facts).majority is not None for name in tasks),
        "published": any(published_headlines(task) for task in tasks.values()),
    }
    shown = [name for name, wanted in optional.items() if wanted]
    columns = [
        Column("Task", numeric=False),
        Column("Score"),
        Column("95 % interval", hint=_INTERVAL_HINT),
        Column("Measure", numeric=False, hint="the number that stands for the task"),
        Column("n", hint="samples asked"),
        Column("Coverage", hint="share of the samples that have a score"),
        Column("Unparsed", hint="answers from which no answer could be read; they count as wrong"),
        Column("Errors", hint="requests that failed; they have no score"),
        *(_OPTIONAL_COLUMNS[name] for name in shown),
    ]
    note = "Scores on a scale from 0 to 1 are shown as percent, with the digits that their interval leaves meaningful."
    rows = [_summary_row(name, task, shown, _levels(name, tasks, facts)) for name, task in tasks.items()]
    footer = []
    macro = results.get("macro")
    if macro and len(rows) > 1:
        cells = [Cell("Macro average"), *score_cells(_PERCENT | macro), Cell("weighted mean of the tasks")]
        footer.append(cells + [Cell("")] * (len(columns) - len(cells)))
    return table("scores", "Scores by task", columns, rows, align=(1,), note=note, footer=footer)


_PERCENT = {"scale": fmt.PERCENT_SCALE}


_OPTIONAL_COLUMNS = {
    "bounds": Column("Bounds", hint="the score if all failed and unparsed samples were wrong, and if all were right"),
    "chance": Column("Chance", hint="the score of guessing"),
    "majority": Column("Majority", hint="the score of always giving the most frequent right answer"),
    "published": Column("Published", hint="value and model, under the protocol that the task names"),
}


def _levels(name: str, tasks: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> Levels:
    return levels(tasks[name], facts[name].confusion)


def _summary_row(name: str, task: Mapping[str, Any], shown: Sequence[str], held: Levels) -> list[Cell]:
    estimate = headline(task)
    scale = estimate["scale"]
    chance = task.get("chance")
    optional = {
        "bounds": _bounds_cell(task, scale),
        "chance": number_cell(
            fmt.shown(chance, scale), fmt.number(fmt.shown(chance, scale), 0 if chance in (0, 0.5) else 1)
        ),
        "majority": number_cell(
            fmt.shown(held.majority, scale), fmt.number(fmt.shown(held.majority, scale), 0 if held.majority == 1 else 1)
        ),
        "published": _published_cell(task, scale),
    }
    return [
        Cell(title(name, task), sort=title(name, task).casefold(), href=f"#task-{name}", title=name),
        *score_cells(estimate),
        text_cell(str(task.get("headline") or "").replace("_", " ")),
        count_cell(task.get("n")),
        number_cell(task.get("coverage"), fmt.share(task.get("coverage"))),
        count_cell(task.get("parse_failures"), quiet_zero=True),
        count_cell(errors := task.get("n_errors"), tone="bad" if errors else "muted"),
        *(optional[column] for column in shown),
    ]


def _has_bounds(task: Mapping[str, Any]) -> bool:
    return bool(task.get("bounds")) and bool(task.get("parse_failures") or task.get("n_errors"))


def _bounds_cell(task: Mapping[str, Any], scale: Sequence[float]) -> Cell:
    if not _has_bounds(task):
        return Cell(fmt.DASH, tone="muted")
    wrong, right = task["bounds"].get("all_wrong"), task["bounds"].get("all_right")
    return Cell(f"{fmt.score(wrong, scale=scale)} to {fmt.score(right, scale=scale)}", sort=wrong)


def _published_cell(task: Mapping[str, Any], scale: Sequence[float]) -> Cell:
    published = published_headlines(task)
    if not published:
        return Cell(fmt.DASH, tone="muted")
    value = published[0].get("value")
    named = "; ".join(f"{entry.get('model')}: {entry.get('value')} ({entry.get('source')})" for entry in published)
    return Cell(f"{fmt.score(value, scale=scale)} ({published[0].get('model')})", sort=value, title=named)


def statistics_table(name: str, task: Mapping[str, Any]) -> Table:
    """Every number of one task with its interval, how that was made, and on how many units."""
    rows = []
    for statistic, estimate in task.get("statistics", {}).items():
        few = " (few clusters)" if estimate.get("few_clusters") else ""
        rows.append(
            [
                text_cell(statistic),
                *score_cells(estimate),
                count_cell(estimate.get("n_units")),
                count_cell(estimate.get("n_clusters")),
                text_cell(str(estimate.get("method", "")).replace("_", " ") + few),
            ]
        )
    columns = [
        Column("Number", numeric=False),
        Column("Value"),
        Column("95 % interval", hint=_INTERVAL_HINT),
        Column("Units", hint="what is averaged: a question, or a group of its rotations"),
        Column("Clusters", hint="independent units, such as images, behind the error"),
        Column("Method", numeric=False, hint="how the interval was made"),
    ]
    return table(f"{name}-statistics", "All numbers", columns, rows, align=(1,))


def category_tables(name: str, task: Mapping[str, Any]) -> list[Table]:
    """One table for each grouping column."""
    scale = headline(task)["scale"]
    columns = (
        Column("Value", numeric=False),
        Column("n"),
        Column("Score"),
        Column("95 % interval", hint=_INTERVAL_HINT),
    )
    tables = []
    for column, values in task.get("categories", {}).items():
        rows = [
            [
                text_cell(str(value)),
                count_cell(part.get("n")),
                *score_cells({"scale": scale, "low": None, "high": None} | part),
            ]
            for value, part in values.items()
        ]
        tables.append(table(f"{name}-by-{column}", f"By {column}", columns, rows, align=(2,)))
    return tables


def confusion_table(name: str, found: distributions.Confusion) -> Table:
    """Right answers down, given answers across; the diagonal is right."""
    columns = [
        Column("Right answer", numeric=False),
        *(Column(answer if answer in _NOT_SAID else f"said {answer}") for answer in found.answers),
        Column("n"),
        Column("Right", hint="share of these that were answered rightly"),
    ]
    rows = []
    for label, counts in zip(found.labels, found.counts, strict=True):
        cells = [
            count_cell(value, tone="good" if answer == label else "bad" if value else "muted")
            for answer, value in zip(found.answers, counts, strict=True)
        ]
        total, right = sum(counts), counts[found.answers.index(label)]
        share = right / total if total else None
        rows.append([text_cell(label), *cells, count_cell(total), number_cell(share, fmt.share(share))])
    note = _yes_no_note(found)
    return table(f"{name}-confusion", "Right answers and given answers", columns, rows, note=note)


def _yes_no_note(found: distributions.Confusion) -> str:
    """Whether a model leans to yes or to no; empty for tasks of other answers."""
    labels = {label.casefold(): number for number, label in enumerate(found.labels)}
    if set(labels) != {"yes", "no"}:
        return ""
    total = sum(map(sum, found.counts))
    yes = labels["yes"]
    said, wanted = sum(row[yes] for row in found.counts), sum(found.counts[yes])
    return f"Said yes to {fmt.share(said / total)} of the questions; yes is right for {fmt.share(wanted / total)}."
