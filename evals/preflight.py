"""Scoring tried out before a model is asked: what would fail afterwards fails at once, and costs no answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evals.errors import SpecError
from evals.plan import TaskPlan
from evals.records import Answer, Question
from evals.scoring import score_task
from evals.spec.records import TaskSpec

SAMPLES = 16  # enough to see every column; the metrics that start other programs take long for more


def try_scoring(plan: TaskPlan) -> None:
    """Score the first samples of a plan as if each had been answered by its reference.

    Raises:
        SpecError: an option of a metric that it does not have, a headline that is none of the statistics, a chance off
            the headline's scale.
        DataError: a field that a metric needs and the task does not name, a reference that a metric does not know.
    """
    spec = plan.spec
    questions = [question for place in range(min(SAMPLES, len(plan.dataset))) for question in plan.questions.of(place)]
    answers = {question.request_id: _reference(spec, question) for question in questions}
    later = spec.headline is not None and "=" in spec.headline  # of a value that need not be among the first samples
    scored = score_task(replace(spec, headline=None) if later else spec, questions, answers.get, _forget)
    low, high = scored.statistics[0].scale
    if spec.chance is not None and not later and not low <= spec.chance <= high:
        raise SpecError(
            f"Task {spec.name!r}: its chance is {spec.chance:g}, but {scored.statistics[0].name} lies between {low:g} "
            f"and {high:g}. State it on that scale, such as 0.25 for one of four."
        )


def _reference(spec: TaskSpec, question: Question) -> Answer:
    """The reference as an answer; of likelihoods, all options alike."""
    options = question.fields.get("choices") or ()
    scores = tuple(0.0 for _ in options) if spec.protocol == "likelihood" else None
    text = question.references[0] if question.references else ""
    return Answer(
        question.request_id,
        question.sample_id,
        question.content_hash,
        text,
        choice_scores=scores,
        choice_tokens=None if scores is None else tuple(1 for _ in options),
    )


def _forget(_rows: Sequence[object]) -> None:
    """Nothing is kept."""
