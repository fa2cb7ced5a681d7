"""A profile for people: profile.md beside profile.json, with its figures as SVG files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.files import write_bytes
from evals.perf.stored import Profile
from reports import figures
from reports import format as fmt
from reports.markdown import escape
from reports.page import write
from reports.roofline import Reached, Roof, roofline
from reports.tables import Cell, Column, Table, number_cell, table, text_cell, to_markdown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WAITING = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
RATES = ("samples_per_s", "requests_per_s", "tokens_per_s", "images_per_s")
STAGES = ("image_decode_ms", "resize_ms", "h2d_ms", "vision_ms", "resampler_ms", "prefill_ms", "decode_ms")
# Six colours for seven stages: tower and resampler are one part of a bar; the table has both.
BAR_PARTS = (
    ("image decoding", ("image_decode_ms",)),
    ("resizing", ("resize_ms",)),
    ("to device", ("h2d_ms",)),
    ("vision", ("vision_ms", "resampler_ms")),
    ("prefill", ("prefill_ms",)),
    ("decoding", ("decode_ms",)),
)
_SHOWN_ELSEWHERE = {*WAITING, *RATES, *STAGES}


def build_profile_report(profile: Profile) -> Path:
    """Write profile.md and its figures into the profile's folder; returns the Markdown's path."""
    folder = profile.path.parent
    names = []
    for name, title, figure in profile_figures(profile.document):
        write_bytes(folder / f"{name}.svg", figures.export(figure), durable=False)
        names.append((name, title))
    return write(folder / "profile.md", markdown(profile, names))


def markdown(profile: Profile, figure_names: Sequence[tuple[str, str]] = ()) -> str:
    """The whole report."""
    document = profile.document
    procedure = document["procedure"]
    hardware = document["environment"]["before"]["hardware"]
    where = hardware.get("device_name") or hardware.get("cpu")
    lines = [f"# Profile of {escape(str(document['model'].get('model')))}", ""]
    lines.append(
        f"{escape(str(where))} · {escape(str(document['model'].get('dtype')))} · {document['created']} · "
        f"{fmt.plural(procedure['repeats'], 'process', 'processes')}, passes of at least {procedure['least_s']:g} s "
        f"and {procedure['least_requests']} requests · hardware {document['hardware_key']}"
    )
    lines += ["", f"`{document['command'].replace('`', '')}`", ""]
    lines += _conditions(document)
    for one in tables(document):
        lines += [to_markdown(one), ""]
    for name, title in figure_names:
        lines += [f"![{title}]({name}.svg)", ""]
    lines += _unknown(document)
    return "\n".join(lines)


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """Waiting, rates, stages, the rest; a table without a single number is left out."""
    units = document["metrics"]
    cases = [case for case in document["cases"] if not case["skipped"]]
    once = [Column("Quantity", numeric=False), Column("Value"), Column("95 % interval")]
    rows = [
        [text_cell(f"{units[tag]['title']}, {units[tag]['unit']}"), *_value(summary)]
        for tag, summary in document["process"].items()
        if summary["value"] is not None
    ]
    yield table("once", "Once a process", once, rows)
    rest = [tag for tag in units if tag not in _SHOWN_ELSEWHERE and units[tag]["scope"] == "case"]
    for name, caption, tags in (
        ("waiting", "Waiting, ms: median a process, mean over processes", WAITING),
        ("rates", "Going through, 1/s", RATES),
        ("stages", "Stages, ms a request, from the instrumented pass", STAGES),
        ("rest", "Memory, energy and limits", rest),
    ):
        known = [tag for tag in tags if any(case["metrics"][tag]["value"] is not None for case in cases)]
        if known:
            columns = [Column("Case", numeric=False), *(Column(_label(units[tag], name)) for tag in known)]
            rows = [[text_cell(case["name"]), *(_brief(case["metrics"][tag]) for tag in known)] for case in cases]
            yield table(name, caption, columns, rows)
    if tail := _tail_rows(cases):
        columns = [Column("Case", numeric=False), *(Column(name) for name in ("p50", "p90", "p95", "p99")), Column("n")]
        yield table("tail", "End to end, ms: percentiles over requests, where there are enough", columns, tail)


def profile_figures(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Figure]]:
    """File name, title and figure of each plot that has something to show."""
    cases = [case for case in document["cases"] if not case["skipped"]]
    by_scenario: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        by_scenario.setdefault(case["scenario"], []).append(case)
    sweeps = {name: found for name, found in by_scenario.items() if len(found) > 1}
    if lines := [_curve(name, found, _batch, "e2e_ms") for name, found in sweeps.items()]:
        yield "latency_batch", "Latency against batch", figures.curves(lines, x_axis="batch", y_axis="end to end, ms")
    if lines := [_curve(name, found, _latency, "samples_per_s") for name, found in sweeps.items()]:
        drawn = figures.curves(lines, x_axis="end to end, ms", y_axis="samples/s")
        yield "throughput_latency", "Throughput against latency", drawn
    if bars := [_bar(case) for case in cases if any(_number(case, tag) for tag in STAGES)]:
        drawn = figures.stacked_bars(bars, [name for name, _ in BAR_PARTS], axis="ms a request, instrumented pass")
        yield "stages", "Time by stage", drawn
    points = [
        Reached(case["name"], point["stage"], point["intensity"], point["tflops"])
        for case in cases
        for point in case["roofline"]
    ]
    if points:
        peaks = document["peaks"]
        roof = Roof(peaks["card"], peaks["tflops"], peaks["bandwidth_gb_s"]) if peaks and peaks["tflops"] else None
        yield "roofline", "Roofline with measured points", roofline(points, roof)


def _batch(case: Mapping[str, Any]) -> float:
    return float(case["batch"])


def _latency(case: Mapping[str, Any]) -> float:
    return float(_number(case, "e2e_ms") or 0.0)


def _curve(name: str, cases: Sequence[Mapping[str, Any]], x: Any, tag: str) -> figures.Curve:
    known = sorted((x(case), value) for case in cases if (value := _number(case, tag)) is not None)
    return figures.Curve(name, tuple(a for a, _ in known), tuple(b for _, b in known))


def _bar(case: Mapping[str, Any]) -> figures.Bar:
    parts = []
    for _, tags in BAR_PARTS:
        known = [value for tag in tags if (value := _number(case, tag)) is not None]
        parts.append(sum(known) if known else None)
    return figures.Bar(case["name"], tuple(parts))


def _number(case: Mapping[str, Any], tag: str) -> float | None:
    value: float | None = case["metrics"][tag]["value"]
    return value


def _conditions(document: Mapping[str, Any]) -> list[str]:
    """Flags, cases that were not measured, and notes."""
    lines = [f"- **{flag['severity']}**: {escape(flag['detail'])}" for flag in document["flags"]]
    for case in document["cases"]:
        if case["skipped"]:
            lines.append(f"- {escape(case['name'])} was not measured: {escape(case['skipped'])}")
        lines += [f"- {escape(case['name'])}: {escape(note)}" for note in case["notes"]]
    return [*lines, ""] if lines else []


def _unknown(document: Mapping[str, Any]) -> list[str]:
    """What has no value anywhere, with the reason, once each."""
    cases = [case for case in document["cases"] if not case["skipped"]]
    found: dict[str, list[str]] = {}
    for tag, about in document["metrics"].items():
        if about["scope"] == "process":
            summaries = [document["process"][tag]]
        else:
            summaries = [case["metrics"][tag] for case in cases]
        if summaries and all(summary["value"] is None for summary in summaries):
            found.setdefault(summaries[0]["reason"], []).append(about["title"].lower())
    if not found:
        return []
    return ["## Not known here", "", *(f"- {escape(', '.join(t))}: {escape(r)}" for r, t in found.items()), ""]


def _label(about: Mapping[str, Any], group: str) -> str:
    return f"{about['title']}, {about['unit']}" if group == "rest" else str(about["title"])


def _brief(summary: Mapping[str, Any]) -> Cell:
    """A value and the half width of its interval."""
    value, low, high = summary["value"], summary["low"], summary["high"]
    if value is None:
        return Cell(fmt.DASH)
    text = fmt.significant(value)
    if low is not None and high is not None and high > low:
        text = f"{text} ± {fmt.significant((high - low) / 2, 2)}"
    return Cell(text, sort=value)


def _value(summary: Mapping[str, Any]) -> list[Cell]:
    low, high = summary["low"], summary["high"]
    between = fmt.DASH if low is None or high is None else f"{fmt.significant(low)} to {fmt.significant(high)}"
    return [number_cell(summary["value"], fmt.significant(summary["value"])), Cell(between)]


def _tail_rows(cases: Sequence[Mapping[str, Any]]) -> list[list[Cell]]:
    rows = []
    for case in cases:
        summary = case["metrics"]["e2e_ms"]
        if summary["percentiles"]:
            values = [q["value"] for q in summary["percentiles"].values()]
            cells = [number_cell(value, fmt.significant(value)) for value in values]
            rows.append([text_cell(case["name"]), *cells, number_cell(summary["n"], fmt.count(summary["n"]))])
    return rows
