"""The gate: a candidate run against a baseline gives PASS, FAIL or INCONCLUSIVE, with what decided it.

Exit codes: 0 PASS · 1 FAIL · 3 INCONCLUSIVE · 4 not comparable (raised as ComparisonError) · 5 FAIL only because more
requests failed than allowed, which says nothing about the model's answers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from evals.compare.batches import rounding_notes
from evals.compare.efficiency import hardware_note
from evals.compare.evidence import RunLike, join, load_evidence
from evals.compare.identity import Mismatch, mismatches, require_comparable
from evals.compare.records import CategoryComparison
from evals.compare.runs import compare_categories
from evals.errors import ComparisonError
from evals.gate.baseline import Baseline, measured_rates, require_finished
from evals.gate.guards import Guard, category_guards, memory_guard, rate_guards
from evals.gate.rule import FAIL, INCONCLUSIVE, PASS, RuleFinding, apply_rule
from evals.statistics import Difference, TaskNumber, difference_part, paired_difference

EXIT_CODES = {PASS: 0, FAIL: 1, INCONCLUSIVE: 3}
ERRORS_ONLY = 5
SENTENCE_REASONS = 3  # reasons in the verdict's sentence; all of them are listed below it


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says.

    Attributes:
        outcome: PASS | FAIL | INCONCLUSIVE; exit_code as the module says.
        sentence: the verdict in words; reasons: what decided it.
        rule: the accuracy rule's finding; differences: by task, candidate less baseline in the statistic's own units.
        samples_needed: samples of all tasks together that would settle an inconclusive verdict (80 % chance that an
            unchanged model passes); None where not needed or not known.
        noise: the baseline's noise floor by task; agreement: share of units answered alike, by task.
    """

    outcome: str
    exit_code: int
    sentence: str
    reasons: tuple[str, ...]
    baseline: str
    baseline_sha256: str
    baseline_run: str
    candidate: str
    suite: str | None
    strict: bool
    rule: RuleFinding
    differences: dict[str, Difference]
    agreement: dict[str, float | None]
    noise: dict[str, dict[str, float | None]]
    guards: tuple[Guard, ...]
    allowed: tuple[Mismatch, ...]
    samples: int
    samples_needed: int | None
    warnings: tuple[str, ...]


def judge(baseline: Baseline, candidate: RunLike, *, allow: Collection[str] = (), strict: bool = False) -> Verdict:
    """Judge a finished, scored run against a baseline.

    Raises:
        ComparisonError: tasks are missing, identities differ in a part that is not allowed to, or no sample is common.
        StoreError: the candidate has not finished.
    """
    allowed = _require_judgeable(baseline, candidate, allow)
    differences: dict[str, Difference] = {}
    agreement: dict[str, float | None] = {}
    cells: dict[str, Sequence[CategoryComparison]] = {}
    parts: list[TaskNumber] = []
    guards: list[Guard] = []
    warnings = [f"{m.task}: {m.part} differs and was allowed ({m.detail})" for m in allowed]
    for task, result in baseline.run.results["tasks"].items():
        joined = join(load_evidence(baseline.run, task).compact(), load_evidence(candidate, task).compact())
        one, two = joined.a, joined.b
        if not one.ids:
            raise ComparisonError(
                f"Task {task!r}: baseline {baseline.name} and {candidate.manifest['run_id']} have no scored sample in "
                "common. Run the candidate on the baseline's data."
            )
        differences[task] = paired_difference(one.statistic, two.statistic, one.clusters)
        parts.append(difference_part(task, differences[task].gain(), one.clusters, float(result["weight"])))
        agreement[task] = sum(x == y for x, y in zip(one.answers, two.answers, strict=True)) / len(one.ids)
        cells[task] = compare_categories(joined, resamples=0)
        guards += rate_guards(task, baseline.rates[task], measured_rates(candidate, task), baseline.margins)
        left_out = joined.only_a + joined.only_b + joined.unscored
        if left_out:
            warnings.append(f"{task}: {left_out} rows have no score on both sides and are left out")
    warnings += rounding_notes(baseline.run, candidate, list(differences))
    guards += category_guards(cells, baseline.margins)
    if not hardware_note(baseline.run, candidate):
        before, after = (run.results.get("efficiency", {}) for run in (baseline.run, candidate))
        guards += memory_guard(before, after, baseline.margins)
    gains = {task: difference.gain() for task, difference in differences.items()}
    rule = apply_rule(gains, parts, baseline.margins, strict=strict)
    return _verdict(baseline, candidate, rule, guards, differences, agreement, allowed, warnings, strict)


def _require_judgeable(baseline: Baseline, candidate: RunLike, allow: Collection[str]) -> tuple[Mismatch, ...]:
    names = f"baseline {baseline.name}", candidate.manifest["run_id"]
    require_finished(candidate)
    wanted, given = baseline.run.results["tasks"], candidate.results["tasks"]
    missing = [task for task in wanted if task not in given]
    if missing:
        raise ComparisonError(
            f"{names[1]} lacks {len(missing)} of the {len(wanted)} tasks of {names[0]}: {', '.join(missing)}. "
            "A gate judges all of them; run the missing ones into the same run directory."
        )
    identities = [run.manifest["identity"]["tasks"] for run in (baseline.run, candidate)]
    found = mismatches(identities[0], identities[1], list(wanted))
    require_comparable(found, allow, *names)
    return tuple(found)


def _verdict(
    baseline: Baseline,
    candidate: RunLike,
    rule: RuleFinding,
    guards: Sequence[Guard],
    differences: dict[str, Difference],
    agreement: dict[str, float | None],
    allowed: Sequence[Mismatch],
    warnings: Sequence[str],
    strict: bool,
) -> Verdict:
    broken = [guard for guard in guards if not guard.kept]
    fallen = {task.task for task in rule.tasks if task.outcome == FAIL}
    # The categories of a task that fell as a whole add nothing to why; they stay among the guards.
    telling = [guard for guard in broken if guard.kind != "category_collapse" or guard.task not in fallen]
    reasons = [*rule.reasons, *(f"{guard.task}: {guard.detail}" if guard.task else guard.detail for guard in telling)]
    outcome = FAIL if broken else rule.outcome
    errors_only = outcome == FAIL and not rule.reasons and all(guard.kind == "error_rate" for guard in broken)
    samples = sum(difference.n_units for difference in differences.values())
    needed = None if rule.times_samples is None else math.ceil(samples * rule.times_samples)
    return Verdict(
        outcome=outcome,
        exit_code=ERRORS_ONLY if errors_only else EXIT_CODES[outcome],
        sentence=_sentence(outcome, rule, reasons, samples, needed, strict),
        reasons=tuple(reasons),
        baseline=baseline.name,
        baseline_sha256=baseline.sha256,
        baseline_run=baseline.run.manifest["run_id"],
        candidate=candidate.manifest["run_id"],
        suite=candidate.manifest.get("suite"),
        strict=strict,
        rule=rule,
        differences=differences,
        agreement=agreement,
        noise={task: dict(values) for task, values in baseline.noise.items()},
        guards=tuple(guards),
        allowed=tuple(allowed),
        samples=samples,
        samples_needed=needed if needed and needed > samples else None,
        warnings=tuple(warnings),
    )


def _sentence(
    outcome: str, rule: RuleFinding, reasons: Sequence[str], samples: int, needed: int | None, strict: bool
) -> str:
    margin = f"{rule.margin * 100:.1f} point{'' if rule.margin == 0.01 else 's'}"
    visible = "" if rule.detectable is None else f" A drop of {rule.detectable * 100:.1f} points would be seen."
    if outcome == FAIL:
        more = f"; and {len(reasons) - SENTENCE_REASONS} more" if len(reasons) > SENTENCE_REASONS else ""
        return f"FAIL: {'; '.join(reasons[:SENTENCE_REASONS])}{more}."
    if outcome == PASS:
        level = (rule.macro.value or 0.0) * 100
        return (
            f"PASS: the macro mean changed by {level:+.1f} points and fell by less than {margin} (95 % sure).{visible}"
        )
    if rule.lower is None:
        return "INCONCLUSIVE: fewer than two independent clusters in a task, so nothing can be said about its error."
    if rule.lower > -rule.margin and strict:
        unsure = ", ".join(task.task for task in rule.tasks if task.outcome != PASS)
        return f"INCONCLUSIVE: the macro mean is kept, but not each task on its own as --strict asks: {unsure}."
    more = "" if not needed or needed <= samples else f" About {needed:,} samples (now {samples:,}) would settle it."
    return (
        f"INCONCLUSIVE: no regression is shown, but a fall of up to {-rule.lower * 100:.1f} points in the macro mean "
        f"cannot be excluded, and the margin is {margin}.{more}"
    )
