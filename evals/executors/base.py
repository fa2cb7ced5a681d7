"""Executors as the runner sees them, and which one a job gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from evals.asking import Asked, ask
from evals.controls import CONTROLS
from evals.errors import SpecError
from evals.executors.recipe import AdapterRecipe, WorkerRecipe
from evals.interrupt import StopSignal
from evals.journal import Journal
from evals.perf.host import peak_host_mib
from evals.plan import TaskPlan
from evals.progress import Meter
from model_adapters.contract import Batching, Capabilities, ModelAdapter

Load = Callable[[], ModelAdapter]
Kind = Literal["in-process", "workers", "ray"]


@dataclass(frozen=True, slots=True)
class ExecutorChoice:
    """Who asks the model.

    Attributes:
        kind: this process, worker processes, or Ray actors.
        workers: how many; None is one a GPU, and one where there is none.
        address: of a Ray cluster; None starts one on this machine.
    """

    kind: Kind = "in-process"
    workers: int | None = None
    address: str | None = None


class Executor(Protocol):
    """Takes a plan's open work and gets it answered into the journal.

    Attributes:
        identity, capabilities: the adapter's.
        load_s: seconds that loading the model took.
        workers: how many ask; None where it is this process.
    """

    identity: dict[str, Any]
    capabilities: Capabilities
    load_s: float
    workers: int | None

    def ask(self, plan: TaskPlan, part: range, journal: Journal, stop: StopSignal, meter: Meter) -> Asked:
        """Ask what of a part of the plan's order is not answered yet, until done or told to stop."""

    def memory_mib(self) -> Mapping[str, float | None]:
        """Peaks of host and device memory in MiB."""

    def batching(self) -> Batching | None:
        """How requests are computed together now, the smallest worker's; None where the adapter does not say."""

    def stop(self) -> None:
        """Begin no further batch; called from a signal handler."""

    def close(self, *, at_once: bool) -> None:
        """Free everything; ``at_once`` after an error."""


class InProcess:
    """The model in this process."""

    workers: int | None = None

    def __init__(self, load: Load) -> None:
        start = time.monotonic()
        self._adapter = load()
        self.load_s = time.monotonic() - start
        self.identity, self.capabilities = dict(self._adapter.identity()), self._adapter.capabilities

    def ask(self, plan: TaskPlan, part: range, journal: Journal, stop: StopSignal, meter: Meter) -> Asked:
        """Ask one after the other, in batches of the adapter's making."""
        return ask(plan, self._adapter, journal, stop, meter, part)

    def memory_mib(self) -> Mapping[str, float | None]:
        """This process's peaks."""
        return {"peak_host_mib": peak_host_mib(), **self._adapter.memory_mib()}

    def batching(self) -> Batching | None:
        """The adapter's."""
        return self._adapter.batching()

    def stop(self) -> None:
        """Let the batch in flight be the last one."""
        self._adapter.stop()

    def close(self, *, at_once: bool) -> None:
        """Free the model."""
        self._adapter.close()


def start_executor(choice: ExecutorChoice, recipe: Callable[[AdapterRecipe], WorkerRecipe], load: Load) -> Executor:
    """Load the model where it shall be asked.

    Args:
        recipe: what workers are told, given how the adapter is loaded.

    Raises:
        EvalError: the model cannot be loaded, or the executor is not to be had.
    """
    if choice.kind == "in-process":
        return InProcess(load)
    if not isinstance(load, AdapterRecipe):
        raise SpecError("Workers load the model by themselves; give an AdapterRecipe instead of a function.")
    if load.name in CONTROLS:
        raise SpecError(
            f"The control {load.name!r} answers from a task's references, in this process and at once; leave out "
            "--workers and --executor."
        )
    from evals.executors.pool import PoolExecutor
    from evals.executors.processes import ProcessPool, visible_gpus

    if choice.kind == "workers":
        return PoolExecutor(ProcessPool(recipe(load), choice.workers or len(visible_gpus()) or 1))
    from evals.executors.ray_pool import RayPool

    return PoolExecutor(RayPool(recipe(load), choice.workers, choice.address))
