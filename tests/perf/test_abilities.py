"""`doctor` says what can be measured here, and why the rest cannot."""

import json

import pytest
from test_nvml import RefusedError, card

import run_eval
from evals.perf import abilities as module
from evals.perf.abilities import abilities, card_state

CPU = {"device": "cpu", "name": "AVX2", "memory_mib": None, "free_mib": None, "bf16": None, "uuid": None}
GPU = {
    "device": "cuda:0",
    "name": "NVIDIA H100 80GB HBM3",
    "memory_mib": 1.0,
    "free_mib": 1.0,
    "bf16": True,
    "uuid": "1",
}


def possible(found):
    return {one.quantity for one in found if one.possible}


def test_a_processor_measures_times_and_host_memory_only():
    found = abilities([CPU])
    assert possible(found) == {"latency, throughput", "host memory"}
    assert {one.detail for one in found if not one.possible} == {"torch sees no CUDA device"}


def test_a_card_measures_everything(monkeypatch):
    monkeypatch.setattr(module, "open_card", lambda uuid: (card(), ""))
    found = abilities([CPU, GPU])
    assert possible(found) == {one.quantity for one in found}
    assert "H100 SXM: 989 TFLOP/s" in found[-1].detail
    assert card_state([GPU])[0]["driver"] == "550.1"


def test_what_the_card_refuses_is_said(monkeypatch):
    no = RefusedError("Insufficient Permissions")
    old = card(nvmlDeviceGetTotalEnergyConsumption=no, nvmlDeviceGetComputeRunningProcesses=no)
    monkeypatch.setattr(module, "open_card", lambda uuid: (old, ""))
    found = {one.quantity: one for one in abilities([CPU, GPU])}
    for quantity in ("energy", "other processes"):
        assert not found[quantity].possible
        assert "Insufficient Permissions" in found[quantity].detail


@pytest.mark.parametrize("name", ["NVIDIA Z999", "NVIDIA H100 80GB HBM3 MIG 1g.10gb"])
def test_without_nvml_and_with_an_unknown_card_times_and_memory_remain(monkeypatch, name):
    monkeypatch.setattr(module, "open_card", lambda uuid: (None, "nvidia-ml-py is not installed"))
    found = abilities([CPU, GPU | {"name": name}])
    assert possible(found) == {"latency, throughput", "host memory", "stages by CUDA events", "device memory"}
    assert "nvidia-ml-py is not installed" in " ".join(one.detail for one in found)
    assert card_state([GPU]) == []


def test_doctor_prints_it(capsys):
    assert run_eval.main(["doctor"]) == 0
    assert "what profile can measure here" in capsys.readouterr().out
    assert run_eval.main(["doctor", "--json"]) == 0
    assert {"environment", "devices", "cards", "measurable"} <= set(json.loads(capsys.readouterr().out))
