"""A worker as Ray runs it: the same worker, whose methods Ray calls in a process of its cluster."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator

from evals.executors.lease import Lease
from evals.executors.messages import Broken, Message, Taken, encode
from evals.executors.recipe import WorkerRecipe
from evals.executors.worker import Worker


class RayWorker:
    """Loads on construction, so that an actor which Ray restarts has its model again.

    Args:
        recipe: a :class:`WorkerRecipe` as JSON.
    """

    def __init__(self, recipe: str) -> None:
        self._worker: Worker | None = None
        self._first: Message
        try:
            self._worker = Worker(WorkerRecipe.from_json(recipe))
            self._first = self._worker.ready
        except Exception as error:  # noqa: BLE001 - said to whoever asked, who ends the run
            self._first = Broken.of(error)

    def ready(self) -> bytes:
        """The first message."""
        return encode(self._first)

    def work(self, lease: str) -> Iterator[bytes]:
        """Answer a lease, one message after the other. That a request was taken is not said: a message on its way when
        the actor dies may be lost, and half of that knowledge misleads."""
        if self._worker is None:
            return
        messages: queue.Queue[Message | None] = queue.Queue()
        arguments = self._worker, Lease.from_json(json.loads(lease)), messages.put
        threading.Thread(target=_work, args=arguments, daemon=True).start()
        while (message := messages.get()) is not None:
            if not isinstance(message, Taken):
                yield encode(message)

    def stop(self) -> None:
        """Finish the batch in flight; runs beside ``work``, on another thread."""
        if self._worker is not None:
            self._worker.stop()


def _work(worker: Worker, lease: Lease, say: Callable[[Message | None], None]) -> None:
    """Work on a thread of its own, so that answers leave while the model computes; None is the end."""
    worker.work(lease, say)
    say(None)
