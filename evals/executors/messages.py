"""What workers say, as bytes: a letter, a line of JSON, and for answers the journal lines as they shall be written."""

from __future__ import annotations

import json
import traceback
from dataclasses import dataclass
from typing import Any, TypeAlias

from evals.errors import AdapterError, DataError, EvalError, SpecError, StoreError

_ERRORS = {kind.__name__: kind for kind in (AdapterError, DataError, SpecError, StoreError)}


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded. ``identity`` and ``capabilities`` are the adapter's, ``load_s`` the seconds it took."""

    identity: dict[str, Any]
    capabilities: dict[str, Any]
    load_s: float


@dataclass(frozen=True, slots=True)
class Taken:
    """The adapter has taken this request."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Answers.

    Attributes:
        ids: their request ids.
        failed: how many of them are failures.
        score_sum, scored: sum of their scores and how many have one; for the progress bar only.
        lines: journal lines.
    """

    ids: list[str]
    failed: int
    score_sum: float
    scored: int
    lines: bytes


@dataclass(frozen=True, slots=True)
class Halved:
    """Memory was full; the worker's batches are of ``batch_size`` from now on. ``error`` names what said so."""

    batch_size: int
    error: str


@dataclass(frozen=True, slots=True)
class Done:
    """The lease is done, or as far done as a stop allowed.

    Attributes:
        memory: the worker's so far, in MiB.
        batch_size, batch_tokens: most requests and ids at a time now, None where its adapter does not say.
        auto_batch: whether the adapter was left to find that size.
    """

    dropped: int
    memory: dict[str, float | None]
    batch_size: int | None = None
    auto_batch: bool = False
    batch_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Broken:
    """The worker met an error that is no single sample's."""

    kind: str
    message: str

    @staticmethod
    def of(error: Exception) -> Broken:
        """What to say of an error; one that was not raised on purpose is said with its traceback."""
        if isinstance(error, EvalError):
            return Broken(type(error).__name__, str(error))
        return Broken(type(error).__name__, f"{error}\n{traceback.format_exc()}")

    def error(self) -> EvalError:
        """The error as it would have been raised in this process."""
        known = _ERRORS.get(self.kind)
        return known(self.message) if known else AdapterError(f"A worker failed: {self.kind}: {self.message}")


@dataclass(frozen=True, slots=True)
class Died:
    """The worker is gone; ``why`` says what is known of it."""

    why: str


Message: TypeAlias = Ready | Taken | Batch | Halved | Done | Broken | Died
_KINDS: dict[bytes, Any] = {b"R": Ready, b"T": Taken, b"B": Batch, b"H": Halved, b"D": Done, b"E": Broken}
_LETTERS: dict[Any, bytes] = {kind: letter for letter, kind in _KINDS.items()}


def encode(message: Message) -> bytes:
    """A message as bytes."""
    values = {name: getattr(message, name) for name in message.__slots__}
    lines = values.pop("lines", b"")
    return b"".join((_LETTERS[type(message)], json.dumps(values).encode(), b"\n", lines))


def decode(data: bytes) -> Message:
    """The message that the bytes are."""
    head, _, lines = data[1:].partition(b"\n")
    values = json.loads(head)
    message: Message = _KINDS[data[:1]](**values, **({"lines": lines} if data[:1] == b"B" else {}))
    return message
