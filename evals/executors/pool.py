"""The asking side of workers, whatever they are: the loop that keeps them busy and writes down what they answer."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from evals.asking import Asked, Earlier
from evals.errors import AdapterError
from evals.executors.lease import Lease, WorkQueue
from evals.executors.messages import Batch, Broken, Died, Done, Halved, Message, Ready, Taken
from evals.interrupt import StopSignal
from evals.journal import Journal, JournalIndex, encode_answers
from evals.memory_full import Halving
from evals.perf.host import peak_host_mib
from evals.plan import TaskPlan
from evals.progress import Meter
from model_adapters.contract import Batching, Capabilities

WAIT_S = 0.1
MOST_STARTS = 3  # of workers that die before any model was loaded
MOST_DEATHS = 10  # in a row without an answer: then it is not one sample's fault


class Pool(Protocol):
    """Workers, numbered from 0, that are started again when asked for."""

    size: int

    def start(self, worker: int) -> None:
        """Start a worker that died."""

    def give(self, worker: int, lease: Lease) -> None:
        """Give a worker a lease."""

    def stop(self) -> None:
        """All workers shall finish the batch in flight and begin no other."""

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """What workers say within a time."""

    def close(self, *, at_once: bool) -> None:
        """End all workers."""


class PoolExecutor:
    """An executor over a pool: leases go out, journal lines come back, and only this process writes.

    Attributes:
        identity, capabilities: the adapter's, the same in all workers.
        load_s: seconds that loading took, the slowest worker's.
        workers: how many there are.

    Raises:
        EvalError: what kept a worker from loading, or ended one.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._idle: set[int] = set()
        self._memory: dict[int, dict[str, float | None]] = {}
        self._batching: dict[int, Batching] = {}
        self._deaths = 0
        self._stopping = False
        self.identity: dict[str, Any] = {}
        self.capabilities = Capabilities()
        self.load_s = 0.0
        self.workers: int | None = pool.size
        try:
            while not self._idle:
                for worker, message in pool.messages(WAIT_S):
                    self._outside(worker, message)
        except BaseException:
            pool.close(at_once=True)
            raise

    def _outside(self, worker: int, message: Message) -> None:
        """Take what a worker says that holds no lease."""
        if isinstance(message, Ready):
            if self.identity and message.identity != self.identity:
                raise AdapterError(f"Two workers loaded different models: {self.identity} and {message.identity}.")
            self.identity, self.capabilities = message.identity, Capabilities(**message.capabilities)
            self.load_s = max(self.load_s, message.load_s)
            self._idle.add(worker)
        elif isinstance(message, Broken):
            raise message.error()
        elif isinstance(message, Died):
            self._died(worker, message.why)

    def _died(self, worker: int, why: str) -> None:
        """Start a worker again, unless that has not helped for long."""
        self._idle.discard(worker)
        self._deaths += 1
        if self._stopping:
            return
        if self._deaths >= (MOST_DEATHS if self.identity else MOST_STARTS):
            raise AdapterError(
                f"Workers died {self._deaths} times without one answer in between; the last one: {why}. Look at what "
                "they printed above; memory is a common reason. What was answered is saved."
            )
        print(f"worker {worker}: {why}; it is started again.", file=sys.stderr)
        self._pool.start(worker)

    def ask(self, plan: TaskPlan, part: range, journal: Journal, stop: StopSignal, meter: Meter) -> Asked:
        """Ask what of the part is not answered yet, until done or told to stop.

        Raises:
            EvalError: a sample that cannot be asked, an adapter that cannot do what the task wants, workers that die
                however often they are started, a full disk. What was answered before is in the journal then.
        """
        with JournalIndex(journal.path) as index:
            earlier = Earlier(index)
            queue = WorkQueue(plan, part, earlier, self._pool.size)
            book = _Book(journal, meter, earlier)
            start = time.monotonic()
            while self._keep_busy(queue, stop):
                for worker, message in self._pool.messages(WAIT_S):
                    self._take(worker, message, queue, book)
            if not book.answered + book.failed:
                book.show()
        wall_s = time.monotonic() - start
        counts = book.answered, book.failed, earlier.kept, book.dropped, journal.torn_bytes
        return Asked(*counts, wall_s, tuple(book.halvings))

    def _keep_busy(self, queue: WorkQueue, stop: StopSignal) -> bool:
        """Give every idle worker a lease; false when nothing is left to wait for."""
        if stop.requested:
            if not self._stopping:
                self._stopping = True
                self._pool.stop()
            return bool(queue.out)
        for worker in sorted(self._idle):
            lease = queue.give(worker)
            if lease is None:
                return bool(queue.out)
            self._idle.discard(worker)
            self._pool.give(worker, lease)
        return True

    def _take(self, worker: int, message: Message, queue: WorkQueue, book: _Book) -> None:
        if isinstance(message, Taken):
            queue.taken(worker, message.request_id)
        elif isinstance(message, Batch):
            queue.settle(worker, message.ids)
            book.take(message)
            self._deaths = 0
        elif isinstance(message, Halved):
            book.halved(message)
        elif isinstance(message, Done):
            queue.done(worker)
            book.dropped += message.dropped
            self._memory[worker] = message.memory
            if message.batch_size is not None:
                self._batching[worker] = Batching(message.batch_size, message.auto_batch, message.batch_tokens)
            self._idle.add(worker)
        elif isinstance(message, Died):
            blamed = [] if self._stopping else queue.lost(worker, message.why)
            if self._stopping and worker in queue.out:
                queue.done(worker)
            if blamed:
                book.take(Batch([a.request_id for a in blamed], len(blamed), 0.0, 0, encode_answers(blamed)))
            self._died(worker, message.why)
        else:
            self._outside(worker, message)

    def memory_mib(self) -> dict[str, float | None]:
        """Host memory: the sum of all processes' peaks. Device memory: the largest worker's."""
        found: dict[str, float | None] = {}
        for memory in self._memory.values():
            for name, value in memory.items():
                if value is not None and name != "peak_host_mib":
                    found[name] = max(found.get(name) or 0.0, value)
                else:
                    found.setdefault(name, None)
        found["peak_host_mib"] = peak_host_mib() + sum(m.get("peak_host_mib") or 0.0 for m in self._memory.values())
        return found

    def batching(self) -> Batching | None:
        """The smallest worker's, as far as workers have said."""
        return min(self._batching.values(), key=lambda batching: batching.size, default=None)

    def stop(self) -> None:
        """Nothing to do in a signal handler: the loop looks at the signal itself."""

    def close(self, *, at_once: bool) -> None:
        """End all workers."""
        self._pool.close(at_once=at_once or self._stopping)


class _Book:
    """Counts what comes back, writes it down, and shows how far it is."""

    def __init__(self, journal: Journal, meter: Meter, earlier: Earlier) -> None:
        self.answered = self.failed = self.dropped = 0
        self.halvings: list[Halving] = []
        self._journal, self._meter, self._earlier = journal, meter, earlier
        self._score_sum, self._scored = 0.0, 0

    def take(self, batch: Batch) -> None:
        """Write a batch down."""
        self._journal.append_lines(batch.lines)
        self.failed += batch.failed
        self.answered += len(batch.ids) - batch.failed
        self._score_sum += batch.score_sum
        self._scored += batch.scored
        self.show()

    def halved(self, message: Halved) -> None:
        """Note that a worker's memory was full, after the answers of all workers so far."""
        self.halvings.append(Halving(self.answered + self.failed, message.batch_size, message.error))

    def show(self) -> None:
        """Show how far it is."""
        asked = self.answered + self.failed
        score = self._score_sum / self._scored if self._scored else None
        self._meter.update(self._earlier.kept + asked, asked, self.failed, score)
