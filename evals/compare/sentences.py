"""Verdicts in words. "Same" is never said for want of evidence; what could not be seen is said with its size."""

from __future__ import annotations

from evals.statistics import Difference, Macro

UNDEFINED = "Nothing can be said: fewer than two independent clusters were scored by both."


def verdict_of(p: float | None, lower: float | None, upper: float | None, value: float | None, margin: float) -> str:
    """better | worse | equivalent | undetected | undefined.

    Args:
        p: (adjusted) two-sided p; significant at 5 %.
        lower, upper: one-sided 95 % bounds of the gain; both within the margin is equivalence (two one-sided tests).
        value: the gain (up is better).
    """
    if p is None or lower is None or upper is None or value is None:
        return "undefined"
    if p <= 0.05 and value != 0:
        return "better" if value > 0 else "worse"
    return "equivalent" if -margin < lower and upper < margin else "undetected"


def amount(value: float, scale: tuple[float | None, float | None], *, signed: bool = False) -> str:
    """A number on a scale: points for 0..1 and open rates, the scale's own units otherwise."""
    if scale[1] in (1.0, None):
        return f"{value * 100:{'+' if signed else ''}.1f} points"
    return f"{value:{'+' if signed else ''}.3g}"


def task_sentence(
    verdict: str, diff: Difference, scale: tuple[float | None, float | None], detectable: float | None, margin: float
) -> str:
    """One task's verdict in a sentence.

    Args:
        detectable: smallest effect that 80 % of such comparisons would find, in the statistic's units.
        margin: of equivalence, in parts of the scale.
    """
    questions = f"{diff.n_units:,} question{'' if diff.n_units == 1 else 's'}"
    if verdict == "undefined" or diff.value is None or diff.low is None or diff.high is None:
        return UNDEFINED
    interval = f"95 % interval {amount(diff.low, scale, signed=True)} to {amount(diff.high, scale, signed=True)}"
    change = f"{amount(diff.value, scale, signed=True)}, {interval}"
    if verdict in ("better", "worse"):
        return f"B is {verdict}: {change}."
    if verdict == "equivalent":
        return f"Equivalent within ±{amount(margin * diff.span, scale)}: {change}."
    return (
        f"No detectable difference; effects under {amount(detectable or 0.0, scale)} cannot be seen with {questions}."
    )


def overall_sentence(verdict: str, macro: Macro | None, detectable: float | None, margin: float, why_not: str) -> str:
    """The verdict over all tasks in a sentence; ``why_not`` where there is no macro difference."""
    if macro is None or macro.value is None or macro.low is None or macro.high is None:
        return f"No overall difference: {why_not}."
    change = f"{macro.value * 100:+.1f} points (95 % interval {macro.low * 100:+.1f} to {macro.high * 100:+.1f})"
    tasks = f"over {macro.n_tasks} task{'' if macro.n_tasks == 1 else 's'}"
    if verdict in ("better", "worse"):
        return f"B is {verdict} {tasks}: {change}."
    if verdict == "equivalent":
        return f"A and B are equivalent within ±{margin * 100:.1f} points {tasks}: {change}."
    unseen = f"effects under {(detectable or 0.0) * 100:.1f} points cannot be seen"
    return f"No detectable difference {tasks}: {change}; {unseen}."
