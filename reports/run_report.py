"""The report of one run: report.html, report.md, and results.csv with every number in full."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.store import Run
from reports import format as fmt
from reports import page, run_figures, run_tables, run_words, samples_view, time_tables
from reports.browsing import SAMPLE_SCRIPTS, fallback_rows
from reports.garbage import uncollected
from reports.inputs import headline, title
from reports.markdown import code as code_block
from reports.markdown import escape as escape_markdown
from reports.option_tables import option_table
from reports.plots import drawn
from reports.published import published_sentence, published_table
from reports.session_table import session_table
from reports.tables import Table, to_csv, to_markdown
from reports.task_facts import TaskFacts, all_facts
from reports.telling import page_rows

SCRIPTS = ("link.js", "report.js", *SAMPLE_SCRIPTS)


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


@uncollected()
def build_report(run: Run, out_dir: Path | None = None) -> Written:
    """Write the report of a run.

    Args:
        run: an opened run that has been scored.
        out_dir: where to; the run directory by default.

    Raises:
        StoreError: the run has not been scored, or the folder cannot be written.
    """
    out_dir = out_dir or run.path
    known = all_facts(run)
    return Written(
        page.write(out_dir / "report.html", html(run, known)),
        page.write(out_dir / "report.md", markdown(run, known)),
        page.write(out_dir / "results.csv", csv(run.results)),
    )


def command(manifest: Mapping[str, Any]) -> str:
    """The command line that makes this run again, ready for a shell; empty where the run was imported."""
    given = manifest.get("command") or ""
    return given if isinstance(given, str) else shlex.join(str(part) for part in given)


def html(run: Run, known: Mapping[str, TaskFacts]) -> str:
    """The whole page, with the samples that it may hold."""
    found = page_rows([run])
    browser = samples_view.browser_data(found.tasks, run.thumbnail, left_out=found.left_out)
    return render(run, known, browser, fallback_rows(found.tasks))


def render(
    run: Run, known: Mapping[str, TaskFacts], browser: Mapping[str, Any], fallback: Sequence[Mapping[str, Any]]
) -> str:
    """The page around a sample browser.

    Args:
        run: an opened, scored run.
        known: what its tasks' rows say.
        browser: the sample browser's data, in the page or on a server.
        fallback: samples for readers without JavaScript.
    """
    results, manifest = run.results, run.manifest
    name = str(results["model"].get("model") or results.get("run_id"))
    plots = run_figures.plots(results, known)
    context = {
        "title": f"{name}, evaluation report",
        "heading": name,
        "kicker": "Evaluation report",
        "byline": byline(run),
        "verdict": run_words.verdict(results),
        "beside": published_sentence(results),
        "notices": run_words.notices(results, str(manifest.get("status", "complete"))),
        "facts": facts(results),
        "summary": run_tables.summary(results, known),
        "published": published_table(results, manifest),
        "figures": drawn(plots),
        "captions": {plot.name: plot.caption for plot in plots},
        "sections": [task_section(task, found, known[task]) for task, found in results["tasks"].items()],
        "lengths": time_tables.length_table(results, known),
        "time_tables": [table for table in timing(results, known) if table is not None],
        "fallback": fallback,
        "kept": browser["kept"],
        "command": command(manifest),
        "sessions": session_table(manifest),
        "identity": identity(manifest),
    }
    data = {"view": "run", "runs": [name], "samples": browser}
    return page.render("run.html.jinja", context, scripts=SCRIPTS, data=data, served=bool(browser["server"]))


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
    found += [("Time of inference", fmt.seconds(sum(known)))] if known else []
    device = efficiency.get("peak_device_mib")
    key, value = (
        ("Peak device memory", device) if device is not None else ("Peak host memory", efficiency.get("peak_host_mib"))
    )
    found += [(key, fmt.mib(value))] if value is not None else []
    return found


def task_section(name: str, task: Mapping[str, Any], known: TaskFacts) -> TaskSection:
    """All tables of one task."""
    tables = [run_tables.statistics_table(name, task), *run_tables.category_tables(name, task)]
    if options := option_table(name, task):
        tables.append(options)
    if known.confusion:
        tables.append(run_tables.confusion_table(name, known.confusion))
    about = [f"{fmt.plural(task.get('n') or 0, 'sample')}", f"metric {task.get('metric')}"]
    requests = task.get("n_requests")
    about += [fmt.plural(requests, "request")] if requests and requests != task.get("n") else []
    about += [f"subset: {task['subset']}"] if task.get("subset") else []
    several = task.get("several_pictures") or {}
    if several.get("samples"):
        shown = {"first": "only the first is shown", "grid": "shown as one", "skip": "left out"}[several["policy"]]
        about.append(f"{fmt.plural(several['samples'], 'sample')} with several pictures: {shown}")
    return TaskSection(name, title(name, task), str(task.get("family") or ""), ", ".join(about), tuple(tables))


def timing(results: Mapping[str, Any], known: Mapping[str, TaskFacts]) -> list[Table | None]:
    """Stages, latency, throughput and the run as a whole; None for what was not measured."""
    return [
        time_tables.stage_table(results),
        time_tables.latency_table(results, known),
        time_tables.throughput_table(results),
        time_tables.resource_table(results),
    ]


def identity(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The parts of the run's identity and environment as JSON, each to be copied whole."""
    parts = dict(manifest.get("identity") or {})
    parts |= {"environment": manifest["environment"]} if manifest.get("environment") else {}
    return [(key, json.dumps(value, indent=2, ensure_ascii=False)) for key, value in parts.items()]


def markdown(run: Run, known: Mapping[str, TaskFacts]) -> str:
    """The report for a pull request or a mail: verdict, scores, categories, time and command."""
    results = run.results
    heading = escape_markdown(str(results["model"].get("model") or results.get("run_id")))
    parts = [f"# {heading}\n", escape_markdown(byline(run)) + "\n", escape_markdown(run_words.verdict(results)) + "\n"]
    parts += [
        f"> {escape_markdown(notice)}\n" for notice in run_words.notices(results, str(run.manifest.get("status", "")))
    ]
    parts.append(to_markdown(run_tables.summary(results, known)))
    if beside := published_table(results, run.manifest):
        parts.append(to_markdown(beside))
    for name, task in results["tasks"].items():
        tables = run_tables.category_tables(name, task)
        if tables:
            parts.append(f"## {escape_markdown(title(name, task))}\n")
            parts += [to_markdown(table) for table in tables]
    measured = [*timing(results, known), time_tables.length_table(results, known)]
    if any(measured):
        parts.append("## Time, memory and lengths of answers\n")
        parts += [to_markdown(table) for table in measured if table]
    if sessions := session_table(run.manifest):
        parts.append(to_markdown(sessions))
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
