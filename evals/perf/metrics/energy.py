"""Energy by the card's counter, and the card's state while it was read.

The counter (``nvmlDeviceGetTotalEnergyConsumption``, millijoules since the driver was loaded, Volta and later) is read
at both ends of one long pass. Sampled power is no substitute: on A100 and H100 it sees a quarter of the time
(arXiv 2312.02741). So there is no energy of a single request, only the mean over a pass.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from evals.perf.metrics.base import Metric, NoValue, Seen, answered, no_gpu
from evals.perf.nvml import THROTTLED

LEAST_SECONDS = 10.0


def energy_j(seen: Seen) -> float:
    """Joules of the pass. Raises :class:`NoValue` where the counter cannot say."""
    no_gpu(seen)
    if seen.process.no_nvml:
        raise NoValue(seen.process.no_nvml)
    window = seen.throughput()
    if window.energy_begin_mj is None or window.energy_end_mj is None:
        raise NoValue(window.energy_reason or "the energy counter was not read")
    if window.energy_end_mj < window.energy_begin_mj:
        raise NoValue("the energy counter was reset during the pass")
    if window.seconds < LEAST_SECONDS:
        raise NoValue(f"the pass took {window.seconds:.1f} s; the counter needs {LEAST_SECONDS:.0f} s")
    return (window.energy_end_mj - window.energy_begin_mj) / 1000.0


class EnergyPerRequest(Metric):
    tag, title, unit = "energy_j_per_request", "Energy per request", "J"
    formula = "(counter at the end − at the begin) / answered requests, over a pass of at least 10 s"
    reads = ("throughput.energy_begin_mj", "throughput.energy_end_mj", "throughput.requests")

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (energy_j(seen) / len(answered(seen.throughput())),)


class EnergyPerToken(Metric):
    tag, title, unit = "energy_j_per_token", "Energy per output token", "J"
    formula = "(counter at the end − at the begin) / generated tokens, over a pass of at least 10 s"
    reads = ("throughput.energy_begin_mj", "throughput.energy_end_mj", "throughput.requests.new_tokens")

    def values(self, seen: Seen) -> tuple[float, ...]:
        energy = energy_j(seen)
        tokens = sum(r.new_tokens or 0 for r in answered(seen.throughput()))
        if not tokens:
            raise NoValue("no token was generated, or the adapter does not count them")
        return (energy / tokens,)


class MeanPower(Metric):
    tag, title, unit = "mean_power_w", "Mean power", "W"
    better = ""
    formula = "(counter at the end − at the begin) / length of the pass"
    reads = ("throughput.energy_begin_mj", "throughput.energy_end_mj")

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (energy_j(seen) / seen.throughput().seconds,)


class SmClock(Metric):
    tag, title, unit = "sm_clock_mhz", "SM clock", "MHz"
    better = ""
    formula = "median of the samples during the clean passes (5 Hz)"
    reads = ("gpu.sm_mhz",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (statistics.median(_samples(seen, [s.sm_mhz for s in seen.case.gpu])),)


class MemoryClock(Metric):
    tag, title, unit = "memory_clock_mhz", "Memory clock", "MHz"
    better = ""
    formula = "median of the samples during the clean passes (5 Hz)"
    reads = ("gpu.memory_mhz",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (statistics.median(_samples(seen, [s.memory_mhz for s in seen.case.gpu])),)


class Temperature(Metric):
    tag, title, unit = "temperature_c", "Temperature", "°C"
    better = ""
    formula = "highest of the samples during the clean passes (5 Hz)"
    reads = ("gpu.temperature_c",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        return (max(_samples(seen, [s.temperature_c for s in seen.case.gpu])),)


class Throttled(Metric):
    tag, title, unit = "throttled", "Throttled", "share"
    formula = "samples whose clocks were held down by heat or power supply / all samples"
    reads = ("gpu.reasons",)

    def values(self, seen: Seen) -> tuple[float, ...]:
        masks = _samples(seen, [s.reasons for s in seen.case.gpu])
        return (sum(bool(int(mask) & THROTTLED) for mask in masks) / len(masks),)


def _samples(seen: Seen, values: Sequence[float | None]) -> list[float]:
    no_gpu(seen)
    found = [float(value) for value in values if value is not None]
    if not found:
        raise NoValue(seen.process.no_nvml or seen.case.skipped or "the card gave no samples")
    return found
