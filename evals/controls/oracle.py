"""The ceiling: every question is answered with what its references say. A task on which it fails has a wrong scorer,
a wrong extractor, or references that no answer can meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from evals.controls.planned import Control, all_questions
from evals.records import Question

if TYPE_CHECKING:
    from evals.plan import TaskPlan


class Oracle(Control):
    """Answers with the reference that most annotators gave, the first of equals."""

    name = "oracle"

    def answers(self, plan: TaskPlan) -> Mapping[str, str]:
        """The best reference of each question; a question without references has no answer."""
        return {q.request_id: best_reference(q) for q in all_questions(plan) if q.references}


def best_reference(question: Question) -> str:
    """The most frequent reference, the first of equals."""
    return Counter(question.references).most_common(1)[0][0]
