"""The tables of a profile, and what it says in words: main numbers, conditions, and what is not known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reports import format as fmt
from reports.tables import Cell, Column, Table, number_cell, table, text_cell

WAITING = ("ttft_ms", "tpot_ms", "itl_ms", "e2e_ms")
RATES = ("samples_per_s", "requests_per_s", "tokens_per_s", "images_per_s")
STAGES = ("image_decode_ms", "resize_ms", "h2d_ms", "vision_ms", "resampler_ms", "prefill_ms", "decode_ms")
MEMORY = ("peak_allocated_mib", "peak_reserved_mib", "process_mib", "device_mib", "peak_host_mib")
CARD = (
    "energy_j_per_request",
    "energy_j_per_token",
    "mean_power_w",
    "sm_clock_mhz",
    "memory_clock_mhz",
    "temperature_c",
    "throttled",
)
_GROUPS = (
    ("waiting", "Waiting, ms: median a process, mean over processes", WAITING),
    ("rates", "Going through, 1/s", RATES),
    ("stages", "Stages, ms a request, from the instrumented pass", STAGES),
    ("memory", "Memory, MiB of 2^20 bytes", MEMORY),
    ("card", "Energy, and the card meanwhile", CARD),
)
_ONE_UNIT = ("waiting", "rates", "stages", "memory")  # the caption says it


def measured(document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The cases that have numbers."""
    return [case for case in document["cases"] if not case["skipped"]]


def sentence(document: Mapping[str, Any]) -> str:
    """The main numbers: how long one waits at batch 1, and how much goes through at best."""
    invalid = [flag["detail"] for flag in document["flags"] if flag["severity"] == "invalid"]
    if invalid:
        return f"This is no valid measurement: {'; '.join(invalid)}. Its numbers are not judged."
    cases = measured(document)
    if not cases:
        return "Nothing was measured; the reasons stand below."
    words = []
    single = [case for case in cases if case["batch"] == 1 and _value(case, "e2e_ms") is not None]
    if single:
        case = max(single, key=lambda case: case["new_tokens"])
        first, whole = _value(case, "ttft_ms"), _value(case, "e2e_ms")
        heard = f", {fmt.significant(first)} ms to its first token" if first is not None else ""
        words.append(f"at batch 1 {case['scenario']} takes {fmt.significant(whole)} ms from request to answer{heard}")
    rated = [case for case in cases if _value(case, "samples_per_s") is not None]
    if rated:
        case = max(rated, key=lambda case: _value(case, "samples_per_s") or 0.0)
        words.append(f"at most {fmt.significant(_value(case, 'samples_per_s'))} samples/s go through ({case['name']})")
    text = "; ".join(words) or "No time was measured"
    return f"{text[0].upper()}{text[1:]}."


def conditions(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(kind, text) of flags, of cases that were not measured, and of notes, the gravest first."""
    found = [(str(flag["severity"]), str(flag["detail"])) for flag in document["flags"]]
    for case in document["cases"]:
        if case["skipped"]:
            found.append(("", f"{case['name']} was not measured: {case['skipped']}"))
        found += [("", f"{case['name']}: {note}") for note in case["notes"]]
    return found


def unknown(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(quantities, reason) of what has no value anywhere, once a reason."""
    cases = measured(document)
    found: dict[str, list[str]] = {}
    for tag, about in document["metrics"].items():
        if about["scope"] == "process":
            summaries = [document["process"][tag]]
        else:
            summaries = [case["metrics"][tag] for case in cases]
        if summaries and all(summary["value"] is None for summary in summaries):
            found.setdefault(summaries[0]["reason"], []).append(_lower(about["title"]))
    return [(", ".join(titles), reason) for reason, titles in found.items()]


def tables(document: Mapping[str, Any]) -> Iterator[Table]:
    """Once a process, waiting, rates, stages, memory, card, the rest; a table without a single number is left out."""
    units, cases = document["metrics"], measured(document)
    once = [Column("Quantity", numeric=False), Column("Value"), Column("95 % interval")]
    rows = [
        [text_cell(f"{units[tag]['title']}, {units[tag]['unit']}"), *_full(summary)]
        for tag, summary in document["process"].items()
        if summary["value"] is not None
    ]
    yield table("once", "Once a process", once, rows)
    placed = {tag for _, _, tags in _GROUPS for tag in tags}
    rest = tuple(tag for tag in units if tag not in placed and units[tag]["scope"] == "case")
    for name, caption, tags in (*_GROUPS, ("limits", "Utilisation, and what measuring costs", rest)):
        known = [tag for tag in tags if any(_value(case, tag) is not None for case in cases)]
        if known:
            heads = [Column(_label(units[tag], name), hint=units[tag]["formula"]) for tag in known]
            rows = [[text_cell(case["name"]), *(_brief(case["metrics"][tag]) for tag in known)] for case in cases]
            yield table(name, caption, [Column("Case", numeric=False), *heads], rows)
    if tail := _tail_rows(cases):
        columns = [Column("Case", numeric=False), *(Column(name) for name in ("p50", "p90", "p95", "p99")), Column("n")]
        yield table("tail", "End to end, ms: percentiles over requests, where there are enough", columns, tail)
    if cases:
        yield _asked(cases)


def _asked(cases: Sequence[Mapping[str, Any]]) -> Table:
    """What each case was, as measured."""
    labels = ("Batch", "Beams", "Prompt tokens", "New tokens", "Requests", "Seconds")
    columns = [Column("Case", numeric=False), Column("Protocol", numeric=False), *map(Column, labels)]
    rows = [
        [
            text_cell(case["name"]),
            text_cell(case["protocol"]),
            number_cell(case["batch"], fmt.count(case["batch"])),
            number_cell(case["num_beams"], fmt.count(case["num_beams"])),
            *(
                number_cell(case["measured"][key], fmt.significant(case["measured"][key]))
                for key in ("prompt_tokens", "new_tokens")
            ),
            number_cell(case["measured"]["requests"], fmt.count(case["measured"]["requests"])),
            number_cell(case["measured"]["seconds"], fmt.significant(case["measured"]["seconds"])),
        ]
        for case in cases
    ]
    return table("asked", "What was asked: means of the clean passes, all processes together", columns, rows)


def _label(about: Mapping[str, Any], group: str) -> str:
    return str(about["title"]) if group in _ONE_UNIT else f"{about['title']}, {about['unit']}"


def _lower(title: str) -> str:
    """A title within a sentence; abbreviations stay as they are."""
    first, _, rest = title.partition(" ")
    return title if first.isupper() else f"{first.lower()}{' ' if rest else ''}{rest}"


def _value(case: Mapping[str, Any], tag: str) -> float | None:
    value: float | None = case["metrics"][tag]["value"]
    return value


def _brief(summary: Mapping[str, Any]) -> Cell:
    """A value and the half width of its interval; both ends on hover."""
    value, low, high = summary["value"], summary["low"], summary["high"]
    if value is None:
        return Cell(fmt.DASH, title=summary["reason"] or "")
    if low is None or high is None or high <= low:
        return number_cell(value, fmt.significant(value))
    text = f"{fmt.significant(value)} ± {fmt.significant((high - low) / 2, 2)}"
    title = f"{value:.6g}, 95 % interval over {summary['interval_over']}: {low:.6g} to {high:.6g}"
    return Cell(text, sort=value, title=title)


def _full(summary: Mapping[str, Any]) -> list[Cell]:
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
