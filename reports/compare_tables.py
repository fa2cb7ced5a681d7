"""The tables of a comparison: differences, flips, categories, efficiency."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.compare import CategoryComparison, Comparison, Efficiency, TaskComparison
from reports import format as fmt
from reports.tables import Cell, Column, Table, count_cell, number_cell, table, text_cell

VERDICTS = {
    "better": ("▲ better", "good"),
    "worse": ("▼ worse", "bad"),
    "equivalent": ("= equivalent", ""),
    "undetected": ("no difference detected", "muted"),
    "undefined": ("undefined", "muted"),
}
QUANTITIES = {
    "latency_ms": "Latency of a request (median)",
    "requests_per_s": "Requests per second",
    "load_s": "Loading the model",
    "peak_host_mib": "Peak host memory",
    "peak_allocated_mib": "Peak device memory, allocated",
    "peak_reserved_mib": "Peak device memory, reserved",
    "energy_j": "Energy",
}
MOST_CATEGORIES = 60  # rows of the drill-down; the largest effects first
_INTERVAL_HINT = "95 % confidence interval of the paired difference"


def scale_of(task: TaskComparison) -> tuple[float | None, float | None]:
    """The scale as formatting reads it: differences of scores in [0, 1] are shown in points."""
    return (0.0, 1.0) if task.scale == (0.0, 1.0) else task.scale


def verdict_cell(verdict: str) -> Cell:
    """A verdict as a sign and words."""
    words, tone = VERDICTS[verdict]
    return Cell(words, sort=list(VERDICTS).index(verdict), tone=tone)


def difference_table(found: Comparison) -> Table:
    """One line a task: both scores, the paired difference, how sure it is, and what could have been seen."""
    columns = [
        Column("Task", numeric=False),
        Column("A"),
        Column("B"),
        Column("B − A", hint="paired difference; points for scores shown as percent"),
        Column("95 % interval", hint=_INTERVAL_HINT),
        Column("Verdict", numeric=False, hint="at 5 %, adjusted; better means better for the task"),
        Column("p", hint="two-sided, adjusted by Holm over all tasks compared together"),
        Column("Detectable", hint="smallest true difference found with 80 % probability"),
        Column("Agreement", hint="share of samples with the same extracted answer"),
        Column("n", hint="units that both runs have a score of"),
    ]
    footer = [_overall_row(found)] if found.overall else []
    note = (
        f"Equivalent means that both one-sided 95 % bounds lie within ±{found.margin * 100:g} points. "
        "The overall difference is the weighted mean of the tasks, each as a part of its scale with up as better."
    )
    rows = [_difference_row(task) for task in found.tasks]
    return table("differences", "Differences by task", columns, rows, align=(1, 2, 3), note=note, footer=footer)


def _difference_row(task: TaskComparison) -> list[Cell]:
    difference, scale = task.difference, scale_of(task)
    low, high = difference.low, difference.high

    def cell(value: float | None, signed: bool = False) -> Cell:
        return number_cell(fmt.shown(value, scale), fmt.score(value, low, high, scale, signed=signed))

    return [
        Cell(task.title, sort=task.title.casefold(), title=f"{task.task}: {task.statistic}"),
        cell(difference.a),
        cell(difference.b),
        cell(difference.value, signed=True),
        Cell(fmt.interval(low, high, scale, signed=True), sort=low),
        verdict_cell(task.verdict),
        number_cell(task.p_holm, fmt.p_value(task.p_holm)),
        number_cell(task.detectable, fmt.significant(fmt.shown(task.detectable, scale), 2)),
        number_cell(task.agreement, fmt.share(task.agreement)),
        count_cell(difference.n_units),
    ]


def _overall_row(found: Comparison) -> list[Cell]:
    macro = found.overall
    assert macro is not None
    low, high = macro.low, macro.high

    def cell(value: float | None, signed: bool = False) -> Cell:
        return number_cell(value, fmt.score(value, low, high, signed=signed))

    return [
        Cell("Overall"),
        cell(found.overall_a),
        cell(found.overall_b),
        cell(macro.value, signed=True),
        Cell(fmt.interval(low, high, signed=True)),
        verdict_cell(found.verdict),
        number_cell(macro.p, fmt.p_value(macro.p)),
        number_cell(found.overall_detectable, fmt.significant(fmt.shown(found.overall_detectable, (0.0, 1.0)), 2)),
        Cell(""),
        Cell(""),
    ]


def flips_table(found: Comparison) -> Table:
    """How many units got worse and better, the worse ones first."""
    rows = []
    for task in found.tasks:
        difference = task.difference
        up = difference.higher_is_better
        worse, better = (difference.n_fell, difference.n_rose) if up else (difference.n_rose, difference.n_fell)
        rows.append(
            [
                text_cell(task.title),
                count_cell(worse, tone="bad" if worse else "muted"),
                count_cell(better, tone="good" if better else "muted"),
                count_cell(difference.n_changed),
                count_cell(difference.n_units - difference.n_changed),
                number_cell(difference.discordance, fmt.share(difference.discordance)),
            ]
        )
    columns = [
        Column("Task", numeric=False),
        Column("▼ worse in B", hint="units whose score fell: for right and wrong answers, right → wrong"),
        Column("▲ better in B", hint="wrong → right"),
        Column("Changed"),
        Column("Unchanged"),
        Column("Discordance", hint="share of units whose score differs"),
    ]
    return table("flips", "Flips", columns, rows)


def category_table(found: Comparison) -> Table | None:
    """The drill-down over all tasks, the largest effects first; None where no task has categories."""
    cells = [(task, cell) for task in found.tasks for cell in task.categories if cell.difference.value is not None]
    if not cells:
        return None
    cells.sort(key=lambda pair: -abs(_gain(pair[1]) or 0.0))
    rows = [_category_row(task, cell) for task, cell in cells[:MOST_CATEGORIES]]
    columns = [
        Column("Task", numeric=False),
        Column("Category", numeric=False),
        Column("A"),
        Column("B"),
        Column("B − A"),
        Column("95 % interval", hint=_INTERVAL_HINT),
        Column("p", hint="adjusted by Benjamini and Hochberg over all categories: exploratory"),
        Column("n"),
    ]
    left_out = len(cells) - len(rows)
    note = "Exploratory: a category is a place to look, not a claim. Shades follow the size of the difference."
    note += f" {fmt.plural(left_out, 'smaller effect')} not shown." if left_out else ""
    return table("categories", "Differences by category", columns, rows, align=(2, 3, 4), note=note)


def _gain(cell: CategoryComparison) -> float | None:
    """The difference as a part of the scale, up is better."""
    difference = cell.difference
    if difference.value is None:
        return None
    return (difference.value if difference.higher_is_better else -difference.value) / (difference.span or 1.0)


def _category_row(task: TaskComparison, cell: CategoryComparison) -> list[Cell]:
    difference, scale = cell.difference, scale_of(task)
    low, high, gain = difference.low, difference.high, _gain(cell) or 0.0
    sign = "" if abs(gain) < 0.0005 else "▲ " if gain > 0 else "▼ "
    return [
        text_cell(task.title),
        text_cell(f"{cell.column}: {cell.value}"),
        number_cell(difference.a, fmt.score(difference.a, low, high, scale)),
        number_cell(difference.b, fmt.score(difference.b, low, high, scale)),
        number_cell(
            difference.value, sign + fmt.score(difference.value, low, high, scale, signed=True), tone=heat(gain)
        ),
        Cell(fmt.interval(low, high, scale, signed=True), sort=low),
        number_cell(cell.p_bh, fmt.p_value(cell.p_bh)),
        count_cell(difference.n_units),
    ]


def heat(gain: float) -> str:
    """The shade of a difference given as a part of the scale: three steps in either direction."""
    step = sum(abs(gain) >= edge for edge in (0.01, 0.05, 0.15))
    return f"{'up' if gain > 0 else 'down'}-{step}" if step else ""


def efficiency_table(found: Comparison) -> Table | None:
    """Ratios B / A of latency, rate, memory and energy; None where hardware differs or nothing was measured."""
    items: list[tuple[str, Efficiency]] = [(task.title, item) for task in found.tasks for item in task.efficiency]
    items += [("whole run", item) for item in found.efficiency]
    if not items:
        return None
    columns = [
        Column("Of", numeric=False),
        Column("Quantity", numeric=False),
        Column("A"),
        Column("B"),
        Column("B / A"),
        Column("95 % interval"),
        Column("In words", numeric=False),
    ]
    notes = [f"{note[0].upper()}{note[1:]}." for note in sorted({item.note for _, item in items if item.note})]
    return table(
        "efficiency",
        "Efficiency",
        columns,
        [_efficiency_row(of, item) for of, item in items],
        note=" ".join(notes).replace("`", ""),
    )


def _efficiency_row(of: str, item: Efficiency) -> list[Cell]:
    clear = item.low is not None and item.high is not None and not item.low <= 1 <= item.high
    better = (item.ratio < 1) == (item.better == "lower")
    words = "no clear change" if not clear else ("▲ better" if better else "▼ worse")
    return [
        text_cell(of),
        text_cell(QUANTITIES.get(item.name, item.name.replace("_", " "))),
        number_cell(item.a, f"{fmt.significant(item.a)}{fmt.NBSP}{item.unit}"),
        number_cell(item.b, f"{fmt.significant(item.b)}{fmt.NBSP}{item.unit}"),
        number_cell(item.ratio, fmt.number(item.ratio, 3)),
        Cell(
            fmt.DASH if item.low is None else f"{fmt.number(item.low, 3)} to {fmt.number(item.high, 3)}", sort=item.low
        ),
        Cell("single values" if item.low is None else words, tone="muted" if item.low is None or not clear else ""),
    ]


_CSV_HEADER = (
    *(
        "a",
        "b",
        "task",
        "statistic",
        "category",
        "value_of",
        "n",
        "score_a",
        "score_b",
        "difference",
        "low",
        "high",
        "se",
    ),
    *("p", "p_adjusted", "worse", "better", "agreement", "detectable", "verdict"),
)


def csv_rows(found: Sequence[Comparison]) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Header and rows of comparison.csv: every difference in full, tasks and categories."""
    rows: list[list[Any]] = []
    for pair in found:
        for task in pair.tasks:
            start = [pair.a, pair.b, task.task, task.statistic]
            end = [task.agreement, task.detectable, task.verdict]
            rows.append([*start, "", "", *_numbers(task.difference, task.p_holm), *end])
            rows += [
                [*start, cell.column, cell.value, *_numbers(cell.difference, cell.p_bh), None, None, ""]
                for cell in task.categories
            ]
    return _CSV_HEADER, rows


def _numbers(difference: Any, adjusted: float | None) -> list[Any]:
    names = ("n_units", "a", "b", "value", "low", "high", "se", "p")
    worse_better = ("n_fell", "n_rose") if difference.higher_is_better else ("n_rose", "n_fell")
    return [*(getattr(difference, name) for name in names), adjusted, *(getattr(difference, n) for n in worse_better)]
