"""What can be measured on this machine, and why the rest cannot: found without loading a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.perf.cards import card_peaks
from evals.perf.nvml import Nvml, open_card


@dataclass(frozen=True, slots=True)
class Ability:
    """One kind of measurement: possible or not, and in words how or why not."""

    quantity: str
    possible: bool
    detail: str


def abilities(devices: Sequence[Mapping[str, Any]]) -> list[Ability]:
    """What `profile` can measure.

    Args:
        devices: as ``model_adapters.devices.device_report`` gives them; the first CUDA device is looked at.
    """
    device = next((d for d in devices if str(d["device"]).startswith("cuda")), None)
    always = [
        Ability(
            "latency, throughput", True, "host clock" if device is None else "host clock around synchronised calls"
        ),
        Ability("host memory", True, "peak resident memory of each process"),
    ]
    if device is None:
        reason = "torch sees no CUDA device"
        names = ("stages by CUDA events", "device memory", "energy", "clocks and throttling", "other processes")
        return [*always, *(Ability(name, False, reason) for name in names), Ability("utilisation", False, reason)]
    card, reason = open_card(device.get("uuid"))
    found = [
        *always,
        Ability("stages by CUDA events", True, "read after one synchronisation"),
        Ability("device memory", True, "torch's allocator" + ("" if card else f"; not by process: {reason}")),
    ]
    return [*found, *_by_card(card, reason), _utilisation(device)]


def _by_card(card: Nvml | None, reason: str) -> list[Ability]:
    """What NVML must tell."""
    if card is None:
        return [Ability(name, False, reason) for name in ("energy", "clocks and throttling", "other processes")]
    energy, processes, now = card.energy_mj(), card.processes(), card.sample()
    return [
        Ability("energy", energy is not None, card.reason("energy") or "the card's counter, over 10 s and more"),
        Ability(
            "clocks and throttling",
            now.reasons is not None,
            card.reason("reasons") or f"{now.sm_mhz} MHz, five a second",
        ),
        Ability(
            "other processes",
            processes is not None,
            card.reason("process") or f"{len(processes or ())} on the card now",
        ),
    ]


def _utilisation(device: Mapping[str, Any]) -> Ability:
    peaks = card_peaks(device.get("name"))
    if peaks is None:
        return Ability("utilisation", False, f"no published peaks of {device.get('name')} are known here")
    return Ability("utilisation", True, f"against {peaks.name}: {peaks.bf16 or peaks.fp16:g} TFLOP/s, {peaks.source}")


def card_state(devices: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """NVML's record of each CUDA device that it knows."""
    found = []
    for device in devices:
        card, _ = open_card(device.get("uuid"))
        if card is not None:
            found.append({"device": device["device"], **card.record()})
    return found
