"""How often a model's answers change when only the company changes in which they are asked: the noise floor.

The same questions are asked one at a time, in batches, in batches once more, and in batches in another order. Greedy
answers ought not to differ; in bfloat16 some do, since other shapes make other sums. What changes is noise that a gate
must not take for a regression.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from evals.asking import Desk, put_of
from evals.errors import AdapterError, StoreError
from evals.files import write_json
from evals.interrupt import StopSignal
from evals.plan import TaskPlan
from evals.records import Answer, Question
from evals.scoring import ScoredTask, score_task
from model_adapters.contract import ModelAdapter, Request

SCHEMA_VERSION = 1
ORDER_SEED = 0

Pairs = Sequence[tuple[Question, Request]]


@dataclass(frozen=True, slots=True)
class Changes:
    """One way of asking, against one at a time.

    Attributes:
        way: what was different.
        answers_changed: share of requests whose answer (or most likely choice) is another; a failure on either side
            counts as a change.
        discordance: share of units whose score is another.
        score: the headline asked this way.
    """

    way: str
    answers_changed: float
    discordance: float
    score: float | None


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """What was measured on one task.

    Attributes:
        n: requests; batch_size: of the batches.
        score: the headline asked one at a time.
        ways: batches, batches again, batches in another order.
    """

    task: str
    n: int
    batch_size: int
    score: float | None
    ways: tuple[Changes, ...]

    @property
    def answers_changed(self) -> float:
        """The largest share over the ways."""
        return max(way.answers_changed for way in self.ways)

    @property
    def discordance(self) -> float:
        """The largest share over the ways."""
        return max(way.discordance for way in self.ways)


def measure_noise(plan: TaskPlan, adapter: ModelAdapter, *, requests: int, batch_size: int) -> NoiseFloor:
    """Ask the first questions of a plan in four ways.

    Raises:
        AdapterError: the adapter does not let its batch size be set, so that batches cannot be told from single ones.
    """
    pairs = list(islice(plan.walk(lambda question: False), requests))
    if not adapter.probe().set_batch_size(batch_size):
        raise AdapterError(
            f"{adapter.identity().get('model')} does not let its batch size be set, so there is nothing to compare."
        )
    questions = sorted((question for question, _ in pairs), key=lambda question: question.sample_id)
    shuffled = list(pairs)
    random.Random(ORDER_SEED).shuffle(shuffled)
    alone = _answers(plan, adapter, pairs, 1)
    ways = {
        f"batches of {batch_size}": _answers(plan, adapter, pairs, batch_size),
        f"batches of {batch_size}, again": _answers(plan, adapter, pairs, batch_size),
        f"batches of {batch_size}, another order": _answers(plan, adapter, shuffled, batch_size),
    }
    score = _scored(plan, questions, alone)
    found = tuple(_changes(way, alone, score, other, _scored(plan, questions, other)) for way, other in ways.items())
    return NoiseFloor(plan.spec.name, len(pairs), batch_size, score.statistics[0].value, found)


def _answers(plan: TaskPlan, adapter: ModelAdapter, pairs: Pairs, batch_size: int) -> dict[str, Answer]:
    """The answers, everything kept from earlier requests forgotten."""
    probe = adapter.probe()
    probe.set_batch_size(batch_size)
    probe.forget()
    desk = Desk(iter(pairs), put_of(plan.spec, adapter), StopSignal())
    return {question.request_id: answer for question, answer in desk.answers()}


def _scored(plan: TaskPlan, questions: Sequence[Question], answers: Mapping[str, Answer]) -> ScoredTask:
    return score_task(plan.spec, questions, answers.get, lambda samples: None)


def _changes(
    way: str, alone: Mapping[str, Answer], score: ScoredTask, other: Mapping[str, Answer], other_score: ScoredTask
) -> Changes:
    changed = sum(_said(alone[request_id]) != _said(answer) for request_id, answer in other.items())
    ours, theirs = _units(score), _units(other_score)
    rows = ours.keys() | theirs.keys()
    differ = sum(ours.get(row) != theirs.get(row) for row in rows)
    return Changes(way, changed / len(other), differ / len(rows) if rows else 0.0, other_score.statistics[0].value)


def _said(answer: Answer) -> Any:
    """What an answer comes to: its text, or the most likely choice; nothing equal to anything for a failure."""
    if answer.failure is not None:
        return object()
    scores = answer.choice_scores
    return answer.text if not scores else max(range(len(scores)), key=scores.__getitem__)


def _units(task: ScoredTask) -> dict[int, list[float]]:
    headline = task.statistics[0]
    return dict(zip(headline.rows, headline.vectors.tolist(), strict=True))


def floor_json(floors: Sequence[NoiseFloor], adapter: ModelAdapter) -> dict[str, Any]:
    """The document that `baseline create --noise` takes."""
    return {
        "schema_version": SCHEMA_VERSION,
        "model": dict(adapter.identity()),
        "tasks": {
            floor.task: {
                "n": floor.n,
                "batch_size": floor.batch_size,
                "answers_changed": floor.answers_changed,
                "discordance": floor.discordance,
                "score": floor.score,
                "ways": {
                    way.way: {
                        "answers_changed": way.answers_changed,
                        "discordance": way.discordance,
                        "score": way.score,
                    }
                    for way in floor.ways
                },
            }
            for floor in floors
        },
    }


def write_floor(path: Path, document: Mapping[str, Any]) -> None:
    """Write the document. Raises :class:`StoreError` where the folder cannot be written."""
    write_json(path, dict(document))


def read_floor(path: Path, same_model: Callable[[Mapping[str, Any]], list[str]]) -> dict[str, dict[str, float]]:
    """``discordance`` and ``answers_changed`` by task.

    Args:
        same_model: says how the model that was measured differs from the one that it is wanted for.

    Raises:
        StoreError: no such file, not such a file, or another model's.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"schema version {document['schema_version']!r}")
        model, tasks = document["model"], document["tasks"]
        found = {
            name: {"discordance": float(task["discordance"]), "answers_changed": float(task["answers_changed"])}
            for name, task in tasks.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is no noise floor ({error}). Give the file that `doctor --determinism --out` wrote."
        ) from error
    differing = same_model(model)
    if differing:
        raise StoreError(f"{path} was measured on another model: {'; '.join(differing)}. Measure this one.")
    return found
