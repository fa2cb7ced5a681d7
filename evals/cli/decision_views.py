"""What `compare`, `leaderboard` and `gate` print."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from evals.cli.printing import number, p_value, print_json, print_table

if TYPE_CHECKING:
    from evals.compare import Ablation, Comparison, TaskComparison
    from evals.gate import SpeedVerdict, Verdict
    from evals.leaderboard import Board


def show_comparison(comparisons: Sequence[Comparison], ablation: Ablation | None, *, as_json: bool) -> None:
    """Each comparison's tasks (scores, difference with interval, adjusted p, flips) and sentence; then the curves."""
    if as_json:
        from evals.compare import comparison_json

        print_json(comparison_json(comparisons, ablation))
        return
    for found in comparisons:
        columns = ["task", "A", "B", "B − A", "95 % interval", "p (Holm)", "fell", "rose", "verdict"]
        print_table(f"A {found.a} · B {found.b}", columns, map(_comparison_row, found.tasks), range(1, 8))
        for allowed in found.allowed:
            print(f"allowed to differ: {allowed.task} {allowed.part}: {allowed.detail}")
        for warning in found.warnings:
            print(f"note: {warning}")
        print(found.sentence)
    if ablation is not None:
        columns = ["step", "run", "macro", "rank", *(curve.task for curve in ablation.curves)]
        print_table("checkpoints", columns, _ablation_rows(ablation), range(2, len(columns)))
        for curve in ablation.curves:
            gained = "never" if curve.first_gain is None else f"from step {curve.first_gain:,} on"
            print(f"{curve.task}: significantly above the first step {gained}")
        print(ablation.sentence)


def _ablation_rows(ablation: Ablation) -> Iterable[list[str]]:
    for i, point in enumerate(ablation.macro):
        best, worst = ablation.ranks[i]
        rank = f"{best}" if best == worst else f"{best}–{worst}"
        tasks = [number(curve.points[i].value, curve.scale) for curve in ablation.curves]
        yield [f"{point.step:,}", point.run, number(point.value, (0.0, 1.0)), rank, *tasks]


def _comparison_row(task: TaskComparison) -> list[str]:
    found, scale = task.difference, task.scale

    def signed(value: float | None) -> str:
        text = number(value, scale)
        return f"+{text}" if value is not None and value > 0 else text

    return [
        task.task,
        number(found.a, scale),
        number(found.b, scale),
        signed(found.value),
        f"[{signed(found.low)}, {signed(found.high)}]",
        p_value(task.p_holm),
        "–" if found.n_fell is None else f"{found.n_fell:,}",
        "–" if found.n_rose is None else f"{found.n_rose:,}",
        task.verdict,
    ]


def show_verdict(verdict: Verdict | SpeedVerdict, *, as_json: bool) -> None:
    """A gate's verdict in words, or whole as JSON."""
    if as_json:
        from evals.gate.outputs import verdict_json

        print_json(verdict_json(verdict))
    else:
        print(verdict.sentence)
        for warning in getattr(verdict, "warnings", ()):
            print(f"note: {warning}")


def show_board(board: Board, *, as_json: bool) -> None:
    """A leaderboard as Markdown, which is also what people paste, or as JSON."""
    from evals.leaderboard import board_json, board_markdown

    if as_json:
        print_json(board_json(board))
    else:
        print(board_markdown(board))
