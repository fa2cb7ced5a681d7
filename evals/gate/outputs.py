"""What a gate leaves behind: verdict.json for programs, junit.xml for CI, report.md for people."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from evals.compare.records import as_json
from evals.errors import ComparisonError, StoreError
from evals.files import write_bytes, write_json
from evals.gate.rule import FAIL, INCONCLUSIVE, PASS, TaskFinding
from evals.gate.speed import SpeedVerdict
from evals.gate.speed_rule import SpeedFinding
from evals.gate.verdict import Verdict

SUMMARY_VARIABLE = "GITHUB_STEP_SUMMARY"
REPORT_LIMIT = 1024 * 1024 - 4096  # a job summary above 1 MiB is not shown at all; the rest is room for other steps
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARK = {PASS: "✅", FAIL: "❌", INCONCLUSIVE: "❔"}


def write_verdict(verdict: Verdict | SpeedVerdict, folder: Path) -> None:
    """Write verdict.json, junit.xml and report.md, and append the report to the CI's job summary where there is one."""
    write_json(folder / "verdict.json", verdict_json(verdict))
    if isinstance(verdict, SpeedVerdict):
        cases, report = [_finding_case(finding) for finding in verdict.findings], speed_markdown(verdict)
        write_bytes(folder / "junit.xml", _suite("speed gate", cases))
    else:
        report = markdown(verdict)
        write_bytes(folder / "junit.xml", junit(verdict))
    write_bytes(folder / "report.md", report.encode())
    append_summary(report)


def write_not_comparable(error: ComparisonError, folder: Path) -> None:
    """Leave the same files where no verdict is possible, so that CI shows an error and never green."""
    document = {"schema_version": 1, "kind": "verdict", "outcome": "NOT COMPARABLE", "exit_code": error.exit_code}
    write_json(folder / "verdict.json", document | {"sentence": str(error)})
    suites = ElementTree.Element("testsuites", name="gate", tests="1", errors="1", failures="0", skipped="0")
    suite = ElementTree.SubElement(suites, "testsuite", name="gate", tests="1", errors="1", failures="0", skipped="0")
    case = ElementTree.SubElement(suite, "testcase", classname="gate", name="comparability")
    ElementTree.SubElement(case, "error", message=_xml(str(error)), type="ComparisonError")
    write_bytes(folder / "junit.xml", _serialised(suites))
    report = f"## ❌ Gate: not comparable\n\n{_cell(str(error))}\n"
    write_bytes(folder / "report.md", report.encode())
    append_summary(report)


def append_summary(report: str) -> None:
    """Append a report to the file that the CI shows as the job's summary, if the variable names one."""
    target = os.environ.get(SUMMARY_VARIABLE)
    if not target:
        return
    try:
        with Path(target).open("a", encoding="utf-8") as file:
            file.write(report + "\n")
    except OSError as error:
        raise StoreError(
            f"Could not append to the job summary {target} (from {SUMMARY_VARIABLE}): {error.strerror}. The verdict's "
            "own files are written; unset the variable or make the file writable."
        ) from error


def verdict_json(verdict: Verdict | SpeedVerdict) -> dict[str, Any]:
    """The verdict as plain JSON; ``kind`` is "verdict" or "speed_verdict"."""
    kind = "speed_verdict" if isinstance(verdict, SpeedVerdict) else "verdict"
    document: dict[str, Any] = {"schema_version": 1, "kind": kind} | as_json(verdict)
    return document


def junit(verdict: Verdict) -> bytes:
    """JUnit XML: one case a task and metric, the macro mean, and the guards. Inconclusive is skipped, or with --strict
    a failure, as is a task that does not pass on its own then."""
    cases = [_macro_case(verdict), *(_task_case(verdict, task) for task in verdict.rule.tasks)]
    cases += [_guard_case(guard.kind, guard.task, guard.kept, guard.detail) for guard in verdict.guards]
    return _suite(f"gate {verdict.baseline}", cases)


def _suite(name: str, cases: Sequence[ElementTree.Element]) -> bytes:
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.find("failure") is not None for case in cases)),
        "skipped": str(sum(case.find("skipped") is not None for case in cases)),
        "errors": "0",
    }
    suites = ElementTree.Element("testsuites", {"name": "gate", **counts})
    suite = ElementTree.SubElement(suites, "testsuite", {"name": _xml(name), **counts})
    suite.extend(cases)
    return _serialised(suites)


def _finding_case(finding: SpeedFinding) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname="gate.speed", name=finding.quantity)
    _properties(case, {key: getattr(finding, key) for key in ("ratio", "low", "high", "p_holm", "margin")})
    if finding.outcome == FAIL:
        ElementTree.SubElement(case, "failure", message=_xml(finding.reason), type=FAIL)
    elif finding.outcome == INCONCLUSIVE:
        ElementTree.SubElement(case, "skipped", message=_xml(finding.reason))
    return case


def _task_case(verdict: Verdict, task: TaskFinding) -> ElementTree.Element:
    difference = verdict.differences[task.task]
    case = ElementTree.Element("testcase", classname=_xml(f"gate.{task.task}"), name=_xml(f"{task.task}"))
    facts = {
        "baseline": difference.a,
        "candidate": difference.b,
        "difference": difference.value,
        "low": difference.low,
        "high": difference.high,
        "p_holm": task.p_holm,
        "detectable": task.detectable,
        "discordance": difference.discordance,
        "margin": task.margin,
    }
    _properties(case, facts)
    changed = f"{_points(task.gain)}, bound {_points(task.lower)}, margin {task.margin * 100:.1f} points"
    if task.outcome == FAIL or (task.outcome == INCONCLUSIVE and verdict.strict):
        ElementTree.SubElement(case, "failure", message=_xml(changed), type=task.outcome)
    elif task.outcome == INCONCLUSIVE:
        message = f"{changed}: cannot be judged alone; the macro mean decides"
        ElementTree.SubElement(case, "skipped", message=_xml(message))
    return case


def _macro_case(verdict: Verdict) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname="gate", name="macro mean")
    rule = verdict.rule
    facts = {
        "difference": rule.macro.value,
        "low": rule.macro.low,
        "high": rule.macro.high,
        "lower_95": rule.lower,
        "upper_99": rule.upper,
        "margin": rule.margin,
        "detectable": rule.detectable,
    }
    _properties(case, facts)
    failed = rule.lower is not None and rule.upper is not None and rule.lower <= -rule.margin and rule.upper < 0
    unsure = rule.lower is None or rule.lower <= -rule.margin
    if failed or (unsure and verdict.strict):
        ElementTree.SubElement(case, "failure", message=_xml(verdict.sentence), type=verdict.outcome)
    elif unsure:
        ElementTree.SubElement(case, "skipped", message=_xml(verdict.sentence))
    return case


def _guard_case(kind: str, task: str, kept: bool, detail: str) -> ElementTree.Element:
    name = f"{kind} {task}".strip()
    case = ElementTree.Element("testcase", classname="gate.guards", name=_xml(name))
    if not kept:
        ElementTree.SubElement(case, "failure", message=_xml(detail), type="guard")
    return case


def _properties(case: ElementTree.Element, facts: dict[str, float | None]) -> None:
    held = ElementTree.SubElement(case, "properties")
    for name, value in facts.items():
        if value is not None:
            ElementTree.SubElement(held, "property", name=name, value=f"{value:.6g}")


def _xml(text: str) -> str:
    """Text without characters that XML 1.0 cannot hold."""
    return _NOT_XML.sub("\ufffd", text)


def _serialised(root: ElementTree.Element) -> bytes:
    ElementTree.indent(root)
    text: str = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'.encode()


def markdown(verdict: Verdict, limit: int = REPORT_LIMIT) -> str:
    """The verdict as a pull-request comment: what was decided, what decided it, all tasks, guards, what to do next.

    Args:
        limit: most bytes of UTF-8; task rows beyond it are left out with a note.
    """
    head = [f"## {_MARK[verdict.outcome]} Gate: {verdict.outcome}", "", _cell(verdict.sentence), ""]
    if len(verdict.reasons) > 1:
        head += ["Decided by:", "", *(f"- {_cell(reason)}" for reason in verdict.reasons), ""]
    rule = verdict.rule
    table = ["| Task | Baseline | Candidate | Difference [95 %] | Changed | Adjusted p (fall) | Visible drop | |"]
    table.append("|---|--:|--:|--:|--:|--:|--:|---|")
    table.append(
        f"| **Macro mean** | | | {_range(rule.macro.value, rule.macro.low, rule.macro.high)} | | "
        f"{_p(rule.macro.p_fall)} | {_points(rule.detectable, signed=False)} | margin {rule.margin * 100:.1f} |"
    )
    rows = [_row(verdict, task) for task in sorted(rule.tasks, key=lambda t: (t.outcome != FAIL, t.gain or 0.0))]
    tail = ["", *_guard_lines(verdict), *_warning_lines(verdict), "### What to do next", "", advice(verdict), ""]
    tail.append(
        f"<sub>candidate {_cell(verdict.candidate)} against baseline {_cell(verdict.baseline)} "
        f"({_cell(verdict.baseline_run)}, {verdict.baseline_sha256[:12]}), {verdict.samples:,} samples</sub>\n"
    )
    return _fitted([*head, *table], rows, tail, limit)


def speed_markdown(verdict: SpeedVerdict) -> str:
    """The speed verdict as a pull-request comment."""
    lines = [f"## {_MARK[verdict.outcome]} Speed gate: {verdict.outcome}", "", _cell(verdict.sentence), ""]
    lines += [
        "| Quantity | Worse by [95 % one-sided bounds] | p (Holm) | Margin | Pairs | |",
        "|---|--:|--:|--:|--:|---|",
    ]
    for f in verdict.findings:
        change = f"{_worse(f.ratio)} [{_worse(f.low)}, {_worse(f.high)}]"
        verdict_cell = f"{_MARK[f.outcome]} {f.reason}"
        lines.append(
            f"| {f.quantity} | {change} | {_p(f.p_holm)} | {f.margin * 100:.0f} % | {f.n_pairs} | {verdict_cell} |"
        )
    runs = f"{', '.join(verdict.baseline_runs)} against {', '.join(verdict.candidate_runs)}"
    return "\n".join([*lines, "", f"<sub>{_cell(runs)} on hardware {_cell(verdict.hardware_key)}</sub>", ""])


def _worse(ratio: float | None) -> str:
    return "–" if ratio is None else f"{(ratio - 1) * 100:+.1f} %"


def _fitted(before: Sequence[str], rows: Sequence[str], after: Sequence[str], limit: int) -> str:
    room = limit - len("\n".join([*before, *after]).encode()) - 100
    kept, used = 0, 0
    while kept < len(rows) and used + len(rows[kept].encode()) + 1 <= room:
        used += len(rows[kept].encode()) + 1
        kept += 1
    note = [f"| … {len(rows) - kept} more tasks in verdict.json | | | | | | | |"] if kept < len(rows) else []
    text = "\n".join([*before, *rows[:kept], *note, *after])
    return text if len(text.encode()) <= limit else text.encode()[:limit].decode(errors="ignore")


def _row(verdict: Verdict, task: TaskFinding) -> str:
    difference = verdict.differences[task.task]
    gain = difference.gain()
    word = {FAIL: "❌ fell", PASS: "✅ kept", INCONCLUSIVE: "❔ alone unsure"}[task.outcome]
    flips = "" if difference.n_rose is None else f" (+{gain.n_rose} −{gain.n_fell})"
    changed = "–" if difference.discordance is None else f"{difference.discordance * 100:.1f} %{flips}"
    return (
        f"| {_cell(task.task)} | {_score(difference.a, difference.span)} | {_score(difference.b, difference.span)} | "
        f"{_range(gain.value, gain.low, gain.high)} | {changed} | {_p(task.p_holm)} | "
        f"{_points(task.detectable, signed=False)} | {word} |"
    )


def _guard_lines(verdict: Verdict) -> list[str]:
    lines = ["### Guards", ""]
    for guard in sorted(verdict.guards, key=lambda g: g.kept):
        where = f"{guard.task}: " if guard.task else ""
        lines.append(f"- {'✅' if guard.kept else '❌'} {_cell(where + guard.detail)}")
    return [*lines, ""] if verdict.guards else []


def _warning_lines(verdict: Verdict) -> list[str]:
    if not verdict.warnings:
        return []
    return ["### Read with care", "", *(f"- {_cell(line)}" for line in verdict.warnings), ""]


def advice(verdict: Verdict) -> str:
    """What to do next, in a sentence or two."""
    if verdict.outcome == PASS:
        return "Nothing. If the change is meant to move scores up, update the baseline after merging."
    if verdict.outcome == FAIL:
        return (
            "Look at the samples that were right before and are wrong now (`run_eval.py compare` with the baseline's "
            "run lists them). If the fall is accepted, update the baseline in the same pull request and say why."
        )
    if verdict.samples_needed:
        return f"Run the gate on about {verdict.samples_needed:,} samples, or accept a wider margin with a reason."
    return "Run the gate on more samples, or widen the margin with a reason."


def _score(value: float | None, span: float) -> str:
    if value is None:
        return "–"
    return f"{value * 100:.1f}" if span == 1.0 else f"{value:.4g}"


def _points(value: float | None, *, signed: bool = True) -> str:
    return "–" if value is None else f"{value * 100:{'+' if signed else ''}.1f}"


def _range(value: float | None, low: float | None, high: float | None) -> str:
    return f"{_points(value)} [{_points(low)}, {_points(high)}]"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def _cell(text: str) -> str:
    """Text that cannot break out of a table cell or a line, nor become HTML."""
    return re.sub(r"\s+", " ", text).replace("|", "\\|").replace("<", "&lt;")
