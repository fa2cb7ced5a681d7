"""The card by NVML (package nvidia-ml-py, optional): memory, energy, clocks, temperature, other processes.

Every question may have no answer: an old card, a MIG slice, a container, a missing permission. Then the answer is None
and :meth:`Nvml.reason` says why. Nothing here changes the card.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from evals.perf.timeline import GpuSample

MIB = 2**20
# nvmlClocksEventReasons bits (older name: throttle reasons), nvml.h.
SW_POWER_CAP = 0x4
HW_SLOWDOWN, SW_THERMAL, HW_THERMAL, HW_POWER_BRAKE = 0x8, 0x20, 0x40, 0x80
THROTTLED = HW_SLOWDOWN | SW_THERMAL | HW_THERMAL | HW_POWER_BRAKE
REASON_NAMES = {
    SW_POWER_CAP: "power cap",
    HW_SLOWDOWN: "hardware slowdown",
    SW_THERMAL: "software thermal slowdown",
    HW_THERMAL: "hardware thermal slowdown",
    HW_POWER_BRAKE: "power brake",
}


class Nvml:
    """One card.

    Args:
        library: the module ``pynvml``, or a stand-in with the same functions.
        uuid: of the card or MIG slice, as torch gives it (without the prefix ``GPU-`` or ``MIG-``) or NVML does.

    Raises:
        LookupError: NVML does not know the card; the message says why.
    """

    def __init__(self, library: Any, uuid: str) -> None:
        self._lib = library
        self._reasons: dict[str, str] = {}
        try:
            library.nvmlInit()
            self._handle = self._opened(uuid)
        except library.NVMLError as error:
            raise LookupError(f"NVML cannot open the card {uuid}: {error}") from error
        self.is_mig = bool(self._ask("mig", lambda: library.nvmlDeviceIsMigDeviceHandle(self._handle)))

    def reason(self, what: str) -> str:
        """Why ``what`` is unknown; empty where it is known or was not asked."""
        return self._reasons.get(what, "")

    def _opened(self, uuid: str) -> Any:
        """The handle of a card, or of a MIG slice: torch's uuid does not say which it is."""
        if uuid.startswith(("GPU-", "MIG-")):
            return self._lib.nvmlDeviceGetHandleByUUID(uuid)
        try:
            return self._lib.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        except self._lib.NVMLError as error:
            try:
                return self._lib.nvmlDeviceGetHandleByUUID(f"MIG-{uuid}")
            except self._lib.NVMLError:
                raise error from None

    def _ask(self, what: str, question: Callable[[], Any]) -> Any:
        """An answer, or None with the reason kept."""
        try:
            answer = question()
        except self._lib.NVMLError as error:
            self._reasons[what] = f"NVML does not tell: {error}"
            return None
        except AttributeError as error:
            self._reasons[what] = f"this nvidia-ml-py does not know the question ({error})"
            return None
        self._reasons.pop(what, None)
        return answer

    def energy_mj(self) -> int | None:
        """Millijoules since the driver was loaded (Volta and later; a MIG slice has no counter of its own)."""
        if self.is_mig:
            self._reasons["energy"] = "a MIG slice has no energy counter of its own"
            return None
        found = self._ask("energy", lambda: self._lib.nvmlDeviceGetTotalEnergyConsumption(self._handle))
        return None if found is None else int(found)

    def device_used_mib(self) -> float | None:
        """Memory in use on the whole card (or slice)."""
        memory = self._ask("device", lambda: self._lib.nvmlDeviceGetMemoryInfo(self._handle))
        return None if memory is None else memory.used / MIB

    def free_mib(self) -> float | None:
        """Memory free on the card (or slice)."""
        memory = self._ask("device", lambda: self._lib.nvmlDeviceGetMemoryInfo(self._handle))
        return None if memory is None else memory.free / MIB

    def processes(self) -> dict[int, float | None] | None:
        """Process ids that compute on the card, with their memory in MiB; None if they cannot be seen at all."""
        found = self._ask("process", lambda: self._lib.nvmlDeviceGetComputeRunningProcesses(self._handle))
        if found is None:
            return None
        return {p.pid: None if p.usedGpuMemory is None else p.usedGpuMemory / MIB for p in found}

    def process_mib(self, pid: int) -> float | None:
        """Memory of one process. A container with process ids of its own does not find itself in the list."""
        found = self.processes()
        if found is None:
            return None
        if pid not in found:
            self._reasons["process"] = "this process is not in NVML's list (a container with its own process ids)"
            return None
        if found[pid] is None:
            self._reasons["process"] = "NVML lists this process without its memory"
        return found[pid]

    def utilisation(self) -> int | None:
        """Percent of the last moment in which a kernel ran."""
        rates = self._ask("utilisation", lambda: self._lib.nvmlDeviceGetUtilizationRates(self._handle))
        return None if rates is None else int(rates.gpu)

    def sample(self, clock: Callable[[], int] = time.perf_counter_ns) -> GpuSample:
        """Clocks, temperature, power and what holds the clocks down, now."""
        lib, handle = self._lib, self._handle
        power = self._ask("power", lambda: lib.nvmlDeviceGetPowerUsage(handle))
        return GpuSample(
            at_ns=clock(),
            sm_mhz=self._ask("sm clock", lambda: lib.nvmlDeviceGetClockInfo(handle, lib.NVML_CLOCK_SM)),
            memory_mhz=self._ask("memory clock", lambda: lib.nvmlDeviceGetClockInfo(handle, lib.NVML_CLOCK_MEM)),
            temperature_c=self._ask(
                "temperature", lambda: lib.nvmlDeviceGetTemperature(handle, lib.NVML_TEMPERATURE_GPU)
            ),
            power_w=None if power is None else power / 1000.0,
            reasons=self._ask("reasons", self._clock_reasons),
        )

    def _clock_reasons(self) -> int:
        """The bit mask, by its newer or its older name."""
        ask = getattr(self._lib, "nvmlDeviceGetCurrentClocksEventReasons", None)
        ask = ask or self._lib.nvmlDeviceGetCurrentClocksThrottleReasons
        return int(ask(self._handle))

    def record(self) -> dict[str, Any]:
        """What the card is and how it is set up, for the environment record."""
        lib, handle = self._lib, self._handle
        limit = self._ask("power limit", lambda: lib.nvmlDeviceGetPowerManagementLimit(handle))
        mode = self._ask("mig mode", lambda: lib.nvmlDeviceGetMigMode(handle)[0])
        ecc = self._ask("ecc", lambda: lib.nvmlDeviceGetEccMode(handle)[0])
        persistence = self._ask("persistence", lambda: lib.nvmlDeviceGetPersistenceMode(handle))
        now = self.sample()
        return {
            "name": _text(self._ask("name", lambda: lib.nvmlDeviceGetName(handle))),
            "uuid": _text(self._ask("uuid", lambda: lib.nvmlDeviceGetUUID(handle))),
            "driver": _text(self._ask("driver", lib.nvmlSystemGetDriverVersion)),
            "power_limit_w": None if limit is None else limit / 1000.0,
            "mig": None if mode is None else bool(mode),
            "ecc": None if ecc is None else bool(ecc),
            "persistence": None if persistence is None else bool(persistence),
            "used_mib": self.device_used_mib(),
            "free_mib": self.free_mib(),
            "utilisation_percent": self.utilisation(),
            "sm_mhz": now.sm_mhz,
            "memory_mhz": now.memory_mhz,
            "temperature_c": now.temperature_c,
            "power_w": now.power_w,
            "reasons": now.reasons,
        }


def open_card(uuid: str | None) -> tuple[Nvml | None, str]:
    """The card, or None with the reason."""
    if not uuid:
        return None, "the model runs on no CUDA device"
    try:
        import pynvml
    except ImportError:
        return None, "the package nvidia-ml-py is not installed (pip install 'omnilmm-eval[gpu]')"
    try:
        return Nvml(pynvml, uuid), ""
    except LookupError as error:
        return None, str(error)


def reason_names(mask: int) -> list[str]:
    """The bits of a reason mask that matter, in words."""
    return [name for bit, name in REASON_NAMES.items() if mask & bit]


def _text(value: Any) -> str | None:
    if isinstance(value, bytes):  # older bindings
        return value.decode(errors="replace")
    return None if value is None else str(value)
