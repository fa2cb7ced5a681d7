"""Putting one task's questions to a model: requests out in the plan's order, answers into the journal."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from evals.errors import EvalError
from evals.interrupt import StopSignal
from evals.journal import Journal, JournalIndex
from evals.plan import TaskPlan
from evals.progress import Meter
from evals.records import Answer, Question
from evals.running_score import RunningScore
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
    """

    answered: int
    failed: int
    kept: int
    dropped: int
    torn_bytes: int
    wall_s: float


def ask(plan: TaskPlan, adapter: ModelAdapter, journal: Journal, stop: StopSignal, meter: Meter) -> Asked:
    """Ask what is not answered yet, until done or told to stop.

    The adapter pulls requests lazily, so a stop ends the stream of requests; what it has taken and does not answer any
    more stays open for the next session.

    Raises:
        EvalError: a sample that cannot be asked, an adapter that cannot do what the task wants, a full disk. What was
            answered before is in the journal then.
    """
    with JournalIndex(journal.path) as index:
        desk = _Desk(plan, index, stop)
        book = _Book(journal, RunningScore(plan.spec) if meter.wants_score else None, meter, desk)
        put: Put = adapter.score_choices if plan.spec.protocol == "likelihood" else adapter.generate
        start = time.monotonic()
        try:
            for response in _responses(put, desk):
                book.take(response)
            for request_id in [] if stop.requested else list(desk.open):
                book.take(_failed(request_id, "NoAnswer", "The adapter returned no answer to this request."))
        finally:
            book.flush()
        wall_s = time.monotonic() - start
    return Asked(book.answered, book.failed, desk.kept, book.dropped, journal.torn_bytes, wall_s)


class _Desk:
    """The stream of open requests, and which of them are out.

    Attributes:
        open: requests that the adapter has taken and not answered, with their questions.
        kept: questions passed over because an earlier session has their answers.
        broken: what building the next request raised; such an error is not the adapter's.
    """

    def __init__(self, plan: TaskPlan, index: JournalIndex, stop: StopSignal) -> None:
        self.open: dict[str, tuple[Question, Request]] = {}
        self.kept = 0
        self.broken: BaseException | None = None
        self._index, self._stop = index, stop
        self._walk = plan.walk(self._is_answered)

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

    def _is_answered(self, question: Question) -> bool:
        found = self._index.get(question.request_id) if len(self._index) else None
        is_answered = found is not None and found.failure is None and found.content_hash == question.content_hash
        self.kept += is_answered
        return is_answered


def _responses(put: Put, desk: _Desk) -> Iterator[Response]:
    """All responses. Where the adapter raises, each request that it held is asked again alone, so that only the one
    that makes it raise has no answer; then it goes on with the rest."""
    while True:
        try:
            yield from put(desk)
            return
        except EvalError:
            raise
        except Exception:
            if desk.broken is not None:
                raise
        for request_id, (_, request) in list(desk.open.items()):
            try:
                yield from put([request])
            except EvalError:
                raise
            except Exception as error:  # noqa: BLE001 - the one place that isolates a sample
                yield _failed(request_id, type(error).__name__, str(error), traceback.format_exc())


class _Book:
    """Keeps the answers: counts them, writes them down in batches, and shows how far it is."""

    def __init__(self, journal: Journal, score: RunningScore | None, meter: Meter, desk: _Desk) -> None:
        self.answered = self.failed = self.dropped = 0
        self._journal, self._score, self._meter, self._desk = journal, score, meter, desk
        self._batch: list[tuple[Question, Answer]] = []
        self._flushed = time.monotonic()

    def take(self, response: Response) -> None:
        """Take one response; one to a request that is not out is dropped."""
        question, request = self._desk.open.pop(response.request_id, (None, None))
        if question is None or request is None:
            self.dropped += 1
            return
        answer = _answer(response, question, request)
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
        self._meter.update(self._desk.kept + asked, asked, self.failed, self._score.value if self._score else None)
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
