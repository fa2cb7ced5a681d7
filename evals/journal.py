"""The journal of answers: one append-only JSON-lines file a task, the truth that everything else is rebuilt from.

A line is one :class:`Answer`. What came in a quarter of a second is one write, fsynced at least every two seconds and
at the end, so a kill costs at most the batch in flight and what came in that time. A torn last line is cut off on open;
of several lines for one request the last wins, but a failure never wins over an answer.
"""

from __future__ import annotations

import json
import os
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from evals.errors import StoreError
from evals.json_lines import decode_line
from evals.records import Answer
from model_adapters.contract import Failure, Timing, Usage

T = TypeVar("T")

FSYNC_SECONDS = 2.0
LINE_BYTES = 1024  # read at first; few lines are longer
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
# A request may cost a millionth of a unit of money; of a time, tenths of a microsecond are enough.
_USAGE = tuple(f.name for f in fields(Usage))
_TIMING = tuple(f.name for f in fields(Timing))
_NO_USAGE, _NO_TIMING = Usage(), Timing()


def _sparse(record: Usage | Timing, names: tuple[str, ...], digits: int) -> dict[str, Any]:
    """A record's fields that say something: null is what a missing key means, so it is not written."""
    values = [(name, getattr(record, name)) for name in names]
    return {name: round(v, digits) if isinstance(v, float) else v for name, v in values if v is not None}


def encode_answer(answer: Answer) -> str:
    """An answer as one JSON line. Lone surrogates become ``?``, since UTF-8 cannot hold them."""
    line: dict[str, Any] = {
        "id": answer.request_id,
        "sample": answer.sample_id,
        "hash": answer.content_hash,
        "text": answer.text,
        "finish": answer.finish,
    }
    if answer.choice_scores is not None:
        line |= {"choice_scores": answer.choice_scores, "choice_tokens": answer.choice_tokens}
    if usage := _sparse(answer.usage, _USAGE, 9):
        line["usage"] = usage
    if timing := _sparse(answer.timing, _TIMING, 4):
        line["timing"] = timing
    if answer.failure is not None:
        line["failure"] = asdict(answer.failure)
    if answer.cached:
        line["cached"] = True
    return _encode(line) + "\n"


def encode_answers(answers: Iterable[Answer]) -> bytes:
    """Answers as the bytes of a journal."""
    return "".join(map(encode_answer, answers)).encode("utf-8", "replace")


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
        usage=Usage(**line["usage"]) if "usage" in line else _NO_USAGE,
        timing=Timing(**line["timing"]) if "timing" in line else _NO_TIMING,
        failure=Failure(**line["failure"]) if "failure" in line else None,
        cached=line.get("cached", False),
    )


def _lines(path: Path, read: Callable[[int, dict[str, Any]], T]) -> Iterator[T]:
    """What ``read`` makes of the offset and value of each complete line of a journal, a torn last line left out."""
    if not path.exists():
        return
    offset = 0
    with path.open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.endswith(b"\n"):
                return
            try:
                found = read(offset, decode_line(raw))
            except (ValueError, KeyError, TypeError) as error:
                raise _damaged(f"{path}:{number}", error) from error
            yield found
            offset += len(raw)


def _damaged(where: str, error: Exception) -> StoreError:
    return StoreError(
        f"{where} is not a journal line ({error}). The file was damaged or edited: restore it, or delete that line and "
        "run the same command again; only its sample is asked again."
    )


def read_answers(path: Path) -> Iterator[Answer]:
    """All answers of a journal in the order in which they were written, a torn last line left out.

    Raises:
        StoreError: a line other than the last is not valid; the file was changed by something else.
    """
    return _lines(path, lambda offset, line: decode_answer(line))


def _place(offset: int, line: dict[str, Any]) -> tuple[int, int, bool]:
    """A line's key and offset, and whether it is an answer; KeyError or TypeError if it is no journal line."""
    _ = line["sample"], line["hash"]
    return hash(line["id"]), offset, "failure" not in line


class JournalIndex:
    """Where in a journal the answer that counts for each request stands; 16 bytes a request, however long the answers.

    Of several lines for one request the last successful one counts, or the last failure if none succeeded. Requests
    are told apart by 64-bit hashes, and what is found is checked against the id asked for.

    Raises:
        StoreError: the journal is damaged before its last line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        keys, offsets, answered = array("q"), array("q"), array("b")
        for key, offset, is_answer in _lines(path, _place):
            keys.append(key)
            offsets.append(offset)
            answered.append(is_answer)
        found, places = _last_answers(np.asarray(keys), np.asarray(offsets), np.asarray(answered))
        # Views give plain integers, faster than arrays do.
        self._keys: memoryview[int] = memoryview(found)  # type: ignore[arg-type]  # an array is a buffer
        self._offsets: memoryview[int] = memoryview(places)  # type: ignore[arg-type]

    def __enter__(self) -> Self:
        self._file = self._path.open("rb", buffering=0) if len(self._keys) else None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, request_id: str) -> Answer | None:
        """The answer or failure that counts for a request; None if it was never asked."""
        key = hash(request_id)
        place = bisect_left(self._keys, key)
        if self._file is None or place == len(self._keys) or self._keys[place] != key:
            return None
        try:
            answer = decode_answer(decode_line(_line_at(self._file.fileno(), self._offsets[place])))
        except (ValueError, KeyError, TypeError) as error:
            raise _damaged(f"{self._path}, at byte {self._offsets[place]},", error) from error
        return answer if answer.request_id == request_id else None


def _last_answers(
    keys: NDArray[np.int64], offsets: NDArray[np.int64], answered: NDArray[np.int8]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of the lines with each key the last that is an answer, or the last: distinct keys, ascending, with offsets."""
    order = np.argsort(keys, kind="stable")
    found = keys[order]
    repeats = found[1:] == found[:-1]
    if not repeats.any():
        return found, offsets[order]
    order = np.lexsort((offsets, answered, keys))
    last = np.append(~repeats, True)
    return found[last], offsets[order][last]


def _line_at(descriptor: int, offset: int) -> bytes:
    """The line that begins at an offset."""
    line, size = b"", LINE_BYTES
    while True:
        part = os.pread(descriptor, size, offset + len(line))
        end = part.find(b"\n")
        line += part if end < 0 else part[:end]
        if end >= 0 or not part:
            return line
        size *= 8


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
        except OSError as full:
            raise self._cannot_write(full) from full
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
        """Write a batch of answers in one call; raises as :meth:`append_lines`."""
        self.append_lines(encode_answers(answers))

    def append_lines(self, data: bytes) -> None:
        """Write whole lines, as :func:`encode_answers` makes them, in one call.

        Raises:
            StoreError: the disk is full or gone; a partly written batch is cut off again, so the file stays whole.
        """
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
