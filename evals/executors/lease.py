"""Leases: parts of a task's open work, each held by one worker at a time, and the queue that hands them out.

A lease is a stretch of the plan, so questions on one picture and rotations of one question stay together. When a worker
dies, what its lease has left goes back into the queue: the requests that were in flight one by one, the rest as it was.
A request that ends its worker again when it is alone is the one to blame; it becomes a failure, and all others are
answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from evals.asking import Earlier
from evals.plan import TaskPlan
from evals.records import Answer, Question
from model_adapters.contract import Failure

SMALLEST, LARGEST = 32, 1024  # requests of a lease; small ones at the end keep all workers busy until then


@dataclass(frozen=True, slots=True)
class Lease:
    """Work for one worker, as plain values.

    Attributes:
        task: name of the task.
        places: places of samples in the task's data set, in the order in which they are asked.
        first_hash: content hash of the first sample; a worker that finds another one has other data.
        skip: request ids of these samples that are answered already.
        alone: a single request that was in flight when a worker died.
    """

    task: str
    places: tuple[int, ...]
    first_hash: str
    skip: frozenset[str] = frozenset()
    alone: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain values for a message."""
        return {
            "task": self.task,
            "places": list(self.places),
            "first_hash": self.first_hash,
            "skip": sorted(self.skip),
            "alone": self.alone,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Lease:
        """The lease of a message."""
        return Lease(**value | {"places": tuple(value["places"]), "skip": frozenset(value["skip"])})


@dataclass(slots=True)
class _Out:
    lease: Lease
    taken: set[str]
    settled: set[str]


class WorkQueue:
    """A task's open work: cut into leases, given out, and taken back from workers that died.

    Args:
        part: the part of the plan's order to ask.
        earlier: what earlier sessions answered.
        workers: how many workers share the work.
    """

    def __init__(self, plan: TaskPlan, part: range, earlier: Earlier, workers: int) -> None:
        self._plan, self._earlier, self._workers = plan, earlier, workers
        self._position, self._end, self._left = part.start, part.stop, plan.requests_in(part)
        self._returned: deque[Lease] = deque()
        self._out: dict[int, _Out] = {}

    @property
    def out(self) -> Collection[int]:
        """Workers that hold a lease."""
        return self._out.keys()

    def give(self, worker: int) -> Lease | None:
        """A lease for a worker that holds none; None where nothing is open but what others hold."""
        lease = self._returned.popleft() if self._returned else self._cut()
        if lease is not None:
            self._out[worker] = _Out(lease, set(), set())
        return lease

    def taken(self, worker: int, request_id: str) -> None:
        """The worker's adapter has taken a request; whatever happens now, this one was in flight."""
        self._out[worker].taken.add(request_id)

    def settle(self, worker: int, request_ids: Collection[str]) -> None:
        """These requests of the worker's lease have an answer, or a failure, in the journal."""
        self._out[worker].settled.update(request_ids)

    def done(self, worker: int) -> None:
        """The worker has nothing more to say of its lease."""
        del self._out[worker]

    def lost(self, worker: int, why: str) -> list[Answer]:
        """The worker died: its lease goes back into the queue.

        Returns:
            The failure of the one request that is to blame; nothing while that is not known.
        """
        held = self._out.pop(worker, None)
        if held is None:
            return []
        done = held.lease.skip | held.settled
        left = [(place, q) for place, q in self._questions(held.lease.places) if q.request_id not in done]
        if held.lease.alone:
            return [_blamed(question, why) for _, question in left]
        in_flight = held.taken - held.settled or {question.request_id for _, question in left}
        self._return_rest(held.lease, done | in_flight, [place for place, q in left if q.request_id not in in_flight])
        for place, question in left:
            if question.request_id in in_flight:
                others = {q.request_id for _, q in self._questions((place,))} - {question.request_id}
                lease = Lease(held.lease.task, (place,), question.content_hash, frozenset(others), alone=True)
                self._returned.append(lease)
        return []

    def _return_rest(self, lease: Lease, skip: Collection[str], places: list[int]) -> None:
        if places:
            rest = tuple(dict.fromkeys(places))
            self._returned.append(replace(lease, places=rest, first_hash=self._hash(rest), skip=frozenset(skip)))

    def _cut(self) -> Lease | None:
        """The next stretch of the plan that has open questions."""
        while self._position < self._end:
            places = self._next_places()
            skip: frozenset[str] = frozenset()
            if self._earlier.any:
                questions = [question for _, question in self._questions(places)]
                skip = frozenset(q.request_id for q in questions if self._earlier.has(q))
                if len(skip) == len(questions):
                    continue
            return Lease(self._plan.spec.name, places, self._hash(places), skip)
        return None

    def _next_places(self) -> tuple[int, ...]:
        """Whole pictures of the plan until there is enough; a picture with very many questions is cut, too."""
        enough = min(max(self._left // (2 * self._workers), SMALLEST), LARGEST)
        start, requests = self._position, 0
        while self._position < self._end:
            requests += int(self._plan.counts[self._position])
            self._position += 1
            whole = self._position == self._end or bool(self._plan.starts[self._position])
            if requests >= LARGEST or (whole and requests >= enough):
                break
        self._left -= requests
        return tuple(self._plan.order[start : self._position].tolist())

    def _hash(self, places: tuple[int, ...]) -> str:
        return self._plan.questions.of(places[0])[0].content_hash

    def _questions(self, places: tuple[int, ...]) -> Iterator[tuple[int, Question]]:
        for place in places:
            for question in self._plan.questions.of(place):
                yield place, question


def _blamed(question: Question, why: str) -> Answer:
    message = f"The worker that was given this request ended twice, the second time with nothing else to do: {why}."
    return Answer(
        question.request_id,
        question.sample_id,
        question.content_hash,
        finish="error",
        failure=Failure("WorkerDied", message),
    )
