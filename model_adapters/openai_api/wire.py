"""One try: a request over the wire, and the reply or the reason why there is none."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from pathlib import Path
from typing import Any

import aiohttp

from model_adapters.contract import AdapterError, Request, Response
from model_adapters.openai_api.errors import RefusedError, TryError, UnsettledError, told
from model_adapters.openai_api.options import ServerOptions
from model_adapters.openai_api.reply import Reply, response_of
from model_adapters.openai_api.retry import RETRIED_STATUS, retry_after_s
from model_adapters.openai_api.secret import Secret

CONNECT_S = 10.0
LONGEST_ERROR_BODY = 64 * 1024
LONGEST_ANSWER_BYTES = 64 * 2**20


def tls_context(options: ServerOptions) -> ssl.SSLContext | bool:
    """Certificates are always verified: against the system's authorities, and the user's own file where there is one.

    Raises:
        AdapterError: that file holds no certificates.
    """
    if not options.is_tls:
        return True
    context = ssl.create_default_context()
    if options.ca_file is not None:
        try:
            context.load_verify_locations(Path(options.ca_file).expanduser())
        except (OSError, ssl.SSLError) as error:
            raise AdapterError(f"ca_file {options.ca_file} holds no certificates ({error}); expected PEM.") from None
    return context


class Wire:
    """A pool of connections to one server. Made, used and closed in the event loop.

    Nothing comes from the environment (no proxies), no redirect is followed (the key would go along), no cookie kept.
    """

    def __init__(self, options: ServerOptions, secret: Secret) -> None:
        self._options = options
        headers = {"Authorization": f"Bearer {secret.value}"} if secret.value else {}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls_context(options), ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S),
            headers={**headers, "Content-Type": "application/json", "User-Agent": "omnilmm-eval"},
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=2**17,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def get(self, path: str, timeout_s: float) -> Any:
        """The JSON document at a path. Raises :class:`TryError`."""

        async def read() -> Any:
            async with self._session.get(self._options.base_url + path, allow_redirects=False) as answer:
                await _check_status(answer)
                return await answer.json(content_type=None)

        try:
            return await self._guarded(read(), timeout_s)
        except ValueError as error:
            raise UnsettledError(f"GET {path} did not give JSON ({error}).") from None

    async def ask(self, request: Request, body: bytes) -> Response:
        """One answer. Raises :class:`TryError`."""
        return await self._guarded(self._ask(request, body), self._options.timeout_s)

    async def _ask(self, request: Request, body: bytes) -> Response:
        reply = Reply()
        begin = time.monotonic()
        url = self._options.base_url + "/chat/completions"
        async with self._session.post(url, data=body, allow_redirects=False) as answer:
            await _check_status(answer)
            if answer.content_type == "text/event-stream":
                await _read_events(answer, reply)
                if reply.finish is None:
                    raise UnsettledError("The stream ended in the middle of the answer, without a finish_reason.")
            else:
                reply.take_document(await _read(answer, LONGEST_ANSWER_BYTES))
        return response_of(request, reply, self._options, begin, time.monotonic())

    async def _guarded(self, work: Any, timeout_s: float) -> Any:
        """Await with a time limit; the library's errors come out as ours."""
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except TimeoutError:
            raise UnsettledError(f"No complete answer within {timeout_s:g} s.") from None
        except aiohttp.ClientConnectorCertificateError as error:
            raise RefusedError(
                f"The server's certificate is not trusted ({error.certificate_error}). Certificates are always "
                "verified; name the authority that signed it with -o ca_file=FILE."
            ) from None
        except aiohttp.ClientConnectorError as error:
            number = error.os_error.errno
            reason = os.strerror(number) if number and number > 0 else error.os_error
            raise UnsettledError(f"No connection: {reason}.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UnsettledError(f"The connection broke: {type(error).__name__} {error}".rstrip() + ".") from None


async def _check_status(answer: aiohttp.ClientResponse) -> None:
    """Raise :class:`TryError` unless the status is 200."""
    if answer.status == 200:
        return
    told_text = told(await answer.content.read(LONGEST_ERROR_BODY))
    message = f"HTTP {answer.status}: {told_text or answer.reason}"
    if answer.status in RETRIED_STATUS:
        raise UnsettledError(message, answer.status, retry_after_s(answer.headers))
    of_server = answer.status in (401, 402, 403, 404, 405) or answer.status < 400 or answer.status >= 500
    raise RefusedError(message, answer.status, of_server=of_server)


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body. Raises :class:`UnsettledError` where it is longer than any answer."""
    if (answer.content_length or 0) > limit:
        raise UnsettledError(f"The answer is longer than {limit} bytes.")
    pieces, size = [], 0
    async for piece in answer.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise UnsettledError(f"The answer is longer than {limit} bytes.")
    return b"".join(pieces)


async def _read_events(answer: aiohttp.ClientResponse, reply: Reply) -> None:
    """Server-sent events up to ``[DONE]`` or the stream's end (WHATWG HTML, 9.2.6; only ``data`` fields matter)."""
    data: list[bytes] = []
    size = 0
    async for raw in _lines(answer):
        size += len(raw)
        if size > LONGEST_ANSWER_BYTES:
            raise UnsettledError(f"The answer is longer than {LONGEST_ANSWER_BYTES} bytes.")
        if raw.startswith(b"data:"):
            data.append(raw[5:].removeprefix(b" "))
        elif not raw and data:
            event = b"\n".join(data)
            data = []
            if event == b"[DONE]":
                return
            reply.take_event(event, time.monotonic())
    if data and data != [b"[DONE]"]:
        reply.take_event(b"\n".join(data), time.monotonic())


async def _lines(answer: aiohttp.ClientResponse) -> Any:
    """Lines without their ends; a line may be longer than the library's buffer."""
    rest = b""
    async for piece in answer.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            yield line.removesuffix(b"\r")
    if rest:
        yield rest.removesuffix(b"\r")


__all__ = ["TryError", "Wire"]
