"""The report of one run: report.html, report.md, and results.csv with every number in full."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.records import ScoredSample
from evals.store import Run
from reports import distributions, page, run_figures, run_tables, run_words, samples_view
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
        "figures": run_figures.draw(results, rows),
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
    found = []
    for name, task in results["tasks"].items():
        worst, best = right_and_wrong(task)
        found.append(
            samples_view.TaskRows(
                name=name,
                title=title(name, task),
                metric=str(task.get("metric", "")),
                best=best,
                worst=worst,
                extracts=any(extracts(task, rows.get(name, ())) for rows in runs),
                runs=tuple({row.row_id: row for row in rows.get(name, ())} for rows in runs),
            )
        )
    return found


def right_and_wrong(task: Mapping[str, Any]) -> tuple[float, float]:
    """The scores of a fully wrong and a fully right answer: the ends of the scale, one where it is open."""
    estimate = headline(task)
    low, high = (default if end is None else float(end) for end, default in zip(estimate["scale"], (0, 1), strict=True))
    high = high if math.isfinite(high) else 1.0
    return (low, high) if estimate["higher_is_better"] else (high, low)


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
    walls = [(task.get("efficiency") or {}).get("wall_s") for task in tasks]
    known = [wall for wall in walls if wall is not None]
    found.append(("Time of inference", fmt.seconds(sum(known) if known else None)))
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
    requests = task.get("n_requests")
    about += [fmt.plural(requests, "request")] if requests and requests != task.get("n") else []
    about += [f"subset: {task['subset']}"] if task.get("subset") else []
    several = task.get("several_pictures") or {}
    if several.get("samples"):
        shown = {"first": "only the first is shown", "grid": "shown as one", "skip": "left out"}[several["policy"]]
        about.append(f"{fmt.plural(several['samples'], 'sample')} with several pictures: {shown}")
    return TaskSection(name, title(name, task), str(task.get("family") or ""), ", ".join(about), tuple(tables))


def time_tables(results: Mapping[str, Any], rows: Mapping[str, Sequence[ScoredSample]]) -> list[Table | None]:
    """Stages, latency, throughput and the run as a whole; None for what was not measured."""
    return [
        run_tables.stage_table(results),
        run_tables.latency_table(results, rows),
        run_tables.throughput_table(results),
        run_tables.resource_table(results),
    ]


def fallback_rows(results: Mapping[str, Any], rows: Mapping[str, Sequence[ScoredSample]]) -> list[dict[str, Any]]:
    """A few telling samples for readers without JavaScript: failed, unparsed and wrong ones first."""
    found = []
    for task in task_rows(results, [rows]):
        for row in task.runs[0].values():
            state = samples_view.state_of(row, task)
            if state in (samples_view.ERROR, samples_view.UNPARSED, samples_view.WRONG):
                found.append({"task": task.title, "row": row, "state": samples_view.STATE_NAMES[state]})
        if len(found) >= _FALLBACK_ROWS:
            break
    return found[:_FALLBACK_ROWS]


def identity(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts of the run's identity and environment as JSON, each to be copied whole."""
    parts = dict(manifest.get("identity") or {})
    parts |= {"environment": manifest["environment"]} if manifest.get("environment") else {}
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
