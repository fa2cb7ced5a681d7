"""Putting one task's questions to a model: requests out in the plan's order, answers into the journal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from evals.extract import get_extractor
from evals.interrupt import StopSignal
from evals.journal import Journal, latest_answers
from evals.metrics.registry import get_metric
from evals.plan import TaskPlan
from evals.progress import Meter
from evals.records import Answer, Question
from model_adapters.contract import Failure, ModelAdapter, Request, Response

FLUSH_SECONDS = 0.25
FLUSH_ANSWERS = 512


@dataclass(frozen=True, slots=True)
class Asked:
    """What one session added to a task.

    Attributes:
        answered, failed: requests of this session.
        kept: requests answered in earlier sessions, not asked again.
        torn_bytes: an incomplete last line that was cut from the journal.
        wall_s: seconds from the first request to the last answer.
    """

    answered: int
    failed: int
    kept: int
    torn_bytes: int
    wall_s: float


def ask(
    plan: TaskPlan,
    questions: dict[str, Question],
    adapter: ModelAdapter,
    journal: Journal,
    stop: StopSignal,
    meter: Meter,
) -> Asked:
    """Ask what is not answered yet, until done or told to stop.

    The adapter pulls requests lazily, so a stop ends the stream of requests and the adapter finishes what it holds.
    Answers to unknown or already answered requests are dropped; a request that gets none is recorded as failed.
    """
    done = {
        request_id
        for request_id, answer in latest_answers(journal.path).items()
        if answer.failure is None
        and request_id in questions
        and questions[request_id].content_hash == answer.content_hash
    }
    open_requests: dict[str, Request] = {}

    def requests() -> Iterator[Request]:
        for request in plan.requests(skip=done):
            if stop.requested:
                return
            open_requests[request.request_id] = request
            yield request

    put = adapter.score_choices if plan.spec.protocol == "likelihood" else adapter.generate
    watch = _RunningScore(plan)
    answered = failed = 0
    batch: list[Answer] = []
    start = flushed = time.monotonic()

    def flush() -> None:
        nonlocal flushed
        journal.append(batch)
        watch.add(batch, questions)
        batch.clear()
        flushed = time.monotonic()
        meter.update(len(done) + answered + failed, watch.value, failed)

    for response in put(requests()):
        if open_requests.pop(response.request_id, None) is None:
            continue
        batch.append(_answer(response, questions[response.request_id]))
        failed += response.failure is not None
        answered += response.failure is None
        if len(batch) >= FLUSH_ANSWERS or time.monotonic() - flushed >= FLUSH_SECONDS:
            flush()
    for request_id in open_requests:
        missing = Failure("NoAnswer", "The adapter returned no answer to this request.")
        batch.append(_answer(Response(request_id, finish="error", failure=missing), questions[request_id]))
        failed += 1
    flush()
    return Asked(answered, failed, len(done), journal.torn_bytes, time.monotonic() - start)


def _answer(response: Response, question: Question) -> Answer:
    return Answer(
        request_id=response.request_id,
        sample_id=question.sample_id,
        content_hash=question.content_hash,
        text=response.text,
        finish=response.finish,
        choice_scores=response.choice_scores,
        choice_tokens=response.choice_tokens,
        usage=response.usage,
        timing=response.timing,
        failure=response.failure,
    )


class _RunningScore:
    """The mean score so far, where each answer is scored alone: a person wants to see early that something is off."""

    def __init__(self, plan: TaskPlan) -> None:
        use = plan.spec.metrics[0]
        metric = get_metric(use.name, **use.options)
        self._metric = metric if metric.needs == "sample" and not set(metric.columns) - {"extracted"} else None
        self._extract = get_extractor(plan.spec.extractor)
        self._sum, self._n = 0.0, 0

    @property
    def value(self) -> float | None:
        return self._sum / self._n if self._n else None

    def add(self, batch: list[Answer], questions: dict[str, Question]) -> None:
        if self._metric is None:
            return
        good = [answer for answer in batch if answer.failure is None and answer.choice_scores is None]
        references = [questions[answer.request_id].references for answer in good]
        columns = {}
        if "extracted" in self._metric.optional_columns or "extracted" in self._metric.columns:
            columns["extracted"] = [self._extract(a.text, **questions[a.request_id].fields)[0] for a in good]
        scores = self._metric.score_samples([answer.text for answer in good], references, **columns)
        known = [score for score in scores if score is not None]
        self._sum += sum(known)
        self._n += len(known)
