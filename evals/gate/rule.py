"""The accuracy rule: paired non-inferiority on two levels, so that power does not drown in the number of tasks.

FAIL          the macro mean fell (U.01 < 0) and its margin may be exceeded (L.05 <= -margin); or a task fell
              significantly (Holm-adjusted one-sided p < .005) and by at least half its margin
PASS          not FAIL, and the macro mean fell by less than its margin (L.05 > -margin)
INCONCLUSIVE  anything else

L and U are one-sided bounds of the gain, candidate less baseline. Demanding that each task passes alone (``strict``)
is an intersection-union test: with four tasks of 500 questions an unchanged model would pass about one time in ten.
Error rates of the rule, simulated: tests/gate/test_gate_simulated.py and docs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evals.gate.margins import Margins
from evals.statistics import Difference, Macro, TaskNumber, detectable_effect, holm, macro_mean

PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
MACRO_ALPHA = 0.01
# Half of the macro level's: an unchanged model then fails in clearly under 2 % (with 0.01 here, 2.2 % were simulated),
# and a drop of 5 points in one of four tasks of 1,000 is still found in over 99 %.
TASK_ALPHA = 0.005
PASS_ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class TaskFinding:
    """One task under the rule; all numbers are gains in parts of the scale.

    Attributes:
        lower, upper: one-sided bounds L.05 and U.01; p_holm: one-sided p of a fall, adjusted over the tasks.
        detectable: drop found with 80 % probability, one-sided at 5 %.
        outcome: FAIL as the rule says; otherwise PASS where L.05 > -margin, else INCONCLUSIVE (which does not decide).
    """

    task: str
    gain: float | None
    lower: float | None
    upper: float | None
    p_holm: float | None
    margin: float
    detectable: float | None
    outcome: str


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """The rule's outcome with what decided it; ``macro`` as in :mod:`evals.statistics.macro`."""

    outcome: str
    macro: Macro
    lower: float | None
    upper: float | None
    margin: float
    detectable: float | None
    tasks: tuple[TaskFinding, ...]
    reasons: tuple[str, ...]
    times_samples: float | None


def apply_rule(
    gains: Mapping[str, Difference], parts: Sequence[TaskNumber], margins: Margins, *, strict: bool = False
) -> RuleFinding:
    """Judge the paired gains of all tasks.

    Args:
        gains: by task, ``Difference.gain()`` of candidate less baseline.
        parts: the same as parts of the macro mean, weights set.
        margins: see :class:`Margins`.
        strict: a pass also needs every task to pass on its own.

    Returns:
        ``times_samples``: how many times as many samples an unchanged model would need to pass with 80 % probability;
        None where it needs no more, or where that cannot be known.
    """
    tasks = _judge_tasks(gains, margins)
    macro = macro_mean(parts)
    lower, upper = macro.lower(PASS_ALPHA), macro.upper(MACRO_ALPHA)
    reasons = [_task_reason(t) for t in tasks if t.outcome == FAIL]
    if lower is not None and upper is not None and lower <= -margins.macro and upper < 0:
        reasons.append(
            f"the macro mean fell by {-(macro.value or 0.0) * 100:.1f} points (99 % sure of a fall, and the margin of "
            f"{margins.macro * 100:.1f} points is not kept)"
        )
    passed = lower is not None and lower > -margins.macro
    if strict:
        passed = passed and all(task.outcome == PASS for task in tasks)
    outcome = FAIL if reasons else PASS if passed else INCONCLUSIVE
    detectable = None if macro.se is None else detectable_effect(macro.se, sides=1)
    times = None
    if outcome == INCONCLUSIVE and detectable is not None and detectable > margins.macro > 0:
        times = (detectable / margins.macro) ** 2
    return RuleFinding(outcome, macro, lower, upper, margins.macro, detectable, tasks, tuple(reasons), times)


def _judge_tasks(gains: Mapping[str, Difference], margins: Margins) -> tuple[TaskFinding, ...]:
    adjusted = holm([gain.p_fall for gain in gains.values()])
    found = []
    for (task, gain), p in zip(gains.items(), adjusted, strict=True):
        margin, lower, effective = margins.of(task), gain.lower(PASS_ALPHA), gain.effective_se
        outcome = PASS if lower is not None and lower > -margin else INCONCLUSIVE
        if p is not None and gain.value is not None and p < TASK_ALPHA and gain.value <= -margin / 2:
            outcome = FAIL
        detectable = None if effective is None else detectable_effect(effective, sides=1)
        found.append(TaskFinding(task, gain.value, lower, gain.upper(MACRO_ALPHA), p, margin, detectable, outcome))
    return tuple(found)


def _task_reason(task: TaskFinding) -> str:
    return (
        f"{task.task} fell by {-(task.gain or 0.0) * 100:.1f} points (adjusted p = {task.p_holm:.2g}), more than half "
        f"its margin of {task.margin * 100:.1f} points"
    )
