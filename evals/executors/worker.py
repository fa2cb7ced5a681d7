"""The working side of every pool: opens data and model by itself, and answers leases."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import TypeAlias

from evals.asking import Desk, put_of
from evals.data import Dataset
from evals.errors import DataError
from evals.executors.lease import Lease
from evals.executors.messages import Batch, Broken, Done, Halved, Message, Ready, Taken
from evals.executors.recipe import WorkerRecipe
from evals.interrupt import StopSignal
from evals.journal import encode_answers
from evals.memory_full import Halver, Halving
from evals.perf.host import peak_host_mib
from evals.plan import open_questions
from evals.records import Answer, Question
from evals.running_score import RunningScore
from evals.spec.records import TaskSpec
from model_adapters.contract import Request

SEND_SECONDS = 0.005  # so that an adapter that computes nothing does not send its answers one by one
LONGEST_SECONDS, SEND_ANSWERS = 0.1, 512

Say: TypeAlias = Callable[[Message], None]


class Worker:
    """One loaded model that answers leases, one after the other.

    Attributes:
        ready: what it says when the model is loaded.
    """

    def __init__(self, recipe: WorkerRecipe) -> None:
        start = time.monotonic()
        self._recipe = recipe
        self._adapter = recipe.adapter()
        self._stop = StopSignal(self._adapter.stop)
        identity, able = dict(self._adapter.identity()), asdict(self._adapter.capabilities)
        self.ready = Ready(identity, able, time.monotonic() - start)
        self._opened: tuple[TaskSpec, Dataset] | None = None

    def stop(self) -> None:
        """Finish the batch in flight and begin no other; may be called from another thread."""
        self._stop.request()

    def close(self) -> None:
        """Free the model."""
        self._adapter.close()

    def work(self, lease: Lease, say: Say) -> None:
        """Answer a lease and say so: requests as they are taken, answers as they come, and at last :class:`Done`, or
        :class:`Broken` where it cannot go on.

        Args:
            say: may be called from any thread that the adapter pulls requests on.
        """
        try:
            spec, dataset = self._open(lease)
            outbox = _Outbox(say, RunningScore(spec) if self._recipe.wants_score else None)
            desk = Desk(
                self._requests(spec, dataset, lease, outbox),
                put_of(spec, self._adapter),
                self._stop,
                Halver(self._adapter, outbox.halved),
            )
            for pair in desk.answers():
                outbox.add(pair)
            outbox.flush()
            memory = {"peak_host_mib": peak_host_mib(), **self._adapter.memory_mib()}
            batching = self._adapter.batching()
            batch = (batching.size, batching.is_auto, batching.tokens) if batching else ()
            say(Done(desk.dropped, memory, *batch))
        except Exception as error:  # noqa: BLE001 - said to whoever asked, who ends the run
            say(Broken.of(error))

    def _requests(
        self, spec: TaskSpec, dataset: Dataset, lease: Lease, outbox: _Outbox
    ) -> Iterator[tuple[Question, Request]]:
        for question, request in open_questions(
            spec, dataset, lease.places, lambda question: question.request_id in lease.skip
        ):
            outbox.taken(question.request_id)
            yield question, request

    def _open(self, lease: Lease) -> tuple[TaskSpec, Dataset]:
        if self._opened is None or self._opened[0].name != lease.task:
            self._opened = self._recipe.open(lease.task)
        spec, dataset = self._opened
        place = lease.places[0]
        if place >= len(dataset) or dataset[place].content_hash != lease.first_hash:
            raise DataError(
                f"Task {lease.task!r}: the data that this worker sees under {self._recipe.data_root} is not the data "
                f"that the run was planned on (sample at place {place} differs). Give all machines the same files, and "
                "do not change them during a run."
            )
        return spec, dataset


class _Outbox:
    """Answers on their way out. A batch of them leaves when it is full or old, and before the adapter takes more: what
    an adapter has answered is safe before it begins its next batch."""

    def __init__(self, say: Say, score: RunningScore | None) -> None:
        self._say, self._score = say, score
        self._batch: list[tuple[Question, Answer]] = []
        self._lock = threading.Lock()
        self._sent = time.monotonic()

    def add(self, pair: tuple[Question, Answer]) -> None:
        """Take one answer."""
        with self._lock:
            self._batch.append(pair)
        if len(self._batch) >= SEND_ANSWERS or time.monotonic() - self._sent >= LONGEST_SECONDS:
            self.flush()

    def taken(self, request_id: str) -> None:
        """The adapter is about to take a request."""
        if self._batch and time.monotonic() - self._sent >= SEND_SECONDS:
            self.flush()
        self._say(Taken(request_id))

    def halved(self, halving: Halving) -> None:
        """Memory was full; what was answered before is said before."""
        self.flush()
        self._say(Halved(halving.batch_size, halving.error))

    def flush(self) -> None:
        """Send what there is."""
        with self._lock:
            batch, self._batch, self._sent = self._batch, [], time.monotonic()
            if not batch:
                return
            score_sum, scored = self._score.add(batch) if self._score else (0.0, 0)
            answers = [answer for _, answer in batch]
            failed = sum(answer.failure is not None for answer in answers)
            self._say(Batch([a.request_id for a in answers], failed, score_sum, scored, encode_answers(answers)))
