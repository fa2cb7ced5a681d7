"""The journal of answers: one append-only JSON-lines file a task, the truth that everything else is rebuilt from.

A line is one :class:`Answer`. Each batch is one write, fsynced at least every two seconds and at the end, so a kill
costs at most the batch in flight. A torn last line is cut off on open; of several lines for one request the last wins.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evals.errors import StoreError
from evals.records import Answer
from model_adapters.contract import Failure, Timing, Usage

FSYNC_SECONDS = 2.0


def _sparse(record: Any) -> dict[str, Any]:
    """A record's fields that say something: null is what a missing key means, so it is not written."""
    values = ((f.name, getattr(record, f.name)) for f in fields(record))
    return {name: round(v, 4) if isinstance(v, float) else v for name, v in values if v is not None}


def encode_answer(answer: Answer) -> str:
    """An answer as one JSON line. Lone surrogates become U+FFFD, since UTF-8 cannot hold them."""
    line: dict[str, Any] = {"id": answer.request_id, "sample": answer.sample_id, "hash": answer.content_hash}
    line |= {"text": answer.text.encode("utf-8", "replace").decode(), "finish": answer.finish}
    if answer.choice_scores is not None:
        line |= {"choice_scores": answer.choice_scores, "choice_tokens": answer.choice_tokens}
    if usage := _sparse(answer.usage):
        line["usage"] = usage
    if timing := _sparse(answer.timing):
        line["timing"] = timing
    if answer.failure is not None:
        line["failure"] = _sparse(answer.failure)
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n"


def decode_answer(line: dict[str, Any]) -> Answer:
    """The answer that a parsed JSON line holds."""
    return Answer(
        request_id=line["id"],
        sample_id=line["sample"],
        content_hash=line["hash"],
        text=line.get("text", ""),
        finish=line.get("finish", "stop"),
        choice_scores=tuple(line["choice_scores"]) if "choice_scores" in line else None,
        choice_tokens=tuple(line["choice_tokens"]) if line.get("choice_tokens") else None,
        usage=Usage(**line.get("usage", {})),
        timing=Timing(**line.get("timing", {})),
        failure=Failure(**line["failure"]) if "failure" in line else None,
    )


def read_answers(path: Path) -> Iterator[Answer]:
    """All complete lines of a journal in order, a torn last line left out.

    Raises:
        StoreError: a line other than the last is not valid; the file was changed by something else.
    """
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                return
            try:
                yield decode_answer(json.loads(raw))
            except (ValueError, KeyError, TypeError) as error:
                raise StoreError(
                    f"{path}:{number} is not a journal line ({error}). The file was damaged or edited: restore it, or "
                    "delete that line and run the same command again; only its sample is asked again."
                ) from error


def latest_answers(path: Path) -> dict[str, Answer]:
    """The answer that counts for each request: its last successful line, or its last failure if it never succeeded."""
    latest: dict[str, Answer] = {}
    for answer in read_answers(path):
        known = latest.get(answer.request_id)
        if answer.failure is None or known is None or known.failure is not None:
            latest[answer.request_id] = answer
    return latest


class Journal:
    """The writing end of one task's journal. Use as a context manager; ``append`` a batch at a time.

    Attributes:
        torn_bytes: length of an incomplete last line that was cut off when the journal was opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.torn_bytes = 0
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab", buffering=0)
            self._cut_torn_line()
        except OSError as error:
            raise self._cannot_write(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"Could not write {self.path}: {error.strerror or error}. All answers written before are safe. "
            "Free some space or make the folder writable, then run the same command again: it continues from here."
        )

    def _cut_torn_line(self) -> None:
        """A crash in the middle of a write leaves a line without its end; cut it, its sample is asked again."""
        size = self._file.tell()
        with self.path.open("rb") as file:
            tail_start = size
            while tail_start > 0:
                step = min(1 << 20, tail_start)
                file.seek(tail_start - step)
                newline = file.read(step).rfind(b"\n")
                if newline >= 0:
                    tail_start = tail_start - step + newline + 1
                    break
                tail_start -= step
        self.torn_bytes = size - tail_start
        if self.torn_bytes:
            self._file.truncate(tail_start)

    def append(self, answers: Iterable[Answer]) -> None:
        """Write a batch of answers in one call.

        Raises:
            StoreError: the disk is full or gone; a partly written batch is cut off again, so the file stays whole.
        """
        data = "".join(map(encode_answer, answers)).encode()
        start = os.fstat(self._file.fileno()).st_size
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:]) or 0
            if time.monotonic() - self._synced >= FSYNC_SECONDS:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()
        except OSError as error:
            self._file.truncate(start)
            raise self._cannot_write(error) from error
