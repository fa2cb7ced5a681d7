"""Figures by matplotlib: the same bytes for the same numbers. It is imported when the first figure is drawn."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from reports import drawing
from reports.markdown import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito, Color Universal Design (2008); told apart under every common colour vision deficiency.
BLUE, VERMILLION, GREEN, PURPLE = "#0072b2", "#d55e00", "#009e73", "#cc79a7"
ORANGE, SKY = "#e69f00", "#56b4e9"
SERIES = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY)
INK, MUTED, RULE, SOFT, PAPER = "#1b1b1a", "#66645f", "#d8d5ce", "#ece9e2", "#fffefb"
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)))

WIDTH_IN, NARROW_IN = 7.2, 3.7  # for a page or a paper's full width, and for a telephone or one column
FONT_PT = 9.0
_LONGEST_LABEL, _LONGEST_NARROW = 30, 17

_STYLE = {
    "svg.hashsalt": "omnilmm-eval",
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same layout on every machine
    "font.size": FONT_PT,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "ytick.major.size": 0,
    "text.color": INK,
    "text.parse_math": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Dot:
    """One line of a dot-and-whisker plot: a value with its interval, and what it may be held against."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None
    floors: tuple[float, ...] = ()
    majority: float | None = None
    people: tuple[float, ...] = ()
    published: tuple[float, ...] = ()
    strong: bool = False
    filled: bool = True


@dataclass(frozen=True, slots=True)
class Point:
    """One point of a scatter plot with its intervals; ``front`` where no other is better in both."""

    label: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    front: bool = True
    left: float | None = None
    right: float | None = None


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a stacked bar plot; None is a part that was not measured."""

    label: str
    parts: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a curve plot, with an optional band."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


def _style() -> dict[str, Any]:
    """The house style over matplotlib's own, whatever a matplotlibrc on this machine says."""
    from matplotlib import rcParams, rcParamsDefault

    usual = {name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")}
    return {name: value for name, value in usual.items() if rcParams[name] != value} | _STYLE


def draw(height_in: float, paint: Callable[[Axes], None], *, narrow: bool = False) -> Figure:
    """A figure of one pair of axes in the house style; ``paint`` fills it."""
    figure_class = drawing.figure_class()
    from matplotlib import rc_context

    with rc_context(_style()):
        figure = figure_class(figsize=(NARROW_IN if narrow else WIDTH_IN, height_in), layout="constrained")
        paint(figure.add_subplot())
    return figure


def export(figure: Figure, kind: str = "svg") -> bytes:
    """The figure as ``svg``, ``pdf`` or ``png``, without dates: equal figures give equal bytes."""
    return export_with_fonts(figure, kind)[0]


def export_with_fonts(figure: Figure, kind: str) -> tuple[bytes, frozenset[str]]:
    """The figure's bytes, and the characters of its labels that no installed font has.

    In a PDF or PNG such characters are written as code points (see :mod:`reports.fonts`); an SVG keeps its text.
    """
    from matplotlib import rc_context

    metadata = {"pdf": {"CreationDate": None, "ModDate": None}, "png": {"Software": None}}
    buffer = io.BytesIO()
    missing: frozenset[str] = frozenset()
    with rc_context(_style()), warnings.catch_warnings():
        # text stays text in an SVG: its reader has the glyphs that the measuring font lacks
        warnings.filterwarnings("ignore", message="Glyph")
        if kind == "svg":
            _write_svg(figure, buffer)
        else:
            missing = _set_fonts(figure)
            figure.savefig(buffer, format=kind, metadata=metadata[kind], transparent=kind == "pdf", dpi=200)
    return buffer.getvalue(), missing


def _write_svg(figure: Figure, buffer: io.BytesIO) -> None:
    """A transparent SVG, drawn once: ``savefig`` draws every figure twice, the first time for its layout alone."""
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    grounds = [figure.patch, *(axes.patch for axes in figure.axes)]
    for ground in grounds:
        ground.set_visible(False)
    FigureCanvasSVG(figure).print_svg(buffer, metadata={"Date": None})
    for ground in grounds:
        ground.set_visible(True)


def _set_fonts(figure: Figure) -> frozenset[str]:
    """Set a figure's labels in fonts that have their characters; returns the characters that none has."""
    from matplotlib.text import Text

    from reports import fonts

    drawn = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    choice = fonts.choose(text.get_text() for text in drawn)
    if len(choice.families) > 1 or choice.missing:
        for text in drawn:
            text.set_fontfamily(list(choice.families))
            text.set_text(fonts.spelled(text.get_text(), choice.missing))
    return choice.missing


def short(label: str, narrow: bool = False) -> str:
    """A label that fits beside its line."""
    label, longest = clean(label), _LONGEST_NARROW if narrow else _LONGEST_LABEL
    return label if len(label) <= longest else label[: longest - 1] + "…"


def _named(axis: str, narrow: bool) -> str:
    """An axis's name that fits: a remark in brackets goes to a line of its own in a narrow figure."""
    return axis.replace(" (", "\n(") if narrow else axis


def _lines(axes: Axes, labels: Sequence[str], narrow: bool) -> None:
    """One horizontal line a label, first on top."""
    axes.set_yticks(range(len(labels)), [short(label, narrow) for label in labels])
    axes.set_ylim(len(labels) - 0.5, -0.5)


def _ticks(dot: Dot) -> list[tuple[float, str, Any]]:
    """The levels of a line that are ticks, with their colours and dashes."""
    found = [(level, VERMILLION, _DASHES[2]) for level in dot.floors]
    found += [] if dot.majority is None else [(dot.majority, VERMILLION, _DASHES[1])]
    return found + [(level, GREEN, _DASHES[0]) for level in dot.people]


def dot_whisker(
    dots: Sequence[Dot], *, axis: str, limits: tuple[float, float] | None = (0.0, 100.0), narrow: bool = False
) -> Figure:
    """Values with their intervals and what they are held against: a dotted tick is a floor, a dashed one the most
    frequent answer, a solid one what people reach, an open diamond a published model."""

    def paint(axes: Axes) -> None:
        _lines(axes, [dot.label for dot in dots], narrow)
        if limits:
            margin = 0.015 * (limits[1] - limits[0])  # whole markers at both ends
            axes.set_xlim(limits[0] - margin, limits[1] + margin)
        axes.grid(axis="x")
        axes.set_xlabel(_named(axis, narrow))
        for y, dot in enumerate(dots):
            if dot.low is not None and dot.high is not None:
                axes.plot(
                    [dot.low, dot.high], [y, y], color=BLUE, linewidth=2.6 if dot.strong else 1.6, solid_capstyle="butt"
                )
            for level, color, line in _ticks(dot):
                axes.plot([level] * 2, [y - 0.3, y + 0.3], color=color, linewidth=1.4, linestyle=line)
            for level in dot.published:
                axes.plot([level], [y], "D", markersize=6, markerfacecolor="none", markeredgecolor=GREEN)
            if dot.value is not None:
                axes.plot([dot.value], [y], "s" if dot.strong else "o", color=BLUE, markersize=6)
            else:
                axes.text(0.01, y, "no score", transform=axes.get_yaxis_transform(), va="center", color=MUTED)

    return draw((0.76 if narrow else 0.62) + 0.3 * len(dots), paint, narrow=narrow)


def forest(
    dots: Sequence[Dot], *, axis: str, zero: float = 0.0, margin: float | None = None, narrow: bool = False
) -> Figure:
    """Differences (or ratios) with their intervals around a line of no change; a shaded band is the margin."""
    known = [end for dot in dots for end in (dot.low, dot.high, dot.value) if end is not None]
    reach = max([abs(end - zero) for end in known] + [1.5 * (margin or 0.0)], default=0.0) or 0.1

    def paint(axes: Axes) -> None:
        _lines(axes, [dot.label for dot in dots], narrow)
        axes.set_xlim(zero - 1.08 * reach, zero + 1.08 * reach)
        axes.grid(axis="x")
        axes.set_xlabel(_named(axis, narrow))
        if margin:
            axes.axvspan(zero - margin, zero + margin, color=SOFT, linewidth=0)
        axes.axvline(zero, color=MUTED, linewidth=1)
        for y, dot in enumerate(dots):
            if dot.low is not None and dot.high is not None:
                axes.plot(
                    [dot.low, dot.high], [y, y], color=BLUE, linewidth=2.6 if dot.strong else 1.6, solid_capstyle="butt"
                )
            if dot.value is not None:
                face = BLUE if dot.filled else PAPER
                axes.plot(
                    [dot.value], [y], "s" if dot.strong else "o", color=BLUE, markersize=6.5, markerfacecolor=face
                )
            else:
                axes.text(0.01, y, "undefined", transform=axes.get_yaxis_transform(), va="center", color=MUTED)

    return draw((0.76 if narrow else 0.62) + 0.3 * len(dots), paint, narrow=narrow)


def stacked_bars(bars: Sequence[Bar], parts: Sequence[str], *, axis: str, narrow: bool = False) -> Figure:
    """Stacked horizontal bars with the parts named above."""

    def paint(axes: Axes) -> None:
        _lines(axes, [bar.label for bar in bars], narrow)
        axes.grid(axis="x")
        axes.set_xlabel(_named(axis, narrow))
        left = [0.0] * len(bars)
        for index, part in enumerate(parts):
            widths = [bar.parts[index] or 0.0 for bar in bars]
            axes.barh(
                range(len(bars)), widths, 0.56, left=left, color=SERIES[index], label=part, edgecolor=INK, linewidth=0.3
            )
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_xlim(0, max(left) * 1.02 if any(left) else 1)
        # matplotlib fills a legend column by column
        columns = 2 if narrow else len(parts)
        axes.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, handlelength=1, handleheight=1
        )

    return draw((1.1 if narrow else 0.9) + 0.34 * len(bars), paint, narrow=narrow)


def curves(lines: Sequence[Curve], *, x_axis: str, y_axis: str, steps: bool = False, narrow: bool = False) -> Figure:
    """Lines with bands, told apart by colour and dashes; x is logarithmic where it spans more than a factor of 20."""
    values = [x for line in lines for x in line.x]
    log_x = min(values) > 0 and max(values) > 20 * min(values)

    def paint(axes: Axes) -> None:
        axes.grid(axis="both")
        for index, line in enumerate(lines):
            color, dashes = SERIES[index % len(SERIES)], _DASHES[index % len(_DASHES)]
            if line.low:
                axes.fill_between(line.x, line.low, line.high, color=color, alpha=0.16, linewidth=0)
            style = {"drawstyle": "steps-post"} if steps else {"marker": "o", "markersize": 4}
            axes.plot(line.x, line.y, color=color, linestyle=dashes, linewidth=1.6, label=short(line.label), **style)
        if log_x:
            from matplotlib.ticker import LogLocator, NullFormatter

            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:,g}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        elif all(value == int(value) for value in values):
            from matplotlib.ticker import MaxNLocator

            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel(x_axis + (", logarithmic" if log_x else ""))
        axes.set_ylabel(y_axis)
        axes.tick_params(axis="y", colors=MUTED)
        if len(lines) > 1:
            above, beside = (
                {"loc": "lower left", "bbox_to_anchor": (0, 1)},
                {"loc": "center left", "bbox_to_anchor": (1, 0.5)},
            )
            axes.legend(**(above if narrow else beside), handlelength=2.4)

    return draw(2.7 + (0.2 * len(lines) if narrow else 0), paint, narrow=narrow)


def scatter(points: Sequence[Point], *, x_axis: str, y_axis: str, narrow: bool = False) -> Figure:
    """Points with their intervals; those of the front are filled and joined."""

    def paint(axes: Axes) -> None:
        axes.grid(axis="both")
        front = sorted((point.x, point.y) for point in points if point.front)
        axes.plot([x for x, _ in front], [y for _, y in front], color=MUTED, linewidth=1, linestyle=_DASHES[1])
        for point in points:
            if point.low is not None and point.high is not None:
                axes.plot([point.x] * 2, [point.low, point.high], color=BLUE, linewidth=1.2)
            if point.left is not None and point.right is not None:
                axes.plot([point.left, point.right], [point.y] * 2, color=BLUE, linewidth=1.2)
            face = BLUE if point.front else PAPER
            axes.plot([point.x], [point.y], "o", color=BLUE, markersize=6.5, markerfacecolor=face)
            axes.annotate(short(point.label, narrow), (point.x, point.y), (6, 4), textcoords="offset points")
        axes.margins(x=0.25, y=0.2)
        axes.set_xlabel(x_axis)
        axes.set_ylabel(y_axis)
        axes.tick_params(axis="y", colors=MUTED)

    return draw(2.9, paint, narrow=narrow)
