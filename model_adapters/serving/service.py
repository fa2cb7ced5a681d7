"""The HTTP server: routes, limits, streams, and a clean end."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import itertools
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from aiohttp import web

from model_adapters.contract import AdapterError, ModelAdapter, Response
from model_adapters.serving.batcher import Batcher, Ticket
from model_adapters.serving.errors import ProtocolError, of_failure
from model_adapters.serving.reading import ChatRequest, read_chat
from model_adapters.serving.writing import Writer

# Sampling settings beyond the protocol that requests may carry; clients find them in the model's card.
ACCEPTS = ("num_beams", "repetition_penalty", "top_k")
CLOSING_S = 60.0
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Service:
    """How to serve.

    Attributes:
        name: the model's name for clients; None takes it from the adapter's identity.
        host, port: where to listen; port 0 lets the system choose one.
        max_batch: most requests that go to the adapter together.
        window_ms: how long the first request of a batch waits for others.
        max_waiting: requests that may wait; more get 429.
        max_body_mib: largest request body, MiB.
        key: what clients must send as bearer token; empty for none.
    """

    name: str | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    max_batch: int = 64
    window_ms: float = 3.0
    max_waiting: int = 1024
    max_body_mib: float = 32.0
    key: str = ""


def serve(adapter: ModelAdapter, how: Service) -> int:
    """Serve until SIGINT or SIGTERM; then take no more requests, answer those that were taken, and return 0.

    Raises:
        AdapterError: the address cannot be listened on, or an option is out of range.
    """
    ranges = {"max_batch": 1, "window_ms": 0, "max_waiting": 1, "max_body_mib": 0.001}
    for option, least in ranges.items():
        if getattr(how, option) < least:
            raise AdapterError(f"{option} is {getattr(how, option)}; expected at least {least}.")
    if not how.key and not _is_loopback(how.host):
        print(
            f"note: {how.host} can be reached from other machines, and no key is asked for (--api-key-file).",
            file=sys.stderr,
        )
    return asyncio.run(_serve(adapter, how))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def _serve(adapter: ModelAdapter, how: Service) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)

    def end() -> None:
        stop.set()
        for number in signals:  # a second one ends at once
            loop.remove_signal_handler(number)

    for number in signals:
        loop.add_signal_handler(number, end)
    how = replace(how, name=how.name or str(adapter.identity()["model"]))
    batcher = Batcher(adapter, max_batch=how.max_batch, window_s=how.window_ms / 1000.0, max_waiting=how.max_waiting)
    runner = web.AppRunner(
        application(adapter, batcher, how), access_log=None, shutdown_timeout=CLOSING_S, handler_cancellation=True
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, how.host, how.port)
        try:
            await site.start()
        except OSError as error:
            raise AdapterError(
                f"Cannot listen on {how.host}:{how.port} ({error.strerror}). Choose another --port; 0 lets the system "
                "choose."
            ) from None
        port = runner.addresses[0][1]
        host = f"[{how.host}]" if ":" in how.host else how.host
        print(f"serving {how.name} at http://{host}:{port}/v1 (Ctrl-C ends)", flush=True)
        await stop.wait()
        print("ending: answering what was asked", file=sys.stderr, flush=True)
    finally:
        await runner.cleanup()
        await asyncio.to_thread(batcher.close)
    counts = batcher.counts
    print(f"served {counts.requests} requests in {counts.batches} batches", file=sys.stderr)
    return 0


def application(adapter: ModelAdapter, batcher: Batcher, how: Service) -> web.Application:
    """The routes."""
    chat = _Chat(batcher, str(how.name))
    card = _card(adapter, str(how.name))

    async def models(_: web.Request) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": [card]})

    async def model(request: web.Request) -> web.StreamResponse:
        if request.match_info["name"] != how.name:
            raise ProtocolError("The model does not exist here.", 404, param="model", code="model_not_found")
        return web.json_response(card)

    async def health(_: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "ok"})

    app = web.Application(
        client_max_size=int(how.max_body_mib * 2**20), middlewares=[_errors_as_json, _key_check(how.key)]
    )
    app.router.add_get("/health", health)
    app.router.add_get("/v1/models", models)
    app.router.add_get("/v1/models/{name:.+}", model)
    app.router.add_post("/v1/chat/completions", chat.handle)
    return app


def _card(adapter: ModelAdapter, name: str) -> dict[str, object]:
    can = adapter.capabilities
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "omnilmm-eval",
        "identity": dict(adapter.identity()),
        "capabilities": {
            "max_images": can.max_images,
            "text_only": can.text_only,
            "choice_scoring": can.choice_scoring,
        },
        "accepts": list(ACCEPTS),
    }


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ProtocolError as error:
        found = error
    except web.HTTPRequestEntityTooLarge:
        found = ProtocolError("The body is too large for this server (--max-body-mib).", 413, code="body_too_large")
    except web.HTTPException as error:
        found = ProtocolError(f"{error.status} {error.reason}: {request.method} {request.path}", error.status)
    return web.json_response(found.document(), status=found.status, headers=found.headers())


def _key_check(key: str) -> Any:
    expected = f"Bearer {key}".encode()

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if key and request.path != "/health" and not hmac.compare_digest(given, expected):
            raise ProtocolError("Wrong or missing key.", 401, kind="authentication_error", code="invalid_api_key")
        return await handler(request)

    return check


class _Chat:
    """POST /v1/chat/completions."""

    def __init__(self, batcher: Batcher, model: str) -> None:
        self._batcher, self._model = batcher, model
        self._numbers = itertools.count(1)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        # A web page may post plain text to 127.0.0.1 without asking; JSON needs a permission that nobody gives it.
        if request.content_type != "application/json":
            raise ProtocolError("Content-Type must be application/json.", 415)
        chat = read_chat(await request.read(), self._model)
        pieces: asyncio.Queue[str | Response] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def tell(what: str | Response) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, what)

        ticket = Ticket(chat.request, tell, tell if chat.stream else None)
        if not self._batcher.put(ticket):
            raise ProtocolError(
                "Too many requests wait already.", 429, kind="rate_limit_error", code="overloaded", retry_after_s=1
            )
        try:
            return await self._answer(request, chat, pieces)
        except (asyncio.CancelledError, ConnectionError):
            ticket.abandoned = True
            raise

    async def _answer(
        self, request: web.Request, chat: ChatRequest, pieces: asyncio.Queue[str | Response]
    ) -> web.StreamResponse:
        writer = Writer(next(self._numbers), self._model)
        first = await pieces.get()
        if isinstance(first, Response) and first.failure is not None:
            raise of_failure(first.failure)  # nothing was sent yet, so the status can still say it
        if not chat.stream:
            assert isinstance(first, Response)
            return web.json_response(writer.document(first))
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
        await stream.prepare(request)
        what, is_first = first, True
        while isinstance(what, str):
            await stream.write(writer.piece(what, first=is_first))
            what, is_first = await pieces.get(), False
        if what.failure is not None:
            error = of_failure(what.failure)
            await stream.write(writer.error(error.document()))
        else:
            await stream.write(writer.end(what, include_usage=chat.include_usage))
        await stream.write_eof()
        return stream
