"""The roofline: what each stage reached, against what the card could do at that many operations a byte."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reports.figures import BLUE, MUTED, SERIES, draw, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

_WIDE = 200.0  # a span of an axis from which on powers of ten are marks enough


@dataclass(frozen=True, slots=True)
class Roof:
    """A card's published peaks."""

    name: str
    tflops: float
    bandwidth_gb_s: float

    def at(self, intensity: float) -> float:
        """TFLOP/s that can be reached at this many FLOP per byte."""
        return min(self.tflops, intensity * self.bandwidth_gb_s / 1000.0)


@dataclass(frozen=True, slots=True)
class Reached:
    """One stage of one case, measured."""

    label: str
    stage: str
    intensity: float
    tflops: float


def _plain_ticks(axis: Axis) -> None:
    """Powers of ten, and 2 and 5 between them where there is room, as plain numbers: the style sets no formulas."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < _WIDE * low else (1,)))
    axis.set_major_formatter("{x:,g}")
    axis.set_minor_formatter(NullFormatter())


def roofline(points: Sequence[Reached], roof: Roof | None, *, narrow: bool = False) -> Figure:
    """Measured points, and the roof where the card's peaks are published; both axes logarithmic."""
    stages = list(dict.fromkeys(point.stage for point in points))

    def paint(axes: Axes) -> None:
        axes.grid(axis="both")
        ends = [min(p.intensity for p in points) / 2, max(p.intensity for p in points) * 2]
        if roof:
            knee = 1000.0 * roof.tflops / roof.bandwidth_gb_s
            xs = sorted({*ends, min(max(knee, ends[0]), ends[1])})
            axes.plot(xs, [roof.at(x) for x in xs], color=MUTED, linewidth=1.4, label=f"{roof.name}, published")
        for index, stage in enumerate(stages):
            shown = [p for p in points if p.stage == stage]
            axes.plot(
                [p.intensity for p in shown],
                [p.tflops for p in shown],
                "osD^"[index % 4],
                color=SERIES[index % len(SERIES)] if len(stages) > 1 else BLUE,
                markersize=6,
                label=short(stage),
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        for axis in (axes.xaxis, axes.yaxis):
            _plain_ticks(axis)
        axes.set_xlabel("FLOP per byte read, logarithmic")
        axes.set_ylabel("TFLOP/s, logarithmic")
        axes.tick_params(axis="y", colors=MUTED)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2 if narrow else 4, handlelength=1.6)

    return draw(3.2, paint, narrow=narrow)
