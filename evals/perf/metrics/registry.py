"""All metrics by tag, in the order in which they are shown."""

from __future__ import annotations

from evals.errors import SpecError, did_you_mean
from evals.perf.metrics import energy, latency, limits, memory, stages
from evals.perf.metrics.base import Metric

_CLASSES: tuple[type[Metric], ...] = (
    latency.Load,
    latency.ColdStart,
    memory.Weights,
    memory.KvPerToken,
    latency.Ttft,
    latency.Tpot,
    latency.InterToken,
    latency.EndToEnd,
    latency.Samples,
    latency.Requests,
    latency.Tokens,
    latency.Images,
    *stages.STAGE_METRICS,
    stages.ObserverEffect,
    stages.DeviceBusy,
    memory.PeakAllocated,
    memory.PeakReserved,
    memory.ProcessMemory,
    memory.DeviceMemory,
    memory.PeakHost,
    energy.EnergyPerRequest,
    energy.EnergyPerToken,
    energy.MeanPower,
    energy.SmClock,
    energy.MemoryClock,
    energy.Temperature,
    energy.Throttled,
    limits.MfuPrefill,
    limits.MfuVision,
    limits.MbuDecode,
)
METRICS: dict[str, Metric] = {cls.tag: cls() for cls in _CLASSES}


def metric(tag: str) -> Metric:
    """A metric by its tag. Raises :class:`SpecError` with the nearest name for an unknown one."""
    if tag not in METRICS:
        raise SpecError(f"Unknown performance metric {tag!r}.{did_you_mean(tag, METRICS)}")
    return METRICS[tag]


def metric_table() -> dict[str, dict[str, object]]:
    """What each metric is, as profile.json carries it beside the numbers."""
    return {
        tag: {
            "title": one.title,
            "unit": one.unit,
            "better": one.better or None,
            "formula": one.formula,
            "reads": list(one.reads),
            "scope": one.scope,
        }
        for tag, one in METRICS.items()
    }
