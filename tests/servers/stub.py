"""A small server on loopback that answers as a test tells it to."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from base64 import b64decode
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from PIL import Image

Behaviour = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


def question_of(body: dict[str, Any]) -> str:
    content = body["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


def answer(text: str, finish: str = "stop", **more: Any) -> web.Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
    return web.json_response({"choices": [choice], "usage": usage_of(text)} | more)


def usage_of(text: str) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": len(text.split()), "total_tokens": 10 + len(text.split())}


def refusal(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


async def echo(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
    """A model that repeats the question: reads its pictures, counts words as tokens, stops where it is told to."""
    try:
        for url in pictures_of(body):
            Image.open(io.BytesIO(b64decode(url.partition(",")[2]))).load()
    except (OSError, SyntaxError) as error:
        return refusal(400, f"picture: {type(error).__name__}")
    text = f"you asked: {question_of(body)}"
    words = text.split()[: body["max_tokens"]]
    finish = "length" if len(words) == body["max_tokens"] else "stop"
    text = " ".join(words)
    for end in body.get("stop", ()):
        if end in text:
            text, finish = text[: text.index(end)], "stop"
    if not body.get("stream"):
        return answer(text, finish)
    usage = json.dumps({"choices": [], "usage": usage_of(text)})
    pieces = [delta(piece) for piece in text.replace(" ", " \n").split("\n")]
    return await send_events(request, *pieces, delta(None, finish), usage, "[DONE]")


def pictures_of(body: dict[str, Any]) -> list[str]:
    contents = [message["content"] for message in body["messages"]]
    parts = [part for content in contents if isinstance(content, list) for part in content]
    return [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]


async def send_events(request: web.Request, *events: str) -> web.StreamResponse:
    stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await stream.prepare(request)
    for event in events:
        await stream.write(f"data: {event}\n\n".encode())
        await asyncio.sleep(0.001)
    return stream


def delta(text: str | None, finish: str | None = None) -> str:
    content = {} if text is None else {"content": text}
    return json.dumps({"choices": [{"index": 0, "delta": content, "finish_reason": finish}]})


class Stub:
    """The server. ``behave`` answers chat completions; everything it is sent is kept.

    Attributes:
        bodies, headers: of all chat requests, in order of arrival.
        most_at_once: largest number of chat requests that were open together.
    """

    def __init__(self, behave: Behaviour = echo, models: Any = ("stub",), port: int = 0, ssl: Any = None) -> None:
        self.behave, self.models = behave, models
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.most_at_once = self._open = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = asyncio.run_coroutine_threadsafe(self._start(port, ssl), self._loop).result()
        self.url = f"http{'s' if ssl else ''}://127.0.0.1:{self.port}/v1"

    async def _start(self, port: int, ssl: Any) -> int:
        app = web.Application(client_max_size=2**28)
        app.router.add_get("/v1/models", self._list)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port, ssl_context=ssl, reuse_address=True).start()
        return int(self._runner.addresses[0][1])

    async def _list(self, request: web.Request) -> web.StreamResponse:
        if callable(self.models):
            return await self.models(request)
        cards = [card if isinstance(card, dict) else {"id": card, "object": "model"} for card in self.models]
        return web.json_response({"object": "list", "data": cards})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            body = json.loads(await request.read())
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            return await self.behave(request, body)
        finally:
            self._open -= 1

    def close(self) -> None:
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
