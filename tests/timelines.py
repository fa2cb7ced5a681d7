"""Recorded timelines with round numbers, from which every metric's value can be said by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evals.perf.metrics import METRICS, Seen
from evals.perf.timeline import Case, CaseRecord, GpuSample, ProcessRecord, RequestTimes, Window
from model_adapters.probe import STAGES, Span, Work

MS = 1_000_000
WORK = Work(
    vision_flops=1e12,
    token_flops=5e9,
    head_flops=1e9,
    attention_flops=0.0,
    step_weight_bytes=6e9,
    kv_bytes_per_token=1e6,
    vision_weight_bytes=1e9,
)


def request(number: int, submit_ms: float = 0.0, ttft_ms: float = 40.0, gap_ms: float = 10.0, tokens: int = 3, **more):
    """A request that hears its first token after ``ttft_ms`` and ends 5 ms after its last."""
    submit = round(submit_ms * MS)
    stamps = tuple(submit + round((ttft_ms + i * gap_ms) * MS) for i in range(tokens))
    done = (stamps[-1] if stamps else submit) + 5 * MS
    about: dict[str, Any] = {"prompt_tokens": 100, "new_tokens": tokens, "images": 1, "batch_size": 1} | more
    return RequestTimes(f"q{number}", about.pop("sample_id", f"s{number}"), submit, done, stamps, **about)


def window(requests, kind="closed", seconds=20.0, **more) -> Window:
    return Window(kind, 0, round(seconds * 1e9), tuple(requests), **more)


def spans(requests: int = 10) -> tuple[Span, ...]:
    """Each stage takes 1, 2, 3 ... ms a request."""
    return tuple(Span(stage, float(i)) for _ in range(requests) for i, stage in enumerate(STAGES, start=1))


def case_record(**changes: Any) -> CaseRecord:
    """Ten equal requests; the instrumented pass took 10 % longer."""
    clean = window([request(i) for i in range(10)], energy_begin_mj=1_000_000, energy_end_mj=5_000_000)
    slow = window([request(i, ttft_ms=46.5) for i in range(10)], seconds=1.0)
    made = CaseRecord(
        Case("caption", 1, new_tokens=3),
        latency=clean,
        throughput=clean,
        instrumented=slow,
        spans=spans(),
        memory_mib={"weights": 6000.0, "peak_allocated": 7000.0, "peak_reserved": 7500.0},
        process_mib=8000.0,
        device_mib=8500.0,
        peak_host_mib=900.0,
        gpu=tuple(GpuSample(i, 1980, 2619, 60 + i, 600.0, 0) for i in range(4)),
    )
    return replace(made, **changes)


def process_record(cases=None, **changes: Any) -> ProcessRecord:
    """A process on an H100."""
    made = ProcessRecord(
        index=0,
        started="2030-01-01T00:00:00.000000+00:00",
        model={"model": "m", "dtype": "bfloat16", "device": "cuda"},
        facts={"device_name": "NVIDIA H100 80GB HBM3", "uuid": "u", "tf32_matmul": False},
        load_ns=7_500 * MS,
        cold_ns=900 * MS,
        work=WORK,
        before={"hardware_key": "key", "hardware": {"device_name": "NVIDIA H100 80GB HBM3"}},
        after={"hardware_key": "key"},
        cases=tuple(cases or [case_record()]),
    )
    return replace(made, **changes)


def value(tag: str, case: CaseRecord | None = None, **process: Any) -> tuple[float, ...]:
    """A metric of one case."""
    case = case or case_record()
    return METRICS[tag].values(Seen(process_record([case], **process), case))
