"""The card asked through the driver's C library, which a stand-in plays; and through the real package's wrappers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.gpu_card import DriverLibrary, card_of
from evals.perf.nvml import Nvml

MIB = 2**20
UUID = "11111111-2222-3333-4444-555555555555"
# What a driver writes to where it is told to write, by the C function's name.
WRITES: dict[str, tuple[Any, ...]] = {
    "nvmlInit_v2": (),
    "nvmlInitWithFlags": (),
    "nvmlDeviceGetHandleByUUID": (77,),
    "nvmlDeviceGetTotalEnergyConsumption": (5_000_000_000_000,),  # mJ; beyond 32 bits
    "nvmlDeviceGetCurrentClocksThrottleReasons": (0x44,),
    "nvmlDeviceGetCurrentClocksEventReasons": (0x44,),
    "nvmlDeviceGetPowerUsage": (71_500,),
    "nvmlDeviceGetPowerManagementLimit": (700_000,),
    "nvmlDeviceGetPersistenceMode": (1,),
    "nvmlDeviceIsMigDeviceHandle": (0,),
    "nvmlDeviceGetClockInfo": (1980,),
    "nvmlDeviceGetTemperature": (41,),
    "nvmlDeviceGetEccMode": (1, 0),
    "nvmlDeviceGetMigMode": (0, 0),
    "nvmlDeviceGetUtilizationRates": ([3, 1],),
    "nvmlDeviceGetMemoryInfo": ([81_000 * MIB, 80_700 * MIB, 300 * MIB],),
    "nvmlDeviceGetName": (b"NVIDIA H100 80GB HBM3",),
    "nvmlDeviceGetUUID": (b"GPU-" + UUID.encode(),),
    "nvmlSystemGetDriverVersion": (b"550.54.15",),
}


def put(place: Any, value: Any) -> None:
    """Write through a pointer, into a structure, an array or a buffer of characters."""
    target = getattr(place, "_obj", place)
    if isinstance(value, list):
        fields = [name for name, _ in getattr(target, "_fields_", [])]
        for index, one in enumerate(value):
            if fields:
                setattr(target, fields[index], one)
            else:
                target[index] = one
    else:
        target.value = value


def function(name: str) -> Callable[..., int]:
    """A C function that succeeds."""

    def call(*arguments: Any) -> int:
        values = WRITES[name]
        places = [a for a in arguments if hasattr(a, "_obj") or isinstance(a, ctypes.Array)]
        for place, value in zip(places, values, strict=True):
            put(place, value)
        return 0

    return call


class Driver:
    """The C library; functions can be missing, or answer with an error."""

    def __init__(self, missing: str = "", failing: str = "") -> None:
        self._missing, self._failing = missing, failing

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name == self._missing:
            raise AttributeError(f"undefined symbol: {name}")
        return (lambda *_: 3) if name == self._failing else function(name)


def told(card: Nvml) -> dict[str, Any]:
    """Everything that a profile asks, in its units."""
    sample = card.sample(lambda: 0)
    return {"energy_mj": card.energy_mj(), "is_mig": card.is_mig, "power_w": sample.power_w, **card.record()}


EXPECTED = {
    "energy_mj": 5_000_000_000_000,
    "is_mig": False,
    "power_w": 71.5,
    "name": "NVIDIA H100 80GB HBM3",
    "uuid": f"GPU-{UUID}",
    "driver": "550.54.15",
    "power_limit_w": 700.0,
    "mig": False,
    "ecc": True,
    "persistence": True,
    "used_mib": 300,
    "free_mib": 80_700,
    "utilisation_percent": 3,
    "sm_mhz": 1980,
    "memory_mhz": 1980,
    "temperature_c": 41,
    "reasons": 0x44,
}


def test_the_drivers_library_is_asked_directly_and_tells_all_numbers_in_their_units() -> None:
    assert told(Nvml(DriverLibrary(Driver()), UUID)) == EXPECTED


def test_the_packages_own_wrappers_tell_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """pynvml itself, with the functions that it finds in the driver's library played by Python."""
    pynvml = pytest.importorskip("pynvml")
    monkeypatch.setattr(pynvml, "_LoadNvmlLibrary", lambda: None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer", function)
    assert told(Nvml(pynvml, UUID)) == EXPECTED


@pytest.mark.parametrize(
    ("driver", "reason"),
    [
        (Driver(missing="nvmlDeviceGetTotalEnergyConsumption"), "does not know the question"),
        (Driver(failing="nvmlDeviceGetTotalEnergyConsumption"), "answered with error 3"),
    ],
)
def test_a_driver_without_the_counter_is_the_reason(driver: Driver, reason: str) -> None:
    card = Nvml(DriverLibrary(driver), UUID)
    assert card.energy_mj() is None
    assert reason in card.reason("energy")


def test_without_a_driver_there_is_a_reason() -> None:
    card, reason = card_of(UUID)
    assert card is None
    assert "libnvidia-ml" in reason
    assert card_of(None)[0] is None
