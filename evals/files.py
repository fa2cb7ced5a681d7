"""Writing files so that a reader never sees half of one, and finding the folders the project keeps things in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from evals.errors import StoreError

PROJECT = Path(__file__).resolve().parent.parent
TASKS_DIR = PROJECT / "tasks"
_canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def cache_dir() -> Path:
    """Where generated and downloaded data is kept: ``$XDG_CACHE_HOME/omnilmm-eval`` or ``~/.cache/omnilmm-eval``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "omnilmm-eval"


class AtomicFile:
    """A file that appears at its place whole or not at all. Context manager that gives the stream to write to.

    It is written beside its place, fsynced, and moved there in one step; on an error the old file stays.

    Args:
        durable: wait until it is on the disk; not worth it for what can be made again.

    Raises:
        StoreError: the disk is full or the folder cannot be written; nothing is left behind.
    """

    def __init__(self, path: Path, *, durable: bool = True) -> None:
        self._path, self._durable = path, durable
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")

    def __enter__(self) -> BinaryIO:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = self._partial.open("wb")
        except OSError as error:
            raise self._cannot_write(error) from error
        return self._file

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self._file.flush()
                if self._durable:
                    os.fsync(self._file.fileno())
                self._partial.replace(self._path)
        except OSError as full:
            raise self._cannot_write(full) from full
        finally:
            with suppress(OSError):  # closing flushes again what a full disk did not take
                self._file.close()
            self._partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise self._cannot_write(error) from error

    def _cannot_write(self, error: OSError) -> StoreError:
        return StoreError(
            f"Could not write {self._path}: {error.strerror or error}. What was there before is unchanged. "
            "Free some space or choose another folder, then run the same command again."
        )


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file by a function that is given the stream, see :class:`AtomicFile`."""
    with AtomicFile(path) as file:
        write(file)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` to ``path`` atomically."""
    with AtomicFile(path, durable=durable) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document for people: indented, keys in the order given, no NaN.

    Bytes of a path that are no UTF-8 are lone surrogates in Python; they are kept as ``\\udXXX`` escapes.
    """
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    write_bytes(path, text.encode("utf-8", "backslashreplace") + b"\n")


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8; hashes are taken over it.

    Lone surrogates, which UTF-8 cannot carry, are kept as ``\\udXXX`` escapes.
    """
    return _canonical(value).encode("utf-8", "backslashreplace")


def sha256_json(value: Any) -> str:
    """Hex sha256 of a JSON value's canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
