"""Workers as processes of this machine, one for each GPU where there are GPUs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing import connection
from pathlib import Path

from evals.executors.lease import Lease
from evals.executors.messages import Died, Message, decode
from evals.executors.recipe import WorkerRecipe

GRACE_S = 10.0
NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")


def visible_gpus() -> list[str]:
    """Names of the GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` takes them; no library is loaded."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() and name.strip() != "-1"]
    return [str(i) for i in range(len(list(NVIDIA_GPUS.iterdir())))] if NVIDIA_GPUS.is_dir() else []


class ProcessPool:
    """Worker processes, spawned afresh (never forked) and started again when they die.

    Args:
        size: how many, >= 1. Worker ``i`` sees only GPU ``i`` modulo their number, unless the recipe names a device.
    """

    def __init__(self, recipe: WorkerRecipe, size: int) -> None:
        self.size = size
        self._recipe = recipe.to_json()
        device = str(recipe.adapter.options.get("device", "auto"))
        self._gpus = visible_gpus() if device in ("auto", "cuda") else []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._lines: dict[int, connection.Connection] = {}
        for worker in range(size):
            self.start(worker)

    def start(self, worker: int) -> None:
        """Start a worker, or start it again."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._processes[worker] = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-m", "evals.executors.process_main", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=2,  # standard output belongs to the command's own results
                env=self._environment(worker),
                start_new_session=True,  # a Ctrl-C reaches this process alone, which tells its workers
            )
        self._lines[worker] = connection.Connection(ours.detach())
        self._say(worker, self._recipe)

    def _environment(self, worker: int) -> dict[str, str]:
        places = [str(Path(place).resolve()) for place in sys.path]  # '' is the working folder
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(places)}
        if self._gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self._gpus[worker % len(self._gpus)]
        else:  # workers that share the cores must not each start a thread for every core
            environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // self.size)))
        return environment

    def _say(self, worker: int, text: str) -> None:
        with suppress(OSError):  # a worker that is gone is noticed when its line is read
            self._lines[worker].send_bytes(text.encode())

    def give(self, worker: int, lease: Lease) -> None:
        """Give a worker a lease."""
        self._say(worker, json.dumps({"lease": lease.to_json()}))

    def stop(self) -> None:
        """All workers shall finish the batch in flight and begin no other."""
        for worker in self._lines:
            self._say(worker, json.dumps({"stop": True}))

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """What workers say within a time; a worker's last word is :class:`Died`, after all else that it said."""
        workers = {line: worker for worker, line in self._lines.items()}
        for ready in connection.wait(list(workers), timeout_s):
            assert isinstance(ready, connection.Connection)
            worker = workers[ready]
            try:
                yield worker, decode(ready.recv_bytes())
                while ready.poll():
                    yield worker, decode(ready.recv_bytes())
            except (EOFError, OSError):
                yield worker, Died(self._bury(worker))

    def _bury(self, worker: int) -> str:
        """Close the line to a worker that closed its end, and say how its process ended."""
        self._lines.pop(worker).close()
        process = self._processes.pop(worker)
        try:
            code = process.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        if code < 0:
            return f"process {process.pid} was ended by {signal.Signals(-code).name}"
        return f"process {process.pid} ended with code {code}"

    def close(self, *, at_once: bool) -> None:
        """End all workers; ``at_once`` does not let them free what they hold."""
        for worker in list(self._lines):
            self._say(worker, json.dumps({"end": True}))
        for worker, process in list(self._processes.items()):
            try:
                process.wait(0 if at_once else GRACE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._lines.pop(worker).close()
        self._processes.clear()
