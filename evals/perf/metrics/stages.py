"""Where the time goes: the stages of a request, from the instrumented pass only."""

from __future__ import annotations

import statistics

from evals.perf.metrics.base import NS_PER_MS, Metric, NoValue, Seen, answered, no_gpu
from model_adapters.probe import STAGES

DEVICE_STAGES = STAGES[2:]
_TITLES = dict(
    zip(
        STAGES,
        ("Image decoding", "Resizing", "Host to device", "Vision tower", "Resampler", "Prefill", "Decoding"),
        strict=True,
    )
)


class _Stage(Metric):
    """Mean time a request of one stage."""

    unit = "ms"
    formula = "sum of the stage's spans / requests of the instrumented pass; host stages run in threads side by side"
    reads = ("spans", "instrumented.requests")
    stage: str

    def values(self, seen: Seen) -> tuple[float, ...]:
        requests = answered(seen.instrumented())
        spans = [span.ms for span in seen.case.spans if span.stage == self.stage]
        if not spans:
            known = "the adapter marks no stages" if not seen.case.spans else "this stage did not run"
            raise NoValue(known)
        return (sum(spans) / len(requests),)


def _stage_metric(name: str) -> type[_Stage]:
    fields = {"tag": f"{name}_ms", "title": _TITLES[name], "stage": name, "__doc__": f"Mean {name} time a request."}
    return type(f"Stage_{name}", (_Stage,), fields)


STAGE_METRICS = tuple(_stage_metric(name) for name in STAGES)


class ObserverEffect(Metric):
    tag, title, unit = "observer_effect", "Observer effect", "×"
    formula = "median end to end of the instrumented pass / of the clean pass"
    reads = ("instrumented.requests", "latency.requests")

    def values(self, seen: Seen) -> tuple[float, ...]:
        watched, clean = (
            statistics.median((r.done_ns - r.submit_ns) / NS_PER_MS for r in answered(window))
            for window in (seen.instrumented(), seen.latency())
        )
        if clean <= 0:
            raise NoValue("the clean pass took no time")
        return (watched / clean,)


class DeviceBusy(Metric):
    tag, title, unit = "device_busy", "Device busy", "share"
    better = "higher"
    formula = "sum of the device stages' CUDA event times / length of the instrumented pass"
    reads = ("spans", "instrumented")

    def values(self, seen: Seen) -> tuple[float, ...]:
        no_gpu(seen)
        spans = [span.ms for span in seen.case.spans if span.stage in DEVICE_STAGES]
        if not spans:
            raise NoValue("the adapter marks no stages of the device")
        return (sum(spans) / 1000.0 / seen.instrumented().seconds,)
