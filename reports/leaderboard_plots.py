"""The plots of a leaderboard: macro averages, and accuracy against each cost within one hardware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import median

from evals.leaderboard import Entry, Group
from evals.store import Run
from reports import distributions, figures
from reports import format as fmt
from reports.plots import Plot
from reports.task_facts import all_facts

EFFICIENCY = {
    "requests_per_s": "Requests/s",
    "latency_p50_ms": "Median latency, ms",
    "peak_allocated_mib": "Peak device memory, MiB",
    "peak_host_mib": "Peak host memory, MiB",
    "energy_j": "Energy, J",
    "ttft_ms": "Time to first token, ms",
    "tpot_ms": "Time per token, ms",
    "e2e_ms": "End to end, ms",
    "profiled_tokens_per_s": "Output tokens/s",
    "energy_j_per_request": "Energy a request, J",
}
COSTS = ("latency_p50_ms", "peak_allocated_mib", "peak_host_mib", "energy_j")  # accuracy is drawn against these
Intervals = Mapping[str, tuple[float, float]]


def group_plots(group: Group, number: int, latencies: Intervals) -> list[Plot]:
    """The figures of one group; ``number`` is 0 where there is only one, ``latencies`` as :func:`latency_intervals`."""
    suffix = f"-{number}" if number else ""
    plots = []
    ranked = [entry for entry in group.entries if entry.macro is not None]
    if ranked:
        dots = [figures.Dot(entry.model, *macro_ends(entry)) for entry in ranked]
        text = "Macro average with 95 % intervals."
        plots.append(
            Plot(
                f"macro{suffix}",
                "Macro averages",
                f"{text} The same numbers are in the table of models.",
                partial(figures.dot_whisker, dots, axis="macro average, %"),
                text,
            )
        )
    for name in COSTS:
        for key in dict.fromkeys(entry.hardware_key for entry in ranked if entry.hardware_key):
            points = pareto_points([entry for entry in ranked if entry.hardware_key == key], name, latencies)
            if len(points) > 1:
                hardware = next(entry.hardware for entry in ranked if entry.hardware_key == key)
                plots.append(_pareto(points, name, hardware, f"{name}-{key[:6]}{suffix}"))
    return plots


def macro_ends(entry: Entry) -> tuple[float | None, float | None, float | None]:
    """The macro average and its interval in percent."""
    low, high = fmt.shown(entry.macro_low, fmt.PERCENT_SCALE), fmt.shown(entry.macro_high, fmt.PERCENT_SCALE)
    return fmt.shown(entry.macro, fmt.PERCENT_SCALE), low, high


def pareto_points(entries: Sequence[Entry], name: str, latencies: Intervals) -> list[figures.Point]:
    """Macro against one cost, for the entries that have both; marked where no other is better in both."""
    known = [(entry, value) for entry in entries if (value := entry.efficiency.get(name)) is not None]
    points = []
    for entry, x in known:
        beaten = any(
            (other.macro or 0.0) >= (entry.macro or 0.0) and y <= x and (other.macro, y) != (entry.macro, x)
            for other, y in known
        )
        level, low, high = macro_ends(entry)
        left, right = latencies.get(entry.run, (None, None)) if name == "latency_p50_ms" else (None, None)
        points.append(figures.Point(entry.model, x, level or 0.0, low, high, not beaten, left, right))
    return points


def latency_intervals(runs: Sequence[Run]) -> dict[str, tuple[float, float]]:
    """The median over tasks of both ends of each task's 95 % interval of its median latency, by run id.

    Runs most of whose requests waited in batches together are left out: their times are not independent.
    """
    found = {}
    for run in runs:
        ends = []
        for facts in all_facts(run).values():
            values = facts.latencies_ms
            if values and len(set(values)) > len(values) / 2:
                each = distributions.percentile(values, 50)
                if each.low is not None and each.high is not None:
                    ends.append((each.low, each.high))
        if ends:
            found[run.manifest["run_id"]] = (median(low for low, _ in ends), median(high for _, high in ends))
    return found


def _pareto(points: Sequence[figures.Point], name: str, hardware: str | None, ident: str) -> Plot:
    label = EFFICIENCY[name]
    caption = f"Macro average against {label[0].lower()}{label[1:]}, on {hardware or 'the same hardware'}, with 95 % "
    caption += "intervals. Filled and joined: no other model is better in both."
    if name == "latency_p50_ms" and any(point.left is not None for point in points):
        caption += " Across: the median of the tasks' own intervals."
    return Plot(
        ident.replace("_", "-"),
        f"Macro average against {name.replace('_', ' ')}",
        f"{caption} The same numbers are in the table of models.",
        partial(figures.scatter, points, x_axis=label, y_axis="macro average, %"),
        caption,
    )
