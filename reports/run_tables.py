"""The tables of a run: scores, categories, confusion, time, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evals.records import ScoredSample
from reports import distributions
from reports import format as fmt
from reports.inputs import headline, title
from reports.tables import Cell, Column, Table, count_cell, number_cell, table, text_cell

STAGES = (
    ("image_ms", "Decode and resize"),
    ("vision_ms", "Vision"),
    ("prefill_ms", "Prefill"),
    ("decode_ms", "Decode"),
)
_NOT_SAID = ("other", distributions.UNPARSED_LABEL)
_INTERVAL_HINT = "95 % confidence interval, clustered by the task's independent unit"


def score_cells(estimate: Mapping[str, Any]) -> tuple[Cell, Cell]:
    """A score and its interval, as two cells."""
    value, low, high, scale = (estimate[key] for key in ("value", "low", "high", "scale"))
    return (
        number_cell(fmt.shown(value, scale), fmt.score(value, low, high, scale)),
        Cell(fmt.interval(low, high, scale), sort=None if low is None else high - low),
    )


def summary(results: Mapping[str, Any]) -> Table:
    """One line a task: score, interval, counts, and where some task has them bounds, chance and a published value."""
    tasks: Mapping[str, Any] = results["tasks"]
    optional = {
        "bounds": any(_has_bounds(task) for task in tasks.values()),
        "chance": any(task.get("chance") is not None for task in tasks.values()),
        "published": any(task.get("published") for task in tasks.values()),
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
    rows = [_summary_row(name, task, shown) for name, task in tasks.items()]
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
    "published": Column("Published", hint="value and model, under the protocol that the task names"),
}


def _summary_row(name: str, task: Mapping[str, Any], shown: Sequence[str]) -> list[Cell]:
    estimate = headline(task)
    scale = estimate["scale"]
    chance = task.get("chance")
    optional = {
        "bounds": _bounds_cell(task, scale),
        "chance": number_cell(
            fmt.shown(chance, scale), fmt.number(fmt.shown(chance, scale), 0 if chance in (0, 0.5) else 1)
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
    published = task.get("published") or []
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
    ]
    rows = []
    for label, counts in zip(found.labels, found.counts, strict=True):
        cells = [
            count_cell(value, tone="good" if answer == label else "bad" if value else "muted")
            for answer, value in zip(found.answers, counts, strict=True)
        ]
        rows.append([text_cell(label), *cells, count_cell(sum(counts))])
    return table(f"{name}-confusion", "Right answers and given answers", columns, rows)


def stage_table(results: Mapping[str, Any]) -> Table | None:
    """Mean milliseconds a sample spent in each stage, by task; None where no stage was timed."""
    rows = []
    for name, task in results["tasks"].items():
        stages = (task.get("efficiency") or {}).get("stages_ms") or {}
        values = [stages.get(key) for key, _ in STAGES]
        known = [value for value in values if value is not None]
        total = sum(known) if known else None
        rows.append([text_cell(title(name, task)), *(number_cell(v, fmt.significant(v)) for v in (*values, total))])
    if all(row[-1].sort is None for row in rows):
        return None
    columns = [
        Column("Task", numeric=False),
        *(Column(label) for _, label in STAGES),
        Column("Sum", hint="of the stages that are known"),
    ]
    note = "In a batch, a stage's time is divided by the batch's rows; a result that was reused took no time."
    return table("stages", "Mean time of a sample in each stage, ms", columns, rows, align=(1, 2, 3, 4, 5), note=note)


def throughput_table(results: Mapping[str, Any]) -> Table | None:
    """Rate, tokens and wall time by task; None where nothing was measured."""
    rows = []
    for name, task in results["tasks"].items():
        efficiency = task.get("efficiency") or {}
        values = [efficiency.get(key) for key in ("requests_per_s", "prompt_tokens", "new_tokens")]
        cells = [number_cell(value, fmt.significant(value)) for value in values]
        rows.append(
            [text_cell(title(name, task)), *cells, number_cell(wall := efficiency.get("wall_s"), fmt.seconds(wall))]
        )
    if all(cell.sort is None for row in rows for cell in row[1:]):
        return None
    columns = [
        Column("Task", numeric=False),
        Column("Requests/s", hint="over the task's wall time"),
        Column("Prompt tokens", hint="mean of a request, the picture's included"),
        Column("New tokens", hint="mean of a request"),
        Column("Wall time"),
    ]
    return table("throughput", "Throughput and tokens", columns, rows, align=(1, 2, 3))


def latency_table(results: Mapping[str, Any], rows_of: Mapping[str, Sequence[ScoredSample]]) -> Table | None:
    """Percentiles of the time that a request waited, with distribution-free intervals; None where it is unknown."""
    rows = []
    for name, task in results["tasks"].items():
        values = sorted(distributions.latencies(rows_of[name]))
        stored = (task.get("efficiency") or {}).get("latency_ms") or {}
        if not values:
            continue
        cells = [text_cell(title(name, task)), count_cell(len(values))]
        cells.append(number_cell(stored.get("mean"), fmt.significant(stored.get("mean"))))
        apart = len(set(values)) > len(values) / 2  # else most waited in batches together
        for percent in distributions.PERCENTILES:
            found = distributions.percentile(values, percent) if apart else None
            cells += _percentile_cells(stored.get(f"p{percent}"), found)
        rows.append(cells)
    if not rows:
        return None
    columns = [Column("Task", numeric=False), Column("n"), Column("Mean")]
    for percent in distributions.PERCENTILES:
        columns += [
            Column(f"p{percent}"),
            Column("95 % interval", hint="between order statistics, for any distribution"),
        ]
    note = (
        "Time from handing a request's batch to the model to its answer. A percentile, or an end of its interval, for "
        "which there are too few requests is a dash; so is the interval where most requests shared a batch, "
        "because their times are not independent."
    )
    return table("latency", "Latency of a request, ms", columns, rows, note=note)


def _percentile_cells(value: float | None, found: distributions.Percentile | None) -> tuple[Cell, Cell]:
    unknown = Cell(fmt.DASH, tone="muted")
    if value is None or found is None:
        return unknown if value is None else number_cell(value, fmt.significant(value)), unknown
    low, high = fmt.significant(found.low), fmt.significant(found.high)
    return number_cell(value, fmt.significant(value)), Cell(f"{low} to {high}", sort=found.low)


def resource_table(results: Mapping[str, Any]) -> Table | None:
    """Load time, peak memory and energy of the whole run; what was not measured is not listed."""
    efficiency = results.get("efficiency") or {}
    known = {
        "load_s": ("Loading the model", fmt.seconds),
        "peak_host_mib": ("Peak host memory", fmt.mib),
        "weights_mib": ("Weights on the device", fmt.mib),
        "peak_allocated_mib": ("Peak device memory, allocated", fmt.mib),
        "peak_reserved_mib": ("Peak device memory, reserved", fmt.mib),
        "energy_j": ("Energy, J", fmt.significant),
    }
    rows = [
        [text_cell(label), number_cell(efficiency[key], show(efficiency[key]))]
        for key, (label, show) in known.items()
        if key in efficiency
    ]
    if not rows:
        return None
    return table("resources", "The run as a whole", (Column("Measure", numeric=False), Column("Value")), rows)
