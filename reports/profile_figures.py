"""The figures of a profile: latency against batch, throughput against latency, time by stage, the roofline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from reports import figures
from reports.plots import Plot
from reports.roofline import Reached, Roof, roofline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Six colours for seven stages: tower and resampler are one part of a bar; the table has both.
BAR_PARTS = (
    ("image", ("image_decode_ms",)),
    ("resize", ("resize_ms",)),
    ("to device", ("h2d_ms",)),
    ("vision", ("vision_ms", "resampler_ms")),
    ("prefill", ("prefill_ms",)),
    ("decode", ("decode_ms",)),
)
_FEWEST_POINTS = 2  # of a line
_NAME, _NARROW_NAME = 25, 12  # characters of a scenario's name beside its bar


def plots(document: Mapping[str, Any]) -> list[Plot]:
    """The figures that have something to show."""
    cases = [case for case in document["cases"] if not case["skipped"]]
    return [*_sweeps(cases), *_stages(cases), *_roofline(cases, document["peaks"])]


def _sweeps(cases: Sequence[Mapping[str, Any]]) -> list[Plot]:
    """Two views of the scenarios that were measured at several batch sizes."""
    by_scenario: dict[str, list[Mapping[str, Any]]] = {}
    for case in cases:
        by_scenario.setdefault(case["scenario"], []).append(case)
    found = []
    for name, title, tag, x, axes in (
        (
            "latency_batch",
            "Latency against batch",
            "e2e_ms",
            lambda case: float(case["batch"]),
            ("batch", "end to end, ms"),
        ),
        (
            "throughput_latency",
            "Throughput against latency",
            "samples_per_s",
            lambda case: _number(case, "e2e_ms"),
            ("end to end, ms", "samples/s"),
        ),
    ):
        drawn = [_curve(scenario, points, x, tag) for scenario, points in by_scenario.items()]
        if lines := [line for line in drawn if len(line.x) >= _FEWEST_POINTS]:
            found.append(_curves(name, title, lines, axes))
    return found


def _curves(name: str, title: str, lines: Sequence[figures.Curve], axes: tuple[str, str]) -> Plot:
    return Plot(
        name.replace("_", "-"),
        title,
        f"{title}, a line a scenario; the same numbers are in the tables of waiting and of rates.",
        partial(figures.curves, lines, x_axis=axes[0], y_axis=axes[1]),
    )


def _stages(cases: Sequence[Mapping[str, Any]]) -> list[Plot]:
    wide, short = (
        [bar for case in cases if any((bar := _bar(case, longest)).parts)] for longest in (_NAME, _NARROW_NAME)
    )
    if not wide:
        return []
    return [
        Plot(
            "stages",
            "Time by stage",
            "Mean time of each stage a request, by case; the same numbers are in the table of stages.",
            partial(_stage_bars, wide, short),
        )
    ]


def _stage_bars(wide: Sequence[figures.Bar], short: Sequence[figures.Bar], *, narrow: bool = False) -> Figure:
    """The bars, with shorter names in a narrow figure."""
    names = [name for name, _ in BAR_PARTS]
    return figures.stacked_bars(short if narrow else wide, names, axis="ms a request, instrumented pass", narrow=narrow)


def _roofline(cases: Sequence[Mapping[str, Any]], peaks: Mapping[str, Any] | None) -> list[Plot]:
    points = [
        Reached(case["name"], point["stage"], point["intensity"], point["tflops"])
        for case in cases
        for point in case["roofline"]
    ]
    if not points:
        return []
    roof = Roof(peaks["card"], peaks["tflops"], peaks["bandwidth_gb_s"]) if peaks and peaks["tflops"] else None
    return [
        Plot(
            "roofline",
            "Roofline with measured points",
            "Operations a second that each stage reached, against operations a byte read; the numbers are in "
            "profile.json under cases.roofline.",
            partial(roofline, points, roof),
        )
    ]


def _curve(
    name: str, cases: Sequence[Mapping[str, Any]], x: Callable[[Mapping[str, Any]], float | None], tag: str
) -> figures.Curve:
    pairs = [(x(case), _number(case, tag)) for case in cases]
    known = sorted((a, b) for a, b in pairs if a is not None and b is not None)
    return figures.Curve(name, tuple(a for a, _ in known), tuple(b for _, b in known))


def _bar(case: Mapping[str, Any], longest: int) -> figures.Bar:
    """A case's bar; where its name is cut, the batch stays."""
    scenario, parts = case["scenario"], []
    scenario = scenario if len(scenario) <= longest else f"{scenario[: longest - 1]}…"
    for _, tags in BAR_PARTS:
        known = [value for tag in tags if (value := _number(case, tag)) is not None]
        parts.append(sum(known) if known else None)
    return figures.Bar(f"{scenario} b{case['batch']}", tuple(parts))


def _number(case: Mapping[str, Any], tag: str) -> float | None:
    value: float | None = case["metrics"][tag]["value"]
    return value
