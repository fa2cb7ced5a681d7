"""Many requests to one server: bounded in number, tried again with patience, given up together when the server is gone.

The caller's thread pulls requests and yields responses; an event loop in a thread of its own keeps the connections, so
that times are taken when bytes arrive and not when the caller has finished writing its journal.
"""

from __future__ import annotations

import asyncio
import random
import threading
import time
import traceback
from collections.abc import Coroutine, Iterable, Iterator
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, TypeVar

from model_adapters.contract import AdapterError, Failure, Request, Response
from model_adapters.openai_api.errors import RefusedError, TryError, UnsettledError
from model_adapters.openai_api.options import ServerOptions
from model_adapters.openai_api.payload import body_of
from model_adapters.openai_api.retry import Outage, backoff_s
from model_adapters.openai_api.secret import Secret
from model_adapters.openai_api.wire import Wire

T = TypeVar("T")

# Types of failures, as records name them. The first two are no fault of the request.
SERVER_FAILED, SERVER_REFUSED, REQUEST_REFUSED = "ServerFailed", "ServerRefused", "RequestRefused"
_STOPPED = None  # what a request that was dropped by a stop leaves instead of a response


class Client:
    """Connections to one server, and the thread that serves them.

    Attributes:
        retried: tries that were not the first one of their request, so far.
    """

    def __init__(self, options: ServerOptions, secret: Secret) -> None:
        self.retried = 0
        self._options, self._secret = options, secret
        self._draw = random.Random()  # of waiting times only
        self._resume_s = 0.0  # monotonic time before which nothing is sent: the server asked for a pause
        self._stopping = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai", daemon=True)
        self._thread.start()
        try:
            self._wire = self._wait(self._make_wire())
        except BaseException:
            self._end_loop()
            raise

    async def _make_wire(self) -> Wire:
        self._stop = asyncio.Event()
        return Wire(self._options, self._secret)

    def get(self, path: str, timeout_s: float) -> Any:
        """The JSON document at a path below the base URL, in one try. Raises :class:`TryError`."""
        return self._wait(self._wire.get(path, timeout_s))

    def ask_once(self, request: Request, model: str) -> Response:
        """One request in one try. Raises :class:`TryError`."""
        return self._wait(self._wire.ask(request, body_of(request, model, self._options, ())))

    def stop(self) -> None:
        """Send nothing more; what is being answered is still awaited, what waits for another try is dropped."""
        self._stopping = True
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    def close(self) -> None:
        """Close the connections and end the thread."""
        if not self._loop.is_closed():
            self._wait(self._wire.close())
            self._end_loop()

    def ask(self, requests: Iterable[Request], model: str, accepts: tuple[str, ...]) -> Iterator[Response]:
        """Answers in the order in which they come.

        Raises:
            AdapterError: so many requests in a row have failed that the server must be gone, or refuses them all.
        """
        results: SimpleQueue[Response | None] = SimpleQueue()
        running: set[asyncio.Task[None]] = set()
        outage = Outage(limit=max(32, 2 * self._options.concurrency))
        source, pending, exhausted = iter(requests), 0, False

        def start(request: Request) -> None:
            task = self._loop.create_task(self._settle(request, model, accepts, outage, results))
            running.add(task)
            task.add_done_callback(running.discard)

        try:
            while True:
                while pending < self._options.concurrency and not exhausted and not self._stopping:
                    request = next(source, None)
                    if request is None:
                        exhausted = True
                        break
                    pending += 1
                    self._loop.call_soon_threadsafe(start, request)
                if not pending:
                    return
                response = results.get()
                pending -= 1
                if response is not _STOPPED:
                    yield response
                    self._judge(response, outage)
        finally:  # the caller has given up, or was interrupted: nothing goes on behind its back
            if pending and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in list(running)])

    def _judge(self, response: Response, outage: Outage) -> None:
        failure = response.failure
        if failure is None:
            outage.answered()
            return
        of_server = failure.type in (SERVER_FAILED, SERVER_REFUSED)
        if outage.failed(failure.message, of_server=of_server):
            raise AdapterError(
                f"{self._options.base_url} has failed {outage.limit} requests in a row; the last one: {outage.last} "
                "What was answered before is saved, and the same command continues once the server answers."
            )

    async def _settle(
        self,
        request: Request,
        model: str,
        accepts: tuple[str, ...],
        outage: Outage,
        results: SimpleQueue[Response | None],
    ) -> None:
        """Put exactly one result for a request, whatever happens."""
        try:
            body = body_of(request, model, self._options, accepts)
            results.put(self._scrubbed(await self._try(request, body)))
        except asyncio.CancelledError:
            results.put(_STOPPED)
            raise
        except Exception as error:  # noqa: BLE001 - whatever one sample breaks must not take the others along
            results.put(self._failure(request, error))

    async def _try(self, request: Request, body: bytes) -> Response | None:
        """Try until there is an answer, no hope, or no try left. None: stopped before that."""
        for attempt in range(self._options.retries + 1):
            if not await self._may_send():
                return _STOPPED
            self.retried += attempt > 0
            try:
                return await self._wire.ask(request, body)
            except UnsettledError as error:
                wait_s = backoff_s(attempt, self._draw)
                if error.retry_after_s is not None:
                    wait_s = error.retry_after_s + 0.1 * wait_s
                    if wait_s > self._options.longest_wait_s:
                        raise RefusedError(
                            f"{error} It asks to wait {error.retry_after_s:.0f} s.", error.status
                        ) from None
                    self._resume_s = max(self._resume_s, time.monotonic() + error.retry_after_s)
                if attempt == self._options.retries:
                    raise UnsettledError(f"{error} Given up after {attempt + 1} tries.", error.status) from None
            if not await self._sleep(wait_s):
                return _STOPPED
        raise AssertionError("unreachable")

    async def _may_send(self) -> bool:
        """Wait out a pause that the server asked for; False after a stop."""
        while (left_s := self._resume_s - time.monotonic()) > 0:
            if not await self._sleep(left_s + 0.05 * self._draw.random()):
                return False
        return not self._stopping

    async def _sleep(self, seconds: float) -> bool:
        """Sleep; False as soon as there is a stop."""
        try:
            await asyncio.wait_for(self._stop.wait(), seconds)
        except TimeoutError:
            return True
        return False

    def _failure(self, request: Request, error: Exception) -> Response:
        expected = isinstance(error, TryError | AdapterError | OSError)
        trace = "" if expected else self._secret.scrub("".join(traceback.format_exception(error)))
        kind = type(error).__name__
        if isinstance(error, RefusedError):
            kind = SERVER_REFUSED if error.of_server else REQUEST_REFUSED
        elif isinstance(error, UnsettledError):
            kind = SERVER_FAILED
        names = ", ".join(image.name for image in request.images)
        message = f"{error} (image {names})" if names and names not in str(error) else str(error)
        failure = Failure(kind, self._secret.scrub(message), trace)
        return Response(request.request_id, finish="error", failure=failure)

    def _scrubbed(self, response: Response | None) -> Response | None:
        """A server that puts the key into its answer does not get it into our records."""
        if response is None or not self._secret.value or self._secret.value not in response.text:
            return response
        return replace(response, text=self._secret.scrub(response.text))

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
