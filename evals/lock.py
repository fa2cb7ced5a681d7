"""One writer a run directory: a lock file that names its process and host.

The operating system holds the lock (``flock``) and lets go of it when the process ends, however it ends. So a lock that
a killed process left behind is simply taken, and a reused process id cannot be mistaken for its owner. The name of the
host is for folders on network storage, where another machine's ``flock`` may not be seen.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from evals.errors import StoreError


class RunLock:
    """Context manager that holds ``<run>/lock``; the folder is made if it is not there.

    Raises:
        StoreError: another live process holds the lock, another host left one, or the folder cannot be written.
    """

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "lock"

    def __enter__(self) -> Self:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = self._locked()
            holder = _holder(self._descriptor)
            if holder.get("host", socket.gethostname()) != socket.gethostname():
                os.close(self._descriptor)
                raise self._held(holder)
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        except OSError as error:
            raise StoreError(
                f"Could not write {self.path}: {error.strerror or error}. Free some space or make the folder writable, "
                "or choose another one with --out."
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)  # before the lock is let go: whoever waits sees that its file is gone
        os.close(self._descriptor)

    def _locked(self) -> int:
        """A descriptor that holds the lock on the file that now stands at the path."""
        while True:
            descriptor = os.open(self.path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _holder(descriptor)
                os.close(descriptor)
                raise self._held(holder) from None
            if _is_at(descriptor, self.path):
                return descriptor
            os.close(descriptor)  # its last owner removed the file between our open and our lock

    def _held(self, holder: dict[str, Any]) -> StoreError:
        return StoreError(
            f"{self.path.parent} is being written by process {holder.get('pid', '?')} on {holder.get('host', '?')}. "
            f"Wait until it ends, or choose another folder with --out. If it is surely gone, delete {self.path}."
        )


def _holder(descriptor: int) -> dict[str, Any]:
    """What the lock file says of its owner; empty if a crash left it empty or torn."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
    except ValueError:
        return {}
    return holder if isinstance(holder, dict) else {}


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
