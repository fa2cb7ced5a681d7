"""What a user can say about a server, checked before anything is sent."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from model_adapters.contract import AdapterError, did_you_mean

PROBES = ("models", "image", "none")
CHOICE_SCORING = ("server", "first_token")
TOP_LOGPROBS = 20  # the most that OpenAI's protocol allows
TOKEN_LIMITS = ("max_tokens", "max_completion_tokens")
# Sampling settings that are no part of OpenAI's protocol; a server must be known to read them.
EXTENSIONS = ("num_beams", "repetition_penalty", "top_k")


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server is asked. See :class:`model_adapters.openai_api.adapter.OpenAIAdapter` for what each means."""

    base_url: str
    concurrency: int
    retries: int
    timeout_s: float
    longest_wait_s: float
    stream: bool
    token_limit: str
    choice_scoring: str
    image_detail: str | None
    extra_body: Mapping[str, Any]
    accepts: tuple[str, ...]
    price_in: float | None
    price_out: float | None
    ca_file: str | None

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.base_url.startswith("https:")

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        host = urlsplit(self.base_url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def cost(self, prompt_tokens: int | None, new_tokens: int | None) -> float | None:
        """Price of one request in the prices' currency; null without prices or token counts."""
        if self.price_in is None or self.price_out is None or prompt_tokens is None or new_tokens is None:
            return None
        return (prompt_tokens * self.price_in + new_tokens * self.price_out) / 1e6


def checked_url(url: str | None) -> str:
    """The base URL without a closing slash.

    Raises:
        AdapterError: none, not http(s), or one that carries a user, a key or a query, which would end up in records.
    """
    if not isinstance(url, str) or not url:
        raise AdapterError("The adapter openai needs base_url: -o base_url=http://127.0.0.1:8000/v1")
    try:
        parts = urlsplit(url)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise AdapterError(f"base_url is no URL ({error}); expected http(s)://HOST[:PORT]/v1.") from None
    if parts.username or parts.password or parts.query or parts.fragment:
        raise AdapterError(
            "base_url holds more than a scheme, a host and a path. It is written into every record, so a user name, a "
            "password or a query has no place in it: give the key by api_key_env or api_key_file."
        )
    if parts.scheme not in ("http", "https") or not host:
        raise AdapterError(f"base_url is {url!r}; expected http(s)://HOST[:PORT]/v1.")
    return url.rstrip("/")


def checked_options(**given: Any) -> ServerOptions:
    """Options with the right types and ranges. Raises :class:`AdapterError` that names the option."""
    given["base_url"] = checked_url(given["base_url"])
    given["accepts"] = _accepts(given["accepts"])
    given["extra_body"] = _extra_body(given["extra_body"])
    ranges: list[tuple[str, type | tuple[type, ...], Any]] = [
        ("concurrency", int, lambda v: 1 <= v <= 4096),
        ("retries", int, lambda v: 0 <= v <= 100),
        ("timeout_s", (int, float), lambda v: 0 < v < 1e6),
        ("longest_wait_s", (int, float), lambda v: 0 < v < 1e6),
        ("stream", bool, lambda v: True),
        ("token_limit", str, lambda v: v in TOKEN_LIMITS),
        ("choice_scoring", str, lambda v: v in CHOICE_SCORING),
        ("image_detail", (str, type(None)), lambda v: v in (None, "low", "high", "auto")),
        ("price_in", (int, float, type(None)), lambda v: v is None or 0 <= v < 1e9),
        ("price_out", (int, float, type(None)), lambda v: v is None or 0 <= v < 1e9),
        ("ca_file", (str, type(None)), lambda v: v is None or Path(v).expanduser().is_file()),
    ]
    expected = {
        "concurrency": "a whole number from 1 to 4096",
        "retries": "a whole number from 0 to 100",
        "timeout_s": "seconds above 0",
        "longest_wait_s": "seconds above 0",
        "stream": "true or false",
        "token_limit": " or ".join(TOKEN_LIMITS),
        "choice_scoring": " or ".join(CHOICE_SCORING),
        "image_detail": "low, high or auto",
        "price_in": "a price per million tokens, 0 or more",
        "price_out": "a price per million tokens, 0 or more",
        "ca_file": "a file with certificates (PEM)",
    }
    for name, kinds, fits in ranges:
        value = given[name]
        is_number_but_bool = isinstance(value, bool) and kinds is not bool
        if is_number_but_bool or not isinstance(value, kinds) or not fits(value):
            raise AdapterError(f"The option {name} is {value!r}; expected {expected[name]}.")
    if (given["price_in"] is None) != (given["price_out"] is None):
        raise AdapterError("price_in and price_out belong together: give both, in money per million tokens.")
    return ServerOptions(**given)


def _accepts(given: Any) -> tuple[str, ...]:
    names = given.replace(" ", "").split(",") if isinstance(given, str) else list(given or ())
    for name in names:
        if name not in EXTENSIONS:
            hint = did_you_mean(str(name), EXTENSIONS)
            raise AdapterError(f"The option accepts names {name!r}.{hint} Expected some of {', '.join(EXTENSIONS)}.")
    return tuple(sorted(set(names)))


def _extra_body(given: Any) -> dict[str, Any]:
    if given is None:
        return {}
    ours = {
        "model",
        "messages",
        "stream",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
    }
    if not isinstance(given, Mapping) or ours & set(given):
        raise AdapterError(
            "The option extra_body is a mapping of fields that this adapter does not set itself, for example "
            "-o 'extra_body={chat_template_kwargs: {enable_thinking: false}}'."
        )
    try:
        return dict(json.loads(json.dumps(given, allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise AdapterError(f"The option extra_body is no JSON: {error}.") from None
