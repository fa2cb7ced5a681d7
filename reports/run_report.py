"""The report of one run: report.html, report.md, and results.csv with every number in full."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from evals.records import ScoredSample
from evals.store import Run
from reports import distributions, figures, page, run_tables, run_words, samples_view, svg
from reports import format as fmt
from reports.inputs import headline, title
from reports.markdown import code as code_block
from reports.markdown import escape as escape_markdown
from reports.tables import Table, to_csv, to_markdown

SCRIPTS = ("report.js", "samples_text.js", "samples.js")
_FALLBACK_ROWS = 20  # telling samples in the page for readers without JavaScript


@dataclass(frozen=True, slots=True)
class TaskSection:
    """One task's part of the page."""

    name: str
    title: str
    family: str
    about: str
    tables: tuple[Table, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """The files of a report."""

    html: Path
    markdown: Path
    csv: Path


def build_report(run: Run, out_dir: Path | None = None) -> Written:
    """Write the report of a run.

    Args:
        run: an opened run that has been scored.
        out_dir: where to; the run directory by default.

    Raises:
        StoreError: the run has not been scored, or the folder cannot be written.
    """
    out_dir = out_dir or run.path
    rows = {task: run.samples(task) for task in run.results["tasks"]}
    return Written(
        page.write(out_dir / "report.html", html(run, rows)),
        page.write(out_dir / "report.md", markdown(run)),
        page.write(out_dir / "results.csv", csv(run.results)),
    )


def command(manifest: Mapping[str, Any]) -> str:
    """The command line that makes this run again, ready for a shell; empty where the run was imported."""
    given = manifest.get("command") or ""
    return given if isinstance(given, str) else shlex.join(str(part) for part in given)


def extracts(task: Mapping[str, Any], rows: Sequence[ScoredSample]) -> bool:
    """Whether the task's answers are parsed, so that an answer without an extracted value is a parse failure."""
    return bool(task.get("parse_failures")) or any(row.rule for row in rows)


def html(run: Run, rows: Mapping[str, Sequence[ScoredSample]]) -> str:
    """The whole page."""
    results, manifest = run.results, run.manifest
    browser = samples_view.browser_data(task_rows(results, [rows]), run.thumbnail)
    data = {"view": "run", "runs": [str(results["model"].get("model") or results.get("run_id"))], "samples": browser}
    context = {
        "title": f"{results['model'].get('model') or results.get('run_id')}, evaluation report",
        "heading": results["model"].get("model") or results.get("run_id"),
        "kicker": "Evaluation report",
        "byline": byline(run),
        "verdict": run_words.verdict(results),
        "notices": run_words.notices(results, str(manifest.get("status", "complete"))),
        "facts": facts(results),
        "summary": run_tables.summary(results),
        "figures": run_figures(results, rows),
        "sections": [task_section(name, task, rows[name]) for name, task in results["tasks"].items()],
        "time_tables": [table for table in time_tables(results, rows) if table is not None],
        "fallback": fallback_rows(results, rows),
        "kept": browser["kept"],
        "command": command(manifest),
        "identity": identity(manifest),
    }
    return page.render("run.html.jinja", context, scripts=SCRIPTS, data=data)


def task_rows(
    results: Mapping[str, Any], runs: Sequence[Mapping[str, Sequence[ScoredSample]]]
) -> list[samples_view.TaskRows]:
    """The rows of every task of one or more runs, for the sample browser."""
    return [
        samples_view.TaskRows(
            name=name,
            title=title(name, task),
            metric=str(task.get("metric", "")),
            full_score=float(headline(task)["scale"][1]),
            extracts=any(extracts(task, rows.get(name, ())) for rows in runs),
            runs=tuple({row.row_id: row for row in rows.get(name, ())} for rows in runs),
        )
        for name, task in results["tasks"].items()
    ]


def byline(run: Run) -> str:
    """Suite, run id and date on one line."""
    created = str(run.manifest.get("created", ""))[:16].replace("T", " ")
    suite = run.results.get("suite")
    return " · ".join(
        part for part in (f"suite {suite}" if suite else "", f"run {run.results.get('run_id')}", created) if part
    )


def facts(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A few numbers to remember, as label and value."""
    tasks, efficiency = results["tasks"].values(), results.get("efficiency") or {}
    asked = sum(task.get("n") or 0 for task in tasks)
    scored = sum(task.get("n_scored") or 0 for task in tasks)
    found = [("Tasks", fmt.count(len(tasks))), ("Samples", fmt.count(asked))]
    found.append(("With a score", fmt.share(scored / asked) if asked else fmt.DASH))
    wall = efficiency.get("wall_s")
    found.append(("Wall time", fmt.seconds(wall)))
    device = efficiency.get("peak_device_mib")
    key, value = (
        ("Peak device memory", device) if device is not None else ("Peak host memory", efficiency.get("peak_host_mib"))
    )
    found.append((key, fmt.mib(value)))
    return found


def task_section(name: str, task: Mapping[str, Any], rows: Sequence[ScoredSample]) -> TaskSection:
    """All tables of one task."""
    tables = [run_tables.statistics_table(name, task), *run_tables.category_tables(name, task)]
    if found := distributions.confusion(rows, extracts=extracts(task, rows)):
        tables.append(run_tables.confusion_table(name, found))
    about = [f"{fmt.plural(task.get('n') or 0, 'sample')}", f"metric {task.get('metric')}"]
    about += [f"subset: {task['subset']}"] if task.get("subset") else []
    return TaskSection(name, title(name, task), str(task.get("family") or ""), ", ".join(about), tuple(tables))


def time_tables(results: Mapping[str, Any], rows: Mapping[str, Sequence[ScoredSample]]) -> list[Table | None]:
    """Stages, latency, throughput and the run as a whole; None for what was not measured."""
    return [
        run_tables.stage_table(results),
        run_tables.latency_table(results, rows),
        run_tables.resource_table(results),
    ]


def run_figures(results: Mapping[str, Any], rows: Mapping[str, Sequence[ScoredSample]]) -> dict[str, Markup]:
    """The page's figures by name; one that has nothing to show is left out."""
    drawn = {}
    if dots := score_dots(results):
        drawn["scores"] = svg.responsive(
            lambda narrow: figures.dot_whisker(dots, axis="score, %", narrow=narrow),
            "fig-scores",
            "Scores by task",
            "Scores with 95 % intervals; the same numbers are in the table of scores.",
        )
    if bars := stage_bars(results):
        labels = [label for _, label in run_tables.STAGES]
        drawn["stages"] = svg.responsive(
            lambda narrow: figures.stacked_bars(bars, labels, axis="ms per sample, mean", narrow=narrow),
            "fig-stages",
            "Time by stage",
            "Mean time in each stage by task; the same numbers are in the table of stages.",
        )
    if lines := latency_curves(results, rows):
        drawn["latency"] = svg.responsive(
            lambda narrow: figures.curves(lines, x_axis="latency, ms", y_axis="answered, %", steps=True, narrow=narrow),
            "fig-latency",
            "Latency",
            "Share of requests answered within a time; percentiles are in the table of latency.",
        )
    return drawn


def score_dots(results: Mapping[str, Any]) -> list[figures.Dot]:
    """The tasks on the percent scale, and the macro average below them."""
    dots = []
    for name, task in results["tasks"].items():
        estimate = headline(task)
        if not fmt.is_percent(estimate["scale"]):
            continue
        published = [entry.get("value") for entry in task.get("published") or []]
        chance, reference = _shown(task.get("chance"), published[0] if published else None)
        dots.append(figures.Dot(title(name, task), *_shown_ends(estimate), chance, reference))
    macro = results.get("macro")
    if macro and macro.get("value") is not None and len(dots) > 1:
        dots.append(figures.Dot("Macro average", *_shown_ends(macro), strong=True))
    return dots


def _shown(first: float | None, second: float | None) -> tuple[float | None, float | None]:
    return fmt.shown(first, fmt.PERCENT_SCALE), fmt.shown(second, fmt.PERCENT_SCALE)


def _shown_ends(estimate: Mapping[str, Any]) -> tuple[float | None, float | None, float | None]:
    low, high = _shown(estimate.get("low"), estimate.get("high"))
    return fmt.shown(estimate.get("value"), fmt.PERCENT_SCALE), low, high


def stage_bars(results: Mapping[str, Any]) -> list[figures.Bar]:
    """Mean time in each stage, for the tasks where some is known."""
    bars = []
    for name, task in results["tasks"].items():
        stages = (task.get("efficiency") or {}).get("stages_ms") or {}
        parts = tuple(stages.get(key) for key, _ in run_tables.STAGES)
        if any(parts):
            bars.append(figures.Bar(title(name, task), parts))
    return bars


def latency_curves(results: Mapping[str, Any], rows: Mapping[str, Sequence[ScoredSample]]) -> list[figures.Curve]:
    """Distribution functions of latency, in percent, for the tasks with two values or more."""
    lines = []
    for name, task in results["tasks"].items():
        values = distributions.latencies(rows[name])
        if len(values) > 1:
            x, y = distributions.distribution(values)
            lines.append(figures.Curve(title(name, task), tuple(x), tuple(100 * share for share in y)))
    return lines


def fallback_rows(results: Mapping[str, Any], rows: Mapping[str, Sequence[ScoredSample]]) -> list[dict[str, Any]]:
    """A few telling samples for readers without JavaScript: failed, unparsed and wrong ones first."""
    found = []
    for task in task_rows(results, [rows]):
        for row in task.runs[0].values():
            state = samples_view.state_of(row, task.metric, task.full_score, task.extracts)
            if state in (samples_view.ERROR, samples_view.UNPARSED, samples_view.WRONG):
                found.append({"task": task.title, "row": row, "state": samples_view.STATE_NAMES[state]})
        if len(found) >= _FALLBACK_ROWS:
            break
    return found[:_FALLBACK_ROWS]


def identity(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts of the run's identity and environment as JSON, each to be copied whole."""
    parts = dict(manifest.get("identity") or {})
    parts |= {key: manifest[key] for key in ("host", "image", "facts") if manifest.get(key)}
    return [(key, json.dumps(value, indent=2, ensure_ascii=False)) for key, value in parts.items()]


def markdown(run: Run) -> str:
    """The report for a pull request or a mail: verdict, scores, categories, time and command."""
    results = run.results
    heading = escape_markdown(str(results["model"].get("model") or results.get("run_id")))
    parts = [f"# {heading}\n", escape_markdown(byline(run)) + "\n", escape_markdown(run_words.verdict(results)) + "\n"]
    parts += [
        f"> {escape_markdown(notice)}\n" for notice in run_words.notices(results, str(run.manifest.get("status", "")))
    ]
    parts.append(to_markdown(run_tables.summary(results)))
    for name, task in results["tasks"].items():
        tables = run_tables.category_tables(name, task)
        if tables:
            parts.append(f"## {escape_markdown(title(name, task))}\n")
            parts += [to_markdown(table) for table in tables]
    timing = [run_tables.stage_table(results), run_tables.throughput_table(results), run_tables.resource_table(results)]
    if any(timing):
        parts.append("## Time and memory\n")
        parts += [to_markdown(table) for table in timing if table]
    if line := command(run.manifest):
        parts += ["## Made by\n", code_block(line)]
    return "\n".join(parts)


def csv(results: Mapping[str, Any]) -> str:
    """Every number of the run in full, one a line: task, statistic or category, value, interval."""
    header = (
        "task",
        "statistic",
        "category",
        "value_of",
        "n",
        "value",
        "low",
        "high",
        "se",
        "method",
        "scale_low",
        "scale_high",
    )
    lines: list[Sequence[Any]] = []
    for name, task in results["tasks"].items():
        scale = headline(task)["scale"]
        for statistic, estimate in task.get("statistics", {}).items():
            numbers = [estimate.get(key) for key in ("n_units", "value", "low", "high", "se", "method")]
            lines.append((name, statistic, "", "", *numbers, *estimate.get("scale", scale)))
        for column, values in task.get("categories", {}).items():
            for value, part in values.items():
                numbers = [part.get(key) for key in ("n", "value", "low", "high")]
                lines.append((name, task.get("headline"), column, value, *numbers, None, None, *scale))
    macro = results.get("macro")
    if macro:
        numbers = [macro.get(key) for key in ("n_units", "value", "low", "high", "se", "method")]
        lines.append(("macro average", "", "", "", *numbers, *fmt.PERCENT_SCALE))
    return to_csv(header, lines)
