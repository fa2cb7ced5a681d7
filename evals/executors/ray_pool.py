"""Workers as Ray actors: on this machine, or on all machines of a cluster.

Ray restarts an actor that died (``max_restarts``) and repeats the question whether it is ready (``max_task_retries``).
It must not repeat a lease: a lease's answers are kept one by one as they come, and what is left of it goes back into
the queue, so that nothing is asked twice.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from evals.errors import AdapterError
from evals.executors.lease import Lease
from evals.executors.messages import Broken, Died, Done, Message, decode
from evals.executors.ray_actor import RayWorker
from evals.executors.recipe import WorkerRecipe

MAX_RESTARTS = 3
MAX_TASK_RETRIES = 3
WORK_AND_STOP = 2  # calls that an actor runs at a time


def _import_ray() -> Any:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # an evaluation reports to nobody
    try:
        import ray
    except ImportError:
        raise AdapterError(
            'The executor "ray" needs Ray, which is not installed: pip install "ray>=2.40,<3" (the extra `ray`). '
            "Several processes on this machine need nothing: --workers N."
        ) from None
    return ray


class RayPool:
    """Actors, one GPU each where the cluster has GPUs.

    Args:
        size: how many; None is one a GPU of the cluster, and one where it has none.
        address: of a running cluster (``host:port``, ``ray://host:port`` or ``auto``); None starts one here.

    Raises:
        AdapterError: Ray is not installed, or no cluster answers at the address.
    """

    def __init__(self, recipe: WorkerRecipe, size: int | None, address: str | None) -> None:
        self._ray = ray = _import_ray()
        self._started_here = not ray.is_initialized()
        if self._started_here:
            self._connect(address, size or 1)
        gpus = int(ray.cluster_resources().get("GPU", 0)) if recipe.adapter.options.get("device") != "cpu" else 0
        self.size = size or gpus or 1
        self._recipe = recipe.to_json()
        places = os.pathsep.join(str(Path(place).resolve()) for place in sys.path)
        self._class = ray.remote(RayWorker).options(
            num_cpus=1,
            num_gpus=1 if gpus else 0,
            max_restarts=MAX_RESTARTS,
            max_task_retries=MAX_TASK_RETRIES,
            max_concurrency=WORK_AND_STOP,
            runtime_env={"env_vars": {"PYTHONPATH": places}},
        )
        self._actors: dict[int, Any] = {}
        self._calls: list[tuple[int, Any]] = []
        for worker in range(self.size):
            self.start(worker)

    def _connect(self, address: str | None, size: int) -> None:
        if address is not None:
            _require_listener(address)
        here: dict[str, Any] = {"num_cpus": max(size, os.cpu_count() or 1), "include_dashboard": False}
        try:
            self._ray.init(address=address or "local", logging_level=logging.ERROR, **({} if address else here))
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            raise _no_cluster(address or "this machine", error) from error

    def start(self, worker: int) -> None:
        """Start an actor, or wait until Ray has restarted it."""
        if worker not in self._actors:
            self._actors[worker] = self._class.remote(self._recipe)
        self._calls.append((worker, self._actors[worker].ready.remote()))

    def give(self, worker: int, lease: Lease) -> None:
        """Give an actor a lease; its messages stream back as it yields them."""
        work = self._actors[worker].work.options(num_returns="streaming", max_task_retries=0)
        self._calls.append((worker, work.remote(json.dumps(lease.to_json()))))

    def stop(self) -> None:
        """All actors shall finish the batch in flight and begin no other."""
        for actor in self._actors.values():
            actor.stop.remote()

    def messages(self, timeout_s: float) -> Iterator[tuple[int, Message]]:
        """What actors say within a time; an actor's last word is :class:`Died`."""
        calls = [call for _, call in self._calls]
        if not calls or not self._ray.wait(calls, num_returns=1, timeout=timeout_s)[0]:
            return
        ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        for call in ready:
            worker = next(worker for worker, known in self._calls if known is call)
            message = self._message(worker, call)
            if message is None or isinstance(message, Broken | Died | Done) or not _streams(call):
                self._calls = [pair for pair in self._calls if pair[1] is not call]
            if message is not None:
                yield worker, message

    def _message(self, worker: int, call: Any) -> Message | None:
        """The next message of a call; None where it has no more."""
        errors = self._ray.exceptions
        try:
            return decode(self._ray.get(next(call) if _streams(call) else call))
        except StopIteration:
            return None
        except errors.RayActorError as error:
            if isinstance(error, errors.ActorDiedError):  # Ray has given up restarting it
                del self._actors[worker]
            return Died(f"its actor ended ({type(error).__name__})")
        except errors.RayError as error:
            return Broken(type(error).__name__, str(error))

    def close(self, *, at_once: bool) -> None:
        """End all actors, and the cluster if it was started here."""
        with suppress(self._ray.exceptions.RayError):
            for actor in self._actors.values():
                self._ray.kill(actor)
        self._actors.clear()
        if self._started_here:
            self._ray.shutdown()


def _require_listener(address: str) -> None:
    """Look whether anybody listens at a cluster's address: Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise AdapterError(f"--address {address}: expected HOST:PORT, ray://HOST:PORT or auto.")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> AdapterError:
    return AdapterError(
        f"No Ray cluster at {address}: {error}. Start one with `ray start --head`, or leave --address out to have one "
        "on this machine for this run."
    )


def _streams(call: Any) -> bool:
    return hasattr(call, "__next__")
