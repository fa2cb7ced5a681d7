"""Errors as clients of the protocol know them: ``{"error": {"message", "type", "param", "code"}}``."""

from __future__ import annotations

from typing import Any

from model_adapters.contract import Failure

_OF_REQUEST = {"AdapterError", "OSError", "UnidentifiedImageError", "FileNotFoundError"}


class ProtocolError(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        kind: OpenAI's ``error.type``.
        param: the field that is meant.
        code: a word for programs.
        retry_after_s: when to come back; None where that makes no sense.
    """

    def __init__(
        self,
        message: str,
        status: int = 400,
        *,
        kind: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.kind, self.param, self.code, self.retry_after_s = status, kind, param, code, retry_after_s

    def document(self) -> dict[str, Any]:
        """The body."""
        return {"error": {"message": str(self), "type": self.kind, "param": self.param, "code": self.code}}

    def headers(self) -> dict[str, str]:
        """Headers that belong to it."""
        return {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}


def of_failure(failure: Failure) -> ProtocolError:
    """What an adapter could not answer: its own refusals are the request's fault, all else is the server's.

    The traceback stays here.
    """
    if failure.type in _OF_REQUEST:
        return ProtocolError(failure.message)
    return ProtocolError(f"{failure.type}: {failure.message}", 500, kind="server_error")
