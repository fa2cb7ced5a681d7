"""Kept answers on disk: one SQLite file, each entry with a checksum.

Several processes may read and write it at once; SQLite's own locks keep it whole. An entry whose checksum is wrong, and
a file that is no database any more, are passed over with a note: the question is then asked as if nothing were kept.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

FILE = "responses.sqlite"
WAIT_SECONDS = 30.0  # for another writer
WRITE_ANSWERS = 256


class ResponseStore:
    """Answers by key. A context manager; whatever goes wrong with its file is said once and never ends a run.

    Attributes:
        damaged: entries that were found and are not what was written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.damaged = 0
        self._waiting: dict[str, str] = {}
        self._lock = threading.Lock()  # an adapter may pull requests on a thread of its own
        self._file: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = sqlite3.connect(self.path, timeout=WAIT_SECONDS, check_same_thread=False)
            self._file.execute("CREATE TABLE IF NOT EXISTS responses (key TEXT PRIMARY KEY, value TEXT, checksum TEXT)")
            self._file.commit()
        except (sqlite3.Error, OSError) as error:
            self._give_up(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def get(self, key: str) -> dict[str, Any] | None:
        """The answer kept under a key; None where there is none that can be trusted."""
        with self._lock:
            if key in self._waiting:
                return _read(self._waiting[key])
            row = self._select(key)
        if row is None:
            return None
        value, checksum = row
        found = _read(value) if isinstance(value, str) and checksum == _checksum(key, value) else None
        self.damaged += found is None
        return found

    def put(self, key: str, value: dict[str, Any]) -> None:
        """Keep an answer; written down with others, and at the end."""
        with self._lock:
            self._waiting[key] = json.dumps(value, separators=(",", ":"), allow_nan=False)
            if len(self._waiting) >= WRITE_ANSWERS:
                self._write()

    def close(self) -> None:
        """Write down what waits, and close the file."""
        with self._lock:
            self._write()
            if self._file is not None:
                self._file.close()
                self._file = None
        if self.damaged:
            print(f"{self.path}: passed over {self.damaged:,} damaged answers; asked again.", file=sys.stderr)
            self.damaged = 0

    def _select(self, key: str) -> tuple[Any, Any] | None:
        if self._file is None:
            return None
        try:
            found: tuple[Any, Any] | None = self._file.execute(
                "SELECT value, checksum FROM responses WHERE key = ?", (key,)
            ).fetchone()
        except sqlite3.Error as error:
            self._give_up(error)
            return None
        return found

    def _write(self) -> None:
        waiting, self._waiting = self._waiting, {}
        if self._file is None or not waiting:
            return
        rows = [(key, value, _checksum(key, value)) for key, value in waiting.items()]
        try:
            with self._file:
                self._file.executemany("INSERT OR REPLACE INTO responses VALUES (?, ?, ?)", rows)
        except sqlite3.Error as error:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        """Go on without the file."""
        print(
            f"{self.path}: answers are neither taken from here nor kept ({error}). Delete the file, or name another "
            "folder with --response-cache.",
            file=sys.stderr,
        )
        if self._file is not None:
            self._file.close()
            self._file = None


def _checksum(key: str, value: str) -> str:
    return hashlib.sha256(f"{key}\n{value}".encode("utf-8", "surrogatepass")).hexdigest()


def _read(value: str) -> dict[str, Any] | None:
    try:
        found = json.loads(value)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
