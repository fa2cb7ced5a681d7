"""The report of a comparison: comparison.html, .md, .csv and .json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from markupsafe import Markup

from evals.compare import Ablation, Comparison, comparison_json
from evals.store import Run
from reports import compare_tables, figures, page, samples_view
from reports import format as fmt
from reports.browsing import first_thumbnail
from reports.compare_latency import Waits, latency_plot, latency_table, waits_of
from reports.markdown import code as code_block
from reports.markdown import escape as escape_markdown
from reports.markdown import true_minus
from reports.plots import Plot
from reports.run_report import SCRIPTS, command, identity
from reports.series import series_view
from reports.tables import Table, to_csv, to_markdown
from reports.telling import page_rows


@dataclass(frozen=True, slots=True)
class Pair:
    """One comparison's part of the page."""

    name: str
    heading: str
    sentence: str
    notices: tuple[str, ...]
    sentences: tuple[tuple[str, str], ...]
    figures: Mapping[str, tuple[Markup, str]]
    tables: tuple[Table, ...]
    more_tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report."""

    html: Path
    markdown: Path
    csv: Path
    json: Path


def build_comparison(
    runs: Sequence[Run], found: Sequence[Comparison], out_dir: Path, series: Ablation | None = None
) -> Written:
    """Write the report of a comparison.

    Args:
        runs: two or more; the first (A) is what the others (B) are compared with.
        found: what :func:`evals.compare.compare_runs` says of them.
        out_dir: where to.
        series: what :func:`evals.compare.ablate` says where the runs are checkpoints of one training.

    Raises:
        StoreError: the folder cannot be written.
    """
    document = json.dumps(comparison_json(found), ensure_ascii=False, indent=1, allow_nan=False)
    return Written(
        page.write(out_dir / "comparison.html", html(runs, found, series)),
        page.write(out_dir / "comparison.md", markdown(runs, found, series)),
        page.write(out_dir / "comparison.csv", to_csv(*compare_tables.csv_rows(found))),
        page.write(out_dir / "comparison.json", document + "\n"),
    )


def labels(runs: Sequence[Run]) -> list[str]:
    """What the runs are called: their models, with the run id where models share a name."""
    models = [str(run.results["model"].get("model") or run.manifest["run_id"]) for run in runs]
    return [
        model if models.count(model) == 1 else f"{model} [{run.manifest['run_id']}]"
        for model, run in zip(models, runs, strict=True)
    ]


def letters(count: int) -> list[str]:
    """Short names of the runs: A and B, or A, B1, B2 and so on."""
    return ["A", "B"] if count == 2 else ["A", *(f"B{number}" for number in range(1, count))]


def html(
    runs: Sequence[Run],
    found: Sequence[Comparison],
    series: Ablation | None = None,
    browser: Mapping[str, Any] | None = None,
) -> str:
    """The whole page; ``browser`` is the sample browser's data where a server holds the samples."""
    called, short = labels(runs), letters(len(runs))
    names = [f"{letter}: {label}" for letter, label in zip(short, called, strict=True)]
    if browser is None:
        rows = page_rows(runs)
        browser = samples_view.browser_data(
            rows.tasks, lambda sha256: first_thumbnail(runs, sha256), left_out=rows.left_out
        )
    data = {"view": "compare", "runs": names, "samples": browser}
    context = {
        "title": f"{called[0]} and {fmt.sentence_list(called[1:])} compared",
        "heading": f"{called[0]} and {called[1]}" if len(runs) == 2 else f"{called[0]} and {len(runs) - 1} others",
        "kicker": "Comparison",
        "byline": " · ".join(
            f"{letter} is run {run.manifest['run_id']}" for letter, run in zip(short, runs, strict=True)
        ),
        "verdict": spoken(found[0].sentence, called[1]) if len(runs) == 2 else "",
        "series": series_view(series, runs) if series else None,
        "pairs": [pair(one, number, runs) for number, one in enumerate(found)],
        "kept": browser["kept"],
        "runs": [(name, command(run.manifest), identity(run.manifest)) for name, run in zip(names, runs, strict=True)],
    }
    return page.render("compare.html.jinja", context, scripts=SCRIPTS, data=data, served=bool(browser["server"]))


def spoken(sentence: str, name: str) -> str:
    """The verdict with B's own name in it and true minus signs: ``B, omnilmm-small, is better``."""
    sentence = true_minus(sentence)
    return sentence.replace("B is ", f"B, {name}, is ", 1) if name and sentence.startswith("B is ") else sentence


def pair(found: Comparison, number: int, runs: Sequence[Run]) -> Pair:
    """The sentences, figures and tables of the comparison of the first run with the one after ``number`` others."""
    called, name, waits = labels(runs), pair_suffix(number, runs), pair_waits(found, number, runs)
    more = [
        compare_tables.flips_table(found),
        compare_tables.category_table(found),
        compare_tables.efficiency_table(found),
        latency_table(waits) if waits else None,
    ]
    return Pair(
        name=name,
        heading="" if len(called) == 2 else f"B{number + 1}: {called[number + 1]}",
        sentence=spoken(found.sentence, called[number + 1]),
        notices=tuple(notices(found)),
        sentences=tuple((task.title, spoken(task.sentence, "")) for task in found.tasks),
        figures={
            plot.name.removesuffix(name): (plot.markup(), plot.caption) for plot in pair_plots(found, name, waits)
        },
        tables=(named(compare_tables.difference_table(found), name),),
        more_tables=tuple(named(table, name) for table in more if table is not None),
    )


def named(source: Table, suffix: str) -> Table:
    """The table under a name of its own where a page has several of its kind."""
    return replace(source, name=f"{source.name}{suffix}")


def notices(found: Comparison) -> list[str]:
    """What the reader must know before believing the numbers."""
    lines = [f"{warning}." for warning in found.warnings]
    if found.missing:
        lines.append(f"Only one of the runs has {fmt.sentence_list(found.missing)}; there is no overall difference.")
    if found.efficiency_note:
        lines.append(f"{found.efficiency_note[0].upper()}{found.efficiency_note[1:]}.")
    return lines


def pair_suffix(number: int, runs: Sequence[Run]) -> str:
    """What the names of a pair's figures and tables end with, where a page has several pairs."""
    return "" if len(runs) == 2 else f"-{number + 1}"


def pair_waits(found: Comparison, number: int, runs: Sequence[Run]) -> Waits | None:
    """How long the requests of a pair of runs waited."""
    names = [f"{letter}: {label}" for letter, label in zip(letters(len(runs)), labels(runs), strict=True)]
    return waits_of(found, (runs[0], runs[number + 1]), (names[0], names[number + 1]))


def pair_plots(found: Comparison, suffix: str, waits: Waits | None) -> list[Plot]:
    """The forest plot of differences, and where times are known those of latencies and of their ratios."""
    plots = []
    if forest := forest_dots(found):
        axis = "B − A, points of the scale (right is better)"
        plots.append(
            Plot(
                f"forest{suffix}",
                "Differences by task",
                "Paired differences with 95 % intervals; the same numbers are in the table of differences.",
                partial(figures.forest, forest, axis=axis, margin=found.margin * 100),
                "Paired differences with 95 % intervals, right is better. Filled: a difference was found. "
                "Shaded: the margin of equivalence.",
            )
        )
    if ratios := ratio_dots(found):
        plots.append(
            Plot(
                f"ratios{suffix}",
                "Latency ratios",
                "Ratio of latencies with 95 % intervals; the same numbers are in the table of efficiency.",
                partial(figures.forest, ratios, axis="latency, B / A (left is faster)", zero=1.0),
                "Ratio of latencies with 95 % intervals, left is faster.",
            )
        )
    return [*plots, latency_plot(waits, suffix)] if waits else plots


def forest_dots(found: Comparison) -> list[figures.Dot]:
    """Gains in points of the scale, the largest first, the overall one last; filled where a difference was found."""
    dots = []
    for task in sorted(found.tasks, key=lambda task: -(task.gain.value or 0.0)):
        value, low, high = (
            fmt.shown(end, fmt.PERCENT_SCALE) for end in (task.gain.value, task.gain.low, task.gain.high)
        )
        decided = task.verdict in ("better", "worse")
        dots.append(figures.Dot(task.title, value, low, high, filled=decided))
    if found.overall and found.overall.value is not None:
        macro = found.overall
        value, low, high = (fmt.shown(end, fmt.PERCENT_SCALE) for end in (macro.value, macro.low, macro.high))
        dots.append(figures.Dot("Overall", value, low, high, strong=True, filled=found.verdict in ("better", "worse")))
    return dots


def ratio_dots(found: Comparison) -> list[figures.Dot]:
    """Latency ratios that have an interval."""
    return [
        figures.Dot(task.title, item.ratio, item.low, item.high, filled=not (item.low or 0) <= 1 <= (item.high or 0))
        for task in found.tasks
        for item in task.efficiency
        if item.name == "latency_ms" and item.low is not None
    ]


def markdown(runs: Sequence[Run], found: Sequence[Comparison], series: Ablation | None = None) -> str:
    """The comparison for a pull request or a mail."""
    called, short = labels(runs), letters(len(runs))
    parts = ["# Comparison\n"]
    parts += [
        f"- {letter}: {escape_markdown(name)} (run {escape_markdown(run.manifest['run_id'])})"
        for letter, name, run in zip(short, called, runs, strict=True)
    ]
    parts.append("")
    if series:
        shown = series_view(series, runs)
        parts += ["## Over the steps of training\n", escape_markdown(shown.sentence) + "\n", to_markdown(shown.table)]
    for number, one in enumerate(found):
        if len(runs) > 2:
            parts.append(f"## {escape_markdown(f'{short[number + 1]}: {called[number + 1]}')}\n")
        parts.append(f"**{escape_markdown(spoken(one.sentence, called[number + 1]))}**\n")
        parts += [f"> {escape_markdown(notice)}\n" for notice in notices(one)]
        tables = (
            compare_tables.difference_table(one),
            compare_tables.flips_table(one),
            compare_tables.efficiency_table(one),
        )
        parts += [to_markdown(table) for table in tables if table is not None]
        parts += [
            f"- {escape_markdown(task.title)}: {escape_markdown(spoken(task.sentence, ''))}" for task in one.tasks
        ]
        parts.append("")
    for letter, run in zip(short, runs, strict=True):
        if line := command(run.manifest):
            parts += [f"{letter} was made by\n", code_block(line)]
    return "\n".join(parts)
