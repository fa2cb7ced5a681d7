"""The verdict of a gate as a page: gate.html. verdict.json, junit.xml and report.md are written by ``evals.gate``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from evals.frozen import FrozenRun
from evals.gate import Verdict
from evals.gate.guards import Guard
from evals.gate.outputs import advice
from evals.gate.rule import FAIL, PASS, TaskFinding
from evals.store import Run
from reports import figures, page
from reports import format as fmt
from reports.browsing import SAMPLE_SCRIPTS
from reports.frozen_rows import gate_browser
from reports.markdown import code_spans, true_minus
from reports.plots import Plot
from reports.tables import Cell, Column, Table, number_cell, table, text_cell

_POINTS = (0.0, 1.0)
_WORDS = {PASS: ("✓ kept", "good"), FAIL: ("✗ fell", "bad")}


def build_gate(
    verdict: Verdict, out_dir: Path, baseline: FrozenRun | None = None, candidate: Run | None = None
) -> Path:
    """Write ``gate.html`` and return its path.

    Args:
        verdict: what the gate says.
        out_dir: where to.
        baseline, candidate: the two sides, for the samples; without them the page has none.

    Raises:
        StoreError: the folder cannot be written.
    """
    browser = gate_browser(baseline, candidate) if baseline and candidate else None
    return page.write(out_dir / "gate.html", html(verdict, browser))


def html(verdict: Verdict, browser: dict[str, Any] | None = None) -> str:
    """The whole page."""
    tone = {PASS: "good", FAIL: "bad"}.get(verdict.outcome, "")
    kept = [guard for guard in verdict.guards if guard.kept]
    broken = [guard for guard in verdict.guards if not guard.kept]
    context = {
        "title": f"Gate: {verdict.outcome}, {verdict.candidate}",
        "heading": verdict.outcome,
        "tone": tone,
        "kicker": "Gate",
        "byline": f"candidate {verdict.candidate} · baseline {verdict.baseline} (run {verdict.baseline_run})",
        "verdict": true_minus(short_sentence(verdict)),
        "reasons": [true_minus(reason) for reason in verdict.reasons],
        "warnings": verdict.warnings,
        "advice": code_spans(advice(verdict)),
        "figure": gate_plot(verdict).markup(),
        "tasks": task_table(verdict),
        "broken": guard_table("gate-broken", "Guards that broke", broken),
        "unbroken": guard_table("gate-kept", "Guards that were kept", kept),
        "baseline_sha256": verdict.baseline_sha256,
        "kept": browser["kept"] if browser else None,
    }
    names = [f"baseline {verdict.baseline}", f"candidate {verdict.candidate}"]
    data = {"view": "gate", "runs": names, "samples": browser} if browser else None
    scripts = ("link.js", "report.js", *(SAMPLE_SCRIPTS if browser else ()))
    return page.render("gate.html.jinja", context, scripts=scripts, data=data)


def short_sentence(verdict: Verdict) -> str:
    """The verdict in words; of many reasons the first, since all are listed below."""
    sentence = verdict.sentence.removeprefix(f"{verdict.outcome}: ")
    if len(verdict.reasons) > 1:
        sentence = f"{verdict.reasons[0]}; and {fmt.plural(len(verdict.reasons) - 1, 'further reason')}."
    return f"T{sentence[1:]}" if sentence.startswith("the ") else sentence  # a task's name stays as it is


def gate_plot(verdict: Verdict) -> Plot:
    """Gains with their intervals and the margin of the macro mean, the worst task first."""
    dots = []
    for task in _worst_first(verdict):
        gain = verdict.differences[task.task].gain()
        value, low, high = (fmt.shown(end, _POINTS) for end in (gain.value, gain.low, gain.high))
        dots.append(figures.Dot(task.task, value, low, high, filled=task.outcome == FAIL))
    macro = verdict.rule.macro
    value, low, high = (fmt.shown(end, _POINTS) for end in (macro.value, macro.low, macro.high))
    dots.append(figures.Dot("Macro mean", value, low, high, strong=True, filled=verdict.rule.outcome == FAIL))
    axis = "candidate − baseline, points (right is better)"
    return Plot(
        "gate",
        "Changes by task",
        "Changes with 95 % intervals; the same numbers are in the table of tasks.",
        partial(figures.forest, dots, axis=axis, margin=verdict.rule.margin * 100),
    )


def _worst_first(verdict: Verdict) -> list[TaskFinding]:
    return sorted(
        verdict.rule.tasks, key=lambda task: (task.outcome != FAIL, task.gain if task.gain is not None else 0.0)
    )


def task_table(verdict: Verdict) -> Table:
    """One line a task, the worst first, and the macro mean below."""
    columns = [
        Column("Task", numeric=False),
        Column("Change", hint="candidate less baseline in points of the scale, up is better"),
        Column("95 % interval"),
        Column("Lower bound", hint="one-sided, 95 %"),
        Column("Margin"),
        Column("p of a fall", hint="one-sided, Holm over the tasks; significant below 0.01"),
        Column("Detectable", hint="drop found with 80 % probability"),
        Column("Flips ▼/▲", hint="units that got worse and better"),
        Column("n"),
        Column("Outcome", numeric=False),
    ]
    rule = verdict.rule
    macro = rule.macro
    footer = [
        Cell("Macro mean"),
        _points(macro.value, macro.low, macro.high),
        Cell(fmt.interval(macro.low, macro.high, signed=True)),
        _points(rule.lower, macro.low, macro.high),
        Cell(_margin(rule.margin)),
        Cell(fmt.p_value(macro.p_fall)),
        Cell(fmt.significant(fmt.shown(rule.detectable, _POINTS), 2)),
        Cell(""),
        Cell(fmt.count(verdict.samples)),
        Cell(rule.outcome.lower()),
    ]
    rows = [_task_row(verdict, task) for task in _worst_first(verdict)]
    return table("gate-tasks", "Tasks, the worst first", columns, rows, align=(1, 3), footer=[footer])


def _points(value: float | None, low: float | None, high: float | None) -> Cell:
    return number_cell(fmt.shown(value, _POINTS), fmt.score(value, low, high, signed=True))


def _margin(margin: float) -> str:
    return f"{margin * 100:g}"


def _task_row(verdict: Verdict, task: TaskFinding) -> list[Cell]:
    gain = verdict.differences[task.task].gain()
    words, tone = _WORDS.get(task.outcome, ("? unsure alone", "muted"))
    flips = fmt.DASH if gain.n_fell is None else f"{fmt.count(gain.n_fell)} / {fmt.count(gain.n_rose)}"
    detectable = fmt.shown(task.detectable, _POINTS)
    return [
        text_cell(task.task),
        _points(gain.value, gain.low, gain.high),
        Cell(fmt.interval(gain.low, gain.high, signed=True), sort=gain.low),
        _points(task.lower, gain.low, gain.high),
        number_cell(task.margin, _margin(task.margin)),
        number_cell(task.p_holm, fmt.p_value(task.p_holm)),
        number_cell(detectable, fmt.significant(detectable, 2)),
        Cell(flips, sort=gain.n_fell),
        number_cell(gain.n_units, fmt.count(gain.n_units)),
        Cell(words, sort=words, tone=tone),
    ]


def guard_table(name: str, caption: str, guards: Sequence[Guard]) -> Table | None:
    """Some guards; None where there are none."""
    if not guards:
        return None
    rows = [
        [
            text_cell(guard.kind.replace("_", " ")),
            text_cell(guard.task or "whole run"),
            Cell(true_minus(guard.detail), sort=guard.found),
            Cell("✓ kept", sort=1, tone="good") if guard.kept else Cell("✗ broken", sort=0, tone="bad"),
        ]
        for guard in guards
    ]
    labels = ("Guard", "Task", "Found", "Outcome")
    return table(name, caption, [Column(label, numeric=False) for label in labels], rows)
