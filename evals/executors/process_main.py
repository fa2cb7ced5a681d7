"""A worker process: ``python -m evals.executors.process_main FD``. It is started by :mod:`evals.executors.processes`.

Over the socket come the recipe, leases, and the word to stop; when its other end closes, however that came about, the
worker ends. It ignores SIGINT and SIGTERM: whoever started it decides when to stop.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection

from evals.executors.lease import Lease
from evals.executors.messages import Broken, Message, encode
from evals.executors.recipe import WorkerRecipe
from evals.executors.worker import Worker

OTHER_END_CLOSED = 75


class _Line:
    """The socket: messages out, from any thread; leases and the word to stop in, on a thread of its own."""

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        self._connection = Connection(descriptor)
        self._sending = threading.Lock()
        self.leases: queue.Queue[Lease | None] = queue.Queue()
        self.worker: Worker | None = None

    def receive(self) -> str:
        """The next message from the other end."""
        return self._connection.recv_bytes().decode()

    def send(self, message: Message) -> None:
        """Say something."""
        try:
            with self._sending:
                self._connection.send_bytes(encode(message))
        except OSError:
            os._exit(OTHER_END_CLOSED)

    def listen(self) -> None:
        """Take what comes until the other end closes, and end the process then, also in the middle of a batch."""
        while True:
            try:
                message = json.loads(self.receive())
            except (EOFError, OSError):
                os._exit(OTHER_END_CLOSED)
            if "lease" in message:
                self.leases.put(Lease.from_json(message["lease"]))
            elif message.get("stop") and self.worker is not None:
                self.worker.stop()
            elif message.get("end"):
                self.leases.put(None)


def main() -> None:
    """Load, then answer leases until the end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    line = _Line(int(sys.argv[1]))
    try:
        worker = line.worker = Worker(WorkerRecipe.from_json(line.receive()))
    except Exception as error:  # noqa: BLE001 - said to whoever asked, who ends the run
        line.send(Broken.of(error))
        return
    threading.Thread(target=line.listen, daemon=True).start()
    line.send(worker.ready)
    while (lease := line.leases.get()) is not None:
        worker.work(lease, line.send)
    worker.close()


if __name__ == "__main__":
    main()
