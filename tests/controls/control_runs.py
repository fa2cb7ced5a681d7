"""Putting a control's answers to the scorers without a run directory: what the tests of controls share."""

from __future__ import annotations

from evals.controls import load_model
from evals.controls.planned import bound
from evals.data import Dataset
from evals.plan import TaskPlan, make_plan
from evals.prompts import questions_of
from evals.records import Answer, ScoredSample
from evals.scoring import ScoredTask, score_task
from evals.spec.records import TaskSpec
from model_adapters.contract import Response


def answers_of(plan: TaskPlan, name: str, **options: object) -> dict[str, Response]:
    """The control's response to each of a task's requests."""
    adapter = bound(load_model(name, **options), plan)
    put = adapter.score_choices if plan.spec.protocol == "likelihood" else adapter.generate
    return {r.request_id: r for r in put(request for _, request in plan.walk(lambda question: False))}


def scored_with(
    spec: TaskSpec, dataset: Dataset, name: str, **options: object
) -> tuple[ScoredTask, list[ScoredSample]]:
    """What the scorers make of a control's answers."""
    plan = make_plan(spec, dataset)
    responses = answers_of(plan, name, **options)
    questions = {q.request_id: q for sample in dataset for q in questions_of(spec, sample)}

    def answer(request_id: str) -> Answer:
        question, r = questions[request_id], responses[request_id]
        return Answer(
            request_id,
            question.sample_id,
            question.content_hash,
            r.text,
            choice_scores=r.choice_scores,
            choice_tokens=r.choice_tokens,
            failure=r.failure,
        )

    rows: list[ScoredSample] = []
    return score_task(spec, questions.values(), answer, rows.extend), rows
