"""Putting one task's questions to a model: requests out in the plan's order, answers into the journal."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

from evals.controls.planned import bound
from evals.errors import EvalError
from evals.interrupt import StopSignal
from evals.journal import Journal, JournalIndex
from evals.memory_full import Halver, Halving
from evals.plan import TaskPlan
from evals.progress import Meter
from evals.records import Answer, Question
from evals.running_score import RunningScore
from evals.spec.records import TaskSpec
from model_adapters.contract import Failure, ModelAdapter, Request, Response, Timing

FLUSH_SECONDS = 0.25
FLUSH_ANSWERS = 512

Put = Callable[[Iterable[Request]], Iterator[Response]]


@dataclass(frozen=True, slots=True)
class Asked:
    """What one session added to a task.

    Attributes:
        answered, failed: requests of this session.
        kept: requests answered in earlier sessions, not asked again.
        dropped: responses to requests that nobody made, or that were answered already.
        torn_bytes: an incomplete last line that was cut from the journal.
        wall_s: seconds from the first request to the last answer.
        halvings: when memory was full, and the batch size from then on.
    """

    answered: int
    failed: int
    kept: int
    dropped: int
    torn_bytes: int
    wall_s: float
    halvings: tuple[Halving, ...] = ()


def ask(
    plan: TaskPlan,
    adapter: ModelAdapter,
    journal: Journal,
    stop: StopSignal,
    meter: Meter,
    part: range | None = None,
) -> Asked:
    """Ask what is not answered yet, until done or told to stop.

    The adapter pulls requests lazily, so a stop ends the stream of requests; what it has taken and does not answer any
    more stays open for the next session.

    Args:
        part: the part of the plan's order to ask; all of it where none is given.

    Raises:
        EvalError: a sample that cannot be asked, an adapter that cannot do what the task wants, a full disk. What was
            answered before is in the journal then.
    """
    with JournalIndex(journal.path) as index:
        earlier = Earlier(index)
        halvings: list[Halving] = []
        put = put_of(plan.spec, bound(adapter, plan))
        desk = Desk(plan.walk(earlier.has, part), put, stop, Halver(adapter, halvings.append))
        book = _Book(journal, RunningScore(plan.spec) if meter.wants_score else None, meter, earlier)
        start = time.monotonic()
        try:
            for question, answer in desk.answers():
                book.take(question, answer)
        finally:
            book.flush()
        wall_s = time.monotonic() - start
    return Asked(book.answered, book.failed, earlier.kept, desk.dropped, journal.torn_bytes, wall_s, tuple(halvings))


def put_of(spec: TaskSpec, adapter: ModelAdapter) -> Put:
    """How an adapter is asked under a task's protocol."""
    return adapter.score_choices if spec.protocol == "likelihood" else adapter.generate


class Earlier:
    """What earlier sessions answered.

    Attributes:
        kept: questions found answered so far.
    """

    def __init__(self, index: JournalIndex) -> None:
        self.kept = 0
        self._index = index

    @property
    def any(self) -> bool:
        """Whether the journal holds anything at all."""
        return len(self._index) > 0

    def has(self, question: Question) -> bool:
        """Whether the journal holds an answer to this very question; a failure is none."""
        found = self._index.get(question.request_id) if self.any else None
        is_answered = found is not None and found.failure is None and found.content_hash == question.content_hash
        self.kept += is_answered
        return is_answered


class Desk:
    """Between open questions and a model: requests go out as the adapter pulls them, answers come back.

    Attributes:
        open: requests that the adapter has taken and not answered, with their questions.
        broken: what building the next request raised; such an error is not the adapter's.
        dropped: responses to requests that were not out.
        answered: requests that came back.

    Args:
        halver: makes batches smaller when memory is full, and notes where the adapter did; without one such a batch is
            asked one by one.
    """

    def __init__(
        self, walk: Iterator[tuple[Question, Request]], put: Put, stop: StopSignal, halver: Halver | None = None
    ) -> None:
        self.open: dict[str, tuple[Question, Request]] = {}
        self.broken: BaseException | None = None
        self.dropped = self.answered = 0
        self._halver = halver
        self._walk, self._put, self._stop = walk, put, stop

    def answers(self) -> Iterator[tuple[Question, Answer]]:
        """All questions with their answers, in the order in which they come; one without an answer is a failure,
        unless the run was told to stop."""
        for response in _responses(self._put, self):
            if self._halver is not None:
                self._halver.look(self.answered)
            yield from self._match(response)
        for request_id in [] if self._stop.requested else list(self.open):
            message = "The adapter returned no answer to this request."
            yield from self._match(_failed(request_id, "NoAnswer", message))

    def _match(self, response: Response) -> Iterator[tuple[Question, Answer]]:
        question, request = self.open.pop(response.request_id, (None, None))
        if question is None or request is None:
            self.dropped += 1
            return
        self.answered += 1
        yield question, _answer(response, question, request)

    def halve(self, error: BaseException) -> bool:
        """Whether memory was full and batches are smaller now."""
        return self._halver is not None and self._halver.halve(error, self.answered, len(self.open))

    def __iter__(self) -> Iterator[Request]:
        return self

    def __next__(self) -> Request:
        if self._stop.requested:
            raise StopIteration
        try:
            question, request = next(self._walk)
        except StopIteration:
            raise
        except BaseException as error:
            self.broken = error
            raise
        self.open[request.request_id] = question, request
        return request


def _responses(put: Put, desk: Desk) -> Iterator[Response]:
    """All responses. Where the adapter raises, each request that it held is asked again alone, so that only the one
    that makes it raise has no answer; then it goes on with the rest. Where memory was full they are asked again in
    smaller batches instead."""
    stream: Iterator[Request] = iter(desk)
    while True:
        try:
            yield from put(stream)
            return
        except EvalError:
            raise
        except Exception as error:
            if desk.broken is not None:
                raise
            if desk.halve(error):
                stream = chain([request for _, request in desk.open.values()], desk)
                continue
        stream = iter(desk)
        for request_id, (_, request) in list(desk.open.items()):
            try:
                yield from put([request])
            except EvalError:
                raise
            except Exception as error:  # noqa: BLE001 - the one place that isolates a sample
                yield _failed(request_id, type(error).__name__, str(error), traceback.format_exc())


class _Book:
    """Keeps the answers: counts them, writes them down in batches, and shows how far it is."""

    def __init__(self, journal: Journal, score: RunningScore | None, meter: Meter, earlier: Earlier) -> None:
        self.answered = self.failed = 0
        self._journal, self._score, self._meter, self._earlier = journal, score, meter, earlier
        self._batch: list[tuple[Question, Answer]] = []
        self._flushed = time.monotonic()

    def take(self, question: Question, answer: Answer) -> None:
        """Take one answer."""
        self.failed += answer.failure is not None
        self.answered += answer.failure is None
        self._batch.append((question, answer))
        if len(self._batch) >= FLUSH_ANSWERS or time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the batch down."""
        batch, self._batch = self._batch, []
        if batch:
            self._journal.append(answer for _, answer in batch)
        if self._score is not None:
            self._score.add(batch)
        asked = self.answered + self.failed
        self._meter.update(self._earlier.kept + asked, asked, self.failed, self._score.value if self._score else None)
        self._flushed = time.monotonic()


def _failed(request_id: str, kind: str, message: str, trace: str = "") -> Response:
    return Response(request_id, finish="error", failure=Failure(kind, message, trace))


def _answer(response: Response, question: Question, request: Request) -> Answer:
    """The journal's record of a response; one that cannot be scored becomes a failure that says why."""
    problem = None if response.failure else _problem(response, request)
    if problem is not None:
        response = replace(response, failure=Failure("InvalidAnswer", problem), choice_scores=None, choice_tokens=None)
    return Answer(
        request_id=response.request_id,
        sample_id=question.sample_id,
        content_hash=question.content_hash,
        text=response.text,
        finish="error" if response.failure else response.finish,
        choice_scores=response.choice_scores,
        choice_tokens=response.choice_tokens,
        usage=response.usage,
        timing=_measured(response.timing),
        failure=response.failure,
        cached=response.cached,
    )


def _problem(response: Response, request: Request) -> str | None:
    scores = response.choice_scores
    if not request.choices:
        return None
    if scores is None or len(scores) != len(request.choices):
        return f"Expected {len(request.choices)} choice scores, got {0 if scores is None else len(scores)}."
    if not all(map(math.isfinite, scores)):
        return f"The choice scores {list(scores)} are not all finite numbers."
    return None


_NOTHING_MEASURED = Timing()


def _measured(timing: Timing) -> Timing:
    """The timing with what is no finite number taken as unknown."""
    if timing == _NOTHING_MEASURED:
        return timing
    values = {name: getattr(timing, name) for name in Timing.__slots__}
    return Timing(**{name: v for name, v in values.items() if v is not None and math.isfinite(v)})
