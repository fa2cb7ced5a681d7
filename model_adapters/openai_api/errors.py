"""What can go wrong with one try, and what follows from it.

TryError
├── RefusedError      the server has read the request and will not answer it; trying again changes nothing
└── UnsettledError    no connection, a reset, a time-out, 429, 5xx, an answer that is none: worth another try
"""

from __future__ import annotations

import json
from typing import Any

LONGEST_TOLD = 500


class TryError(Exception):
    """One try has failed.

    Attributes:
        status: HTTP status; None where there was none.
        of_server: the server's fault (or the key's), not this request's.
    """

    def __init__(self, message: str, status: int | None = None, *, of_server: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.of_server = of_server


class RefusedError(TryError):
    """Trying again changes nothing."""


class UnsettledError(TryError):
    """Worth another try.

    Attributes:
        retry_after_s: when the server wants to be asked again; None where it did not say.
    """

    def __init__(self, message: str, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, status)
        self.retry_after_s = retry_after_s


def told(body: bytes) -> str:
    """What an error's body says: OpenAI's ``error.message``, or whatever else there is, shortened."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        value = body.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):
        if isinstance(value, dict) and key in value:
            value = value[key]
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_TOLD else text[: LONGEST_TOLD - 3] + "..."
