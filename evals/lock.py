"""One writer a run directory: a lock file that names its process and host, and that a dead process does not keep."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from evals.errors import StoreError


class RunLock:
    """Context manager that holds ``<run>/lock``. A lock of a process that no longer runs on this host is taken over.

    Raises:
        StoreError: another live process holds the lock, or one on another host (which cannot be checked from here).
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "lock"

    def __enter__(self) -> Self:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            try:
                descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
            except FileExistsError:
                self._clear_if_dead()
                continue
            with os.fdopen(descriptor, "w") as file:
                json.dump({"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())}, file)
            return self
        raise StoreError(f"{self.path} is contended by another process that is starting; try again.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)

    def _clear_if_dead(self) -> None:
        try:
            holder = json.loads(self.path.read_text())
            pid, host, started = int(holder["pid"]), str(holder["host"]), holder["started"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            self.path.unlink(missing_ok=True)  # torn by a crash while it was written
            return
        if host == socket.gethostname() and _started(pid) != started:
            self.path.unlink(missing_ok=True)
            return
        raise StoreError(
            f"{self.path.parent} is being written by process {pid} on {host}. Wait until it ends, or choose another "
            f"folder with --out. If that process is surely gone, delete {self.path}."
        )


def _started(pid: int) -> float | None:
    """When a process started (seconds since the epoch), which tells a reused pid apart; None if it does not run."""
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None
