"""Guessing: each question is answered with a draw from what could be an answer."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evals.controls.oracle import best_reference
from evals.controls.planned import Control, all_questions

if TYPE_CHECKING:
    from evals.plan import TaskPlan


class Chance(Control):
    """Draws evenly from the question's options; without options from the whole numbers between the task's smallest
    and largest answer where all answers are such numbers, else from the task's distinct answers (yes and no, say).

    A draw follows from seed, task and request id alone, so it depends on no order.

    Args:
        seed: of the draws.
    """

    name = "chance"

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed

    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "seed": self._seed}

    def answers(self, plan: TaskPlan) -> Mapping[str, str]:
        """A guess for each question."""
        questions = list(all_questions(plan))
        known = possible_answers([best_reference(q) for q in questions if q.references])
        drawn = {}
        for question in questions:
            right = best_reference(question) if question.references else ""
            options: Mapping[str, str] = question.fields.get("choices") or {}
            possible = list(options) if right in options else list(options.values()) if options else known
            if possible:
                place = self._draw(plan.spec.name, question.request_id, len(possible))
                drawn[question.request_id] = str(possible[place])
        return drawn

    def _draw(self, task: str, request_id: str, n: int) -> int:
        """Even over 0 ... n - 1 to within n / 2**64."""
        digest = hashlib.sha256(f"{self._seed}\0{task}\0{request_id}".encode("utf-8", "replace")).digest()
        return int.from_bytes(digest[:8], "big") % n


def possible_answers(answers: Sequence[str]) -> Sequence[str | int]:
    """What a guess without options can be: a range of whole numbers, or the distinct answers in order."""
    numbers = [int(answer) for answer in answers if answer.isascii() and answer.isdecimal()]
    if numbers and len(numbers) == len(answers):
        return range(min(numbers), max(numbers) + 1)
    return sorted(set(answers))
