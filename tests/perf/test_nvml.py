"""The card through a stand-in for NVML: everything it may refuse, and what is made of what it tells."""

import types

import pytest

from evals.perf.conditions import card_flags_before, throttle_flags
from evals.perf.nvml import Nvml, open_card, reason_names
from evals.perf.sampler import Sampler
from evals.perf.timeline import GpuSample

MIB = 2**20
ASKED = {  # every function of the library that is called, which the real one must have
    "nvmlInit",
    "nvmlDeviceGetHandleByUUID",
    "nvmlDeviceIsMigDeviceHandle",
    "nvmlDeviceGetTotalEnergyConsumption",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetPowerUsage",
    "nvmlDeviceGetClockInfo",
    "nvmlDeviceGetTemperature",
    "nvmlDeviceGetPowerManagementLimit",
    "nvmlDeviceGetMigMode",
    "nvmlDeviceGetEccMode",
    "nvmlDeviceGetPersistenceMode",
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlSystemGetDriverVersion",
}


class RefusedError(Exception):
    """Stands for NVMLError."""


def library(**answers):
    """A stand-in; a value is returned, an exception raised."""
    record = types.SimpleNamespace
    known = {
        "nvmlInit": None,
        "nvmlDeviceGetHandleByUUID": "handle",
        "nvmlDeviceIsMigDeviceHandle": 0,
        "nvmlDeviceGetTotalEnergyConsumption": 123_456,
        "nvmlDeviceGetMemoryInfo": record(used=300 * MIB, free=81_000 * MIB, total=81_300 * MIB),
        "nvmlDeviceGetComputeRunningProcesses": [record(pid=10, usedGpuMemory=250 * MIB)],
        "nvmlDeviceGetUtilizationRates": record(gpu=0, memory=0),
        "nvmlDeviceGetPowerUsage": 71_000,
        "nvmlDeviceGetClockInfo": 1980,
        "nvmlDeviceGetTemperature": 41,
        "nvmlDeviceGetCurrentClocksEventReasons": 0,
        "nvmlDeviceGetPowerManagementLimit": 700_000,
        "nvmlDeviceGetMigMode": [0, 0],
        "nvmlDeviceGetEccMode": [1, 1],
        "nvmlDeviceGetPersistenceMode": 1,
        "nvmlDeviceGetName": b"NVIDIA H100 80GB HBM3",
        "nvmlDeviceGetUUID": "GPU-1",
        "nvmlSystemGetDriverVersion": "550.1",
    } | answers

    def answering(answer):
        def ask(*_):
            if isinstance(answer, Exception):
                raise answer
            return answer

        return ask

    functions = {name: answering(answer) for name, answer in known.items() if answer is not Ellipsis}
    return record(NVMLError=RefusedError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0, **functions)


def card(**answers):
    return Nvml(library(**answers), "1")


def test_a_card_tells_its_state():
    found = card()
    assert found.energy_mj() == 123_456
    assert found.device_used_mib() == 300
    assert found.process_mib(10) == 250
    sample = found.sample(lambda: 7)
    assert sample == GpuSample(7, 1980, 1980, 41, 71.0, 0)
    record = found.record()
    assert (record["name"], record["driver"], record["power_limit_w"]) == ("NVIDIA H100 80GB HBM3", "550.1", 700.0)
    assert (record["mig"], record["ecc"], record["persistence"]) == (False, True, True)


def test_the_real_library_has_every_function_that_is_asked():
    pynvml = pytest.importorskip("pynvml")
    assert {name for name in ASKED if not hasattr(pynvml, name)} == set()
    assert {name for name in ASKED if not hasattr(library(), name)} == set()
    assert issubclass(pynvml.NVMLError, Exception)
    assert all(hasattr(pynvml, name) for name in ("NVML_CLOCK_SM", "NVML_CLOCK_MEM", "NVML_TEMPERATURE_GPU"))


def test_a_missing_permission_is_the_reason():
    found = card(nvmlDeviceGetTotalEnergyConsumption=RefusedError("Insufficient Permissions"))
    assert found.energy_mj() is None
    assert found.reason("energy") == "NVML does not tell: Insufficient Permissions"


def test_an_old_driver_without_energy_counter_is_the_reason():
    assert card(nvmlDeviceGetTotalEnergyConsumption=RefusedError("Not Supported")).energy_mj() is None
    found = card(nvmlDeviceGetTotalEnergyConsumption=...)
    assert found.energy_mj() is None
    assert "does not know the question" in found.reason("energy")


def test_older_bindings_call_the_clock_reasons_by_another_name():
    old = card(nvmlDeviceGetCurrentClocksEventReasons=..., nvmlDeviceGetCurrentClocksThrottleReasons=0x40)
    assert old.sample().reasons == 0x40


def test_a_mig_slice_has_no_energy_of_its_own():
    found = card(nvmlDeviceIsMigDeviceHandle=1)
    assert found.energy_mj() is None
    assert "MIG slice" in found.reason("energy")


def test_a_mig_slice_is_opened_by_the_number_that_torch_gives():
    def by_uuid(name):
        if name.startswith("MIG-"):
            return "slice"
        raise RefusedError("Not Found")

    found = library(nvmlDeviceIsMigDeviceHandle=1)
    found.nvmlDeviceGetHandleByUUID = by_uuid
    assert Nvml(found, "1").is_mig
    found.nvmlDeviceGetHandleByUUID = lambda name: by_uuid(name.replace("MIG", "no"))
    with pytest.raises(LookupError, match="Not Found"):
        Nvml(found, "1")


def test_a_container_with_its_own_process_ids_does_not_find_itself():
    found = card()
    assert found.process_mib(999) is None
    assert "not in NVML's list" in found.reason("process")
    hidden = card(nvmlDeviceGetComputeRunningProcesses=RefusedError("No Permission"))
    assert hidden.process_mib(10) is None
    assert "No Permission" in hidden.reason("process")
    [unknown] = [types.SimpleNamespace(pid=10, usedGpuMemory=None)]
    assert card(nvmlDeviceGetComputeRunningProcesses=[unknown]).process_mib(10) is None


def test_a_card_that_cannot_be_opened_says_why():
    with pytest.raises(LookupError, match="driver is not loaded"):
        card(nvmlInit=RefusedError("driver is not loaded"))
    assert open_card(None) == (None, "the model runs on no CUDA device")


def test_without_a_driver_there_is_no_card_but_a_reason():
    pytest.importorskip("pynvml")
    found, reason = open_card("00000000-0000-0000-0000-000000000000")
    assert found is None
    assert "NVML cannot open" in reason


def test_a_busy_card_makes_the_measurement_invalid():
    busy = card(nvmlDeviceGetUtilizationRates=types.SimpleNamespace(gpu=97, memory=20))
    [flag] = card_flags_before(busy, 10)
    assert (flag.severity, flag.kind) == ("invalid", "busy_card")


def test_other_processes_and_their_memory_are_warned_of():
    found = card(nvmlDeviceGetMemoryInfo=types.SimpleNamespace(used=9000 * MIB, free=1, total=1))
    assert [(f.severity, f.kind) for f in card_flags_before(found, 999)] == [
        ("warning", "foreign_processes"),
        ("warning", "foreign_memory"),
    ]
    assert "one of them may be it" in card_flags_before(found, 999)[0].detail
    both = [types.SimpleNamespace(pid=pid, usedGpuMemory=None) for pid in (10, 11)]
    assert card_flags_before(card(nvmlDeviceGetComputeRunningProcesses=both), 10)[0].detail.endswith("card: 11")
    assert card_flags_before(card(), 10) == []


def test_a_hidden_process_list_is_a_note():
    hidden = card(nvmlDeviceGetComputeRunningProcesses=RefusedError("No Permission"))
    assert [(f.severity, f.kind) for f in card_flags_before(hidden, 10)] == [("note", "no_process_list")]


@pytest.mark.parametrize(
    ("masks", "expected"),
    [
        ((0, 0), []),
        ((0x4, 0), [("note", "power_cap")]),
        ((0x8, 0), [("invalid", "throttled")]),
        ((0x20, 0x80), [("invalid", "throttled")]),
        ((0x44,), [("invalid", "throttled"), ("note", "power_cap")]),
        ((None,), []),
    ],
)
def test_heat_and_supply_make_a_run_invalid_and_a_power_cap_is_noted(masks, expected):
    flags = throttle_flags([GpuSample(i, reasons=mask) for i, mask in enumerate(masks)])
    assert [(flag.severity, flag.kind) for flag in flags] == expected


def test_reasons_are_named():
    assert reason_names(0x8 | 0x40) == ["hardware slowdown", "hardware thermal slowdown"]


def test_the_sampler_asks_while_something_runs_and_is_silent_without_a_card():
    with Sampler(card(), seconds=0.001) as watched:
        while len(watched.samples) < 3:
            pass
    assert watched.samples[0].sm_mhz == 1980
    with Sampler(None) as nobody:
        pass
    assert nobody.samples == ()
