"""The seam between controls and the harness.

An adapter sees requests only, and these have neither references nor the task they belong to. A control is asked for an
adapter of its own for each task instead, made from that task's plan: :func:`bound` is called once a task, before its
first request.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from evals.prompts.render import LETTERS, questions_of
from evals.records import Question
from model_adapters.contract import AdapterError, Capabilities, Failure, ModelAdapter, Request, Response

if TYPE_CHECKING:
    from evals.plan import TaskPlan

EVERYTHING = Capabilities(max_images=None, text_only=True, choice_scoring=True)
NO_ANSWER = Failure("NoAnswer", "The control has no answer to this request.")


class PlannedAdapter(ModelAdapter):
    """An adapter that answers from a task's plan."""

    capabilities = EVERYTHING

    @abstractmethod
    def for_plan(self, plan: TaskPlan) -> ModelAdapter:
        """The adapter that answers this task's requests. It has no life of its own: only this one is closed."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        raise AdapterError(
            f"{self.identity()['model']!r} answers from a task's questions and references, so it works in `run` only."
        )


class Control(PlannedAdapter):
    """A control that gives each question a text. Subclasses name themselves and say what they answer.

    Attributes:
        name: of the control; it stands for the model, too.
        version: raised whenever an answer can change.
    """

    name: str
    version = "1"

    def identity(self) -> Mapping[str, Any]:
        return {
            "adapter": self.name,
            "adapter_version": self.version,
            "model": self.name,
            "weights": None,
            "dtype": None,
            "device": "cpu",
            "parameters": 0,
            "control": True,
        }

    @abstractmethod
    def answers(self, plan: TaskPlan) -> Mapping[str, str]:
        """Request id → answer, for all questions of a task; a question left out has no answer."""

    def for_plan(self, plan: TaskPlan) -> ModelAdapter:
        texts = self.answers(plan)
        return Table(self, lambda request: _reply(request, texts.get(request.request_id)))


class Table(ModelAdapter):
    """The adapter of one task: looks answers up.

    Args:
        owner: whose answers these are.
        reply: the response to a request.
    """

    capabilities = EVERYTHING

    def __init__(self, owner: ModelAdapter, reply: Callable[[Request], Response]) -> None:
        self._owner, self._reply = owner, reply

    def identity(self) -> Mapping[str, Any]:
        return self._owner.identity()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        return map(self._reply, requests)

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        return map(self._reply, requests)


def bound(adapter: ModelAdapter, plan: TaskPlan) -> ModelAdapter:
    """The adapter to put a task's requests to: the model itself, or what a control makes of the task."""
    return adapter.for_plan(plan) if isinstance(adapter, PlannedAdapter) else adapter


def all_questions(plan: TaskPlan) -> Iterator[Question]:
    """All questions of a task, in the data set's order."""
    for sample in plan.dataset:
        yield from questions_of(plan.spec, sample)


def _reply(request: Request, text: str | None) -> Response:
    if text is None:
        return Response(request.request_id, finish="error", failure=NO_ANSWER)
    if not request.choices:
        return Response(request.request_id, text)
    chosen = LETTERS.find(text) if len(text) == 1 else -1
    scores = tuple(0.0 if place == chosen else -1.0 for place in range(len(request.choices)))  # an order, no likelihood
    return Response(request.request_id, text, choice_scores=scores, choice_tokens=(1,) * len(scores))
