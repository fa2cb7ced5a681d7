"""Requests that arrive together go to the adapter together.

One thread owns the adapter. It takes the first request that waits, gives others a few milliseconds to join, and answers
them in one call; what arrives meanwhile makes the next batch. So a lone request waits for the window only, and under
load the batches fill by themselves.
"""

from __future__ import annotations

import queue
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from model_adapters.contract import AdapterError, Failure, ModelAdapter, Request, Response


@dataclass(slots=True)
class Ticket:
    """A request that waits for its answer.

    Attributes:
        on_text: called from the adapter's thread with each piece of text; None where nobody wants pieces.
        on_done: called from the adapter's thread with the response, once.
        abandoned: the client has gone; not worth computing if it was not begun.
    """

    request: Request
    on_done: Callable[[Response], None]
    on_text: Callable[[str], None] | None = None
    abandoned: bool = False


@dataclass(slots=True)
class Counts:
    """What was served so far."""

    requests: int = 0
    batches: int = 0
    largest_batch: int = 0


class Batcher:
    """The thread between a server and an adapter.

    Args:
        max_batch: most requests in one call.
        window_s: how long the first request of a batch waits for others.
        max_waiting: requests that may wait; :meth:`put` says False beyond.
    """

    def __init__(self, adapter: ModelAdapter, *, max_batch: int, window_s: float, max_waiting: int) -> None:
        self.counts = Counts()
        self._adapter, self._max_batch, self._window_s = adapter, max_batch, window_s
        self._waiting: queue.Queue[Ticket | None] = queue.Queue(max_waiting)
        self._later: list[Ticket] = []
        self._thread = threading.Thread(target=self._work, name="batcher", daemon=True)
        self._thread.start()

    def put(self, ticket: Ticket) -> bool:
        """Queue a request; False if too many wait already."""
        try:
            self._waiting.put_nowait(ticket)
        except queue.Full:
            return False
        return True

    def close(self) -> None:
        """Answer what waits, then end the thread."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        is_open = True
        while is_open or self._later:
            batch, is_open = self._collect(is_open)
            if batch:
                self._answer(batch)

    def _collect(self, is_open: bool) -> tuple[dict[str, Ticket], bool]:
        """The next batch by request id, and whether more may come. Requests with one id never share a batch."""
        batch: dict[str, Ticket] = {}
        again, self._later = self._later, []
        for ticket in again:
            self._add(batch, ticket)
        deadline = time.monotonic() if batch else None
        while is_open and max(len(batch), len(self._later)) < self._max_batch:
            try:
                joining = self._waiting.get(timeout=None if deadline is None else max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                break
            if joining is None:
                return batch, False
            self._add(batch, joining)
            deadline = deadline or time.monotonic() + self._window_s
        return batch, is_open

    def _add(self, batch: dict[str, Ticket], ticket: Ticket) -> None:
        if ticket.abandoned:
            return
        if ticket.request.request_id in batch or len(batch) >= self._max_batch:
            self._later.append(ticket)
        else:
            batch[ticket.request.request_id] = ticket

    def _answer(self, batch: dict[str, Ticket]) -> None:
        self.counts.requests += len(batch)
        self.counts.batches += 1
        self.counts.largest_batch = max(self.counts.largest_batch, len(batch))
        open_tickets = dict(batch)
        listening = any(ticket.on_text is not None for ticket in batch.values())

        def piece(request_id: str, text: str) -> None:
            ticket = open_tickets.get(request_id)
            if ticket is not None and ticket.on_text is not None:
                ticket.on_text(text)

        problem = Failure("NoAnswer", "The model gave no answer to this request.")
        try:
            for response in self._responses([t.request for t in batch.values()], piece, listening=listening):
                ticket = open_tickets.pop(response.request_id, None)
                if ticket is not None:
                    ticket.on_done(response)
        except Exception as error:  # noqa: BLE001 - a batch that breaks must not end the server
            if not isinstance(error, AdapterError):
                traceback.print_exc()
            problem = Failure(type(error).__name__, str(error))
        for request_id, ticket in open_tickets.items():
            ticket.on_done(Response(request_id, finish="error", failure=problem))

    def _responses(
        self, requests: list[Request], piece: Callable[[str, str], None], *, listening: bool
    ) -> Iterator[Response]:
        asked = [request for request in requests if not request.choices]
        scored = [request for request in requests if request.choices]
        if asked and listening:
            yield from self._adapter.stream(asked, piece)
        elif asked:
            yield from self._adapter.generate(asked)
        if scored:
            yield from self._adapter.score_choices(scored)
