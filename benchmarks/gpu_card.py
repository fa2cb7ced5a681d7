"""The card's own numbers on a bare machine: by nvidia-ml-py where it is installed, else by the driver's C library.

The harness asks a card through ``evals.perf.nvml`` and the package nvidia-ml-py, which torch does not bring. The
library that the package wraps comes with every driver; the dozen questions that are asked here are put to it directly.
Signatures, units and numbers: nvml.h (energy in millijoules, power in milliwatts, memory in bytes).
"""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

from evals.perf.nvml import Nvml, open_card

LIBRARY = "libnvidia-ml.so.1"
_TEXT = 96  # bytes: longer than any name, uuid or version


class NVMLError(Exception):
    """What the library answered instead."""


class DriverLibrary:
    """The functions of ``pynvml`` that :class:`evals.perf.nvml.Nvml` asks, over the C library.

    A function that the driver does not have raises AttributeError, as a package without it would.
    """

    NVMLError = NVMLError
    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 1, 2, 0

    def __init__(self, library: Any) -> None:
        self._lib = library

    def nvmlInit(self) -> None:  # noqa: N802 - the package's names, here and below
        self._call("nvmlInit_v2")

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> ctypes.c_void_p:  # noqa: N802
        handle = ctypes.c_void_p()
        self._call("nvmlDeviceGetHandleByUUID", ctypes.c_char_p(uuid.encode()), ctypes.byref(handle))
        return handle

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetTotalEnergyConsumption", ctypes.c_ulonglong(), handle)

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetCurrentClocksThrottleReasons", ctypes.c_ulonglong(), handle)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetPowerUsage", ctypes.c_uint(), handle)

    def nvmlDeviceGetPowerManagementLimit(self, handle: Any) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetPowerManagementLimit", ctypes.c_uint(), handle)

    def nvmlDeviceGetPersistenceMode(self, handle: Any) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetPersistenceMode", ctypes.c_uint(), handle)

    def nvmlDeviceIsMigDeviceHandle(self, handle: Any) -> int:  # noqa: N802
        return self._number("nvmlDeviceIsMigDeviceHandle", ctypes.c_uint(), handle)

    def nvmlDeviceGetClockInfo(self, handle: Any, kind: int) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetClockInfo", ctypes.c_uint(), handle, ctypes.c_uint(kind))

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int:  # noqa: N802
        return self._number("nvmlDeviceGetTemperature", ctypes.c_uint(), handle, ctypes.c_uint(sensor))

    def nvmlDeviceGetEccMode(self, handle: Any) -> list[int]:  # noqa: N802
        return self._pair("nvmlDeviceGetEccMode", handle)

    def nvmlDeviceGetMigMode(self, handle: Any) -> list[int]:  # noqa: N802
        return self._pair("nvmlDeviceGetMigMode", handle)

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> SimpleNamespace:  # noqa: N802
        rates = (ctypes.c_uint * 2)()
        self._call("nvmlDeviceGetUtilizationRates", handle, ctypes.byref(rates))
        return SimpleNamespace(gpu=rates[0], memory=rates[1])

    def nvmlDeviceGetMemoryInfo(self, handle: Any) -> SimpleNamespace:  # noqa: N802
        memory = (ctypes.c_ulonglong * 3)()
        self._call("nvmlDeviceGetMemoryInfo", handle, ctypes.byref(memory))
        return SimpleNamespace(total=memory[0], free=memory[1], used=memory[2])

    def nvmlDeviceGetName(self, handle: Any) -> str:  # noqa: N802
        return self._text("nvmlDeviceGetName", handle)

    def nvmlDeviceGetUUID(self, handle: Any) -> str:  # noqa: N802
        return self._text("nvmlDeviceGetUUID", handle)

    def nvmlSystemGetDriverVersion(self) -> str:  # noqa: N802
        return self._text("nvmlSystemGetDriverVersion")

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._lib, name)(*arguments)
        if code:
            raise NVMLError(f"{name} answered with error {code}")

    def _number(self, name: str, into: Any, *arguments: Any) -> int:
        self._call(name, *arguments, ctypes.byref(into))
        return int(into.value)

    def _pair(self, name: str, handle: Any) -> list[int]:
        now, later = ctypes.c_uint(), ctypes.c_uint()
        self._call(name, handle, ctypes.byref(now), ctypes.byref(later))
        return [now.value, later.value]

    def _text(self, name: str, *arguments: Any) -> str:
        buffer = ctypes.create_string_buffer(_TEXT)
        self._call(name, *arguments, buffer, ctypes.c_uint(_TEXT))
        return buffer.value.decode(errors="replace")


def card_of(uuid: str | None) -> tuple[Nvml | None, str]:
    """The card of a CUDA device, or None with the reason."""
    found, reason = open_card(uuid)
    if found is not None or not uuid:
        return found, reason
    try:
        return Nvml(DriverLibrary(ctypes.CDLL(LIBRARY)), uuid), ""
    except OSError as error:
        return None, f"{LIBRARY} cannot be loaded ({error})"
    except LookupError as error:
        return None, str(error)
