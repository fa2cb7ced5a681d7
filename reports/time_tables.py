"""The tables of a run's time, memory and lengths of answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reports import distributions
from reports import format as fmt
from reports.inputs import title
from reports.tables import Cell, Column, Table, count_cell, number_cell, table, text_cell
from reports.task_facts import TaskFacts

STAGES = (
    ("image_ms", "Decode and resize"),
    ("vision_ms", "Vision"),
    ("prefill_ms", "Prefill"),
    ("decode_ms", "Decode"),
)


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
    """Rate, tokens, wall time and, where prices are known, cost by task; None where nothing was measured."""
    rows = []
    has_cost = any((task.get("efficiency") or {}).get("cost") is not None for task in results["tasks"].values())
    amounts = ("requests_per_s", "prompt_tokens", "new_tokens", *(["cost"] if has_cost else []))
    for name, task in results["tasks"].items():
        efficiency = task.get("efficiency") or {}
        values = [efficiency.get(key) for key in amounts]
        cells = [number_cell(value, fmt.significant(value)) for value in values]
        cells.append(number_cell(wall := efficiency.get("wall_s"), fmt.seconds(wall)))
        plan = task.get("plan") or {}
        cells += [count_cell(plan.get(key)) for key in ("encodings_saved", "prefills_saved")]
        rows.append([text_cell(title(name, task)), *cells])
    if all(cell.sort is None for row in rows for cell in row[1:]):
        return None
    columns = [
        Column("Task", numeric=False),
        Column("Requests/s", hint="over the task's wall time"),
        Column("Prompt tokens", hint="mean of a request, the picture's included"),
        Column("New tokens", hint="mean of a request"),
        *([Column("Cost", hint="of all answers, in the currency of the given prices")] if has_cost else []),
        Column("Wall time"),
        Column("Encodings saved", hint="requests on a picture that another request before them is on"),
        Column("Prefixes saved", hint="requests whose prompt begins as that of the request before"),
    ]
    return table("throughput", "Throughput and tokens", columns, rows, align=(1, 2, 3))


def latency_table(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> Table | None:
    """Percentiles of the time that a request waited, with distribution-free intervals; None where it is unknown."""
    rows = []
    for name, task in results["tasks"].items():
        values = facts[name].latencies_ms
        stored = (task.get("efficiency") or {}).get("latency_ms") or {}
        if not values:
            continue
        cells = [text_cell(title(name, task)), count_cell(len(values))]
        cells.append(number_cell(stored.get("mean"), fmt.significant(stored.get("mean"))))
        apart = len(set(values)) > len(values) / 2  # else most waited in batches together
        for percent in distributions.PERCENTILES:
            found = distributions.percentile(values, percent) if apart else None
            cells += percentile_cells(stored.get(f"p{percent}"), found)
        rows.append(cells)
    if not rows:
        return None
    columns = [Column("Task", numeric=False), Column("n"), Column("Mean"), *percentile_columns()]
    note = (
        "Time from handing a request's batch to the model to its answer. A percentile, or an end of its interval, for "
        "which there are too few requests is a dash; so is the interval where most requests shared a batch, "
        "because their times are not independent."
    )
    return table("latency", "Latency of a request, ms", columns, rows, note=note)


def percentile_cells(
    value: float | None,
    found: distributions.Percentile | None,
    show: Callable[[float | None], str] = fmt.significant,
) -> tuple[Cell, Cell]:
    """A percentile and its interval; dashes where the value, or what its interval rests on, is None."""
    unknown = Cell(fmt.DASH, tone="muted")
    if value is None or found is None:
        return unknown if value is None else number_cell(value, show(value)), unknown
    low, high = show(found.low), show(found.high)
    return number_cell(value, show(value)), Cell(f"{low} to {high}", sort=found.low)


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
        "auto_batch_size": ("Batch size by auto, requests", fmt.count),
        "auto_batch_tokens": ("Batch size by auto, tokens", fmt.count),
    }
    rows = [
        [text_cell(label), number_cell(efficiency[key], show(efficiency[key]))]
        for key, (label, show) in known.items()
        if key in efficiency
    ]
    if not rows:
        return None
    return table("resources", "The run as a whole", (Column("Measure", numeric=False), Column("Value")), rows)


def length_table(results: Mapping[str, Any], facts: Mapping[str, TaskFacts]) -> Table | None:
    """How long the answers are, with distribution-free intervals; None where no task has answers."""
    rows = []
    for name, task in results["tasks"].items():
        values = facts[name].lengths
        if not values:
            continue
        mean = sum(values) / len(values)
        cells = [text_cell(title(name, task)), text_cell(facts[name].length_unit), count_cell(len(values))]
        cells.append(number_cell(mean, fmt.significant(mean)))
        for percent in distributions.PERCENTILES:
            found = distributions.percentile(values, percent)
            known = found.low is not None or found.high is not None
            cells += percentile_cells(found.value if known else None, found, fmt.count)
        cells.append(number_cell(values[-1], fmt.count(values[-1])))
        rows.append(cells)
    if not rows:
        return None
    columns = [Column("Task", numeric=False), Column("In", numeric=False), Column("n"), Column("Mean")]
    columns += [*percentile_columns(), Column("Longest")]
    note = "A percentile, or an end of its interval, for which there are too few answers is a dash."
    return table("lengths", "Length of an answer", columns, rows, note=note)


def percentile_columns() -> list[Column]:
    """Heads of the columns that :func:`percentile_cells` fills, for each of the percentiles that reports show."""
    hint = "between order statistics, for any distribution"
    pairs = ((Column(f"p{percent}"), Column("95 % interval", hint=hint)) for percent in distributions.PERCENTILES)
    return [column for pair in pairs for column in pair]
