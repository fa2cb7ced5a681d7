"""What a profile records: times of requests, spans of stages, the card's state. Metrics are pure functions of these.

    ProcessRecord      one fresh process: load, cold start, environment, flags
    └── CaseRecord     one scenario at one batch size: clean windows, an instrumented one, memory, the card's samples
        └── Window     one timed pass over requests
            └── RequestTimes

All times are integer nanoseconds of one monotonic clock (``time.perf_counter_ns``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from evals.perf.fit import Fit
from model_adapters.probe import Span, Work


@dataclass(frozen=True, slots=True)
class RequestTimes:
    """One request.

    Attributes:
        sample_id: requests of one sample (the rotations of a question) count as one sample.
        submit_ns: handed to the adapter; done_ns: its answer's text was there.
        token_ns: when each token was on the host; empty where the adapter does not tell.
        batch_size: rows of the batch that it was answered in.
        failure: why there is no answer; empty where there is one.
        told_ttft_ms, told_tpot_ms: as the adapter says, for one that measures by itself (a served model, say).
    """

    request_id: str
    sample_id: str
    submit_ns: int
    done_ns: int
    token_ns: tuple[int, ...] = ()
    prompt_tokens: int | None = None
    new_tokens: int | None = None
    images: int = 0
    batch_size: int | None = None
    failure: str = ""
    told_ttft_ms: float | None = None
    told_tpot_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """One timed pass.

    Attributes:
        kind: ``closed``: each batch is a call of its own and the next waits for it; ``stream``: one call over all.
        energy_begin_mj, energy_end_mj: the card's counter at both ends, in millijoules; None: see ``energy_reason``.
    """

    kind: str
    begin_ns: int
    end_ns: int
    requests: tuple[RequestTimes, ...]
    energy_begin_mj: int | None = None
    energy_end_mj: int | None = None
    energy_reason: str = ""

    @property
    def seconds(self) -> float:
        """Length of the pass."""
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass(frozen=True, slots=True)
class GpuSample:
    """The card at one moment; None is unknown. ``reasons`` is NVML's bit mask of why clocks are held down."""

    at_ns: int
    sm_mhz: int | None = None
    memory_mhz: int | None = None
    temperature_c: int | None = None
    power_w: float | None = None
    reasons: int | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """One request whose floating point operations the framework counted."""

    flops: float
    prompt_tokens: int
    new_tokens: int
    images: int


@dataclass(frozen=True, slots=True)
class Case:
    """One scenario at one batch size.

    Attributes:
        scenario: its name; protocol: ``generate`` or ``likelihood``.
        batch: requests a batch; 1 is single stream, more is offline.
        num_beams: of the decoding. new_tokens: wanted a request (0: natural length).
        shares: questions share pictures or prefixes, so work by formula would overcount.
    """

    scenario: str
    batch: int
    protocol: str = "generate"
    num_beams: int = 1
    new_tokens: int = 0
    shares: bool = False

    @property
    def name(self) -> str:
        """``caption b8``."""
        return f"{self.scenario} b{self.batch}"


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One case in one process.

    Attributes:
        latency: clean closed-loop pass. throughput: clean pass that throughput and energy are taken from; at batch 1
            the same one.
        instrumented, spans: the pass with stage marks, and the marks.
        memory_mib: of the allocator after the clean passes; process_mib, device_mib: as NVML sees it.
        memory_reasons: by memory metric, why it is unknown. peak_host_mib: of the process so far.
        gpu: samples of the card during the clean passes.
        warm_up: iterations before the first clean pass; warm: whether they had become stable.
        counted: a request whose operations were counted; None if none was.
        beams: that requests were decoded with; more than asked for where the adapter's own way has more.
        skipped: why the case was not measured; empty where it was. notes: what a reader must know.
    """

    case: Case
    latency: Window | None = None
    throughput: Window | None = None
    instrumented: Window | None = None
    spans: tuple[Span, ...] = ()
    memory_mib: Mapping[str, float | None] = field(default_factory=dict)
    process_mib: float | None = None
    device_mib: float | None = None
    memory_reasons: Mapping[str, str] = field(default_factory=dict)
    peak_host_mib: float | None = None
    gpu: tuple[GpuSample, ...] = ()
    warm_up: int = 0
    warm: bool = False
    counted: Counted | None = None
    beams: int = 1
    skipped: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Flag:
    """Something about the conditions of a measurement. ``severity``: ``invalid``, ``warning`` or ``note``."""

    severity: str
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """One fresh process.

    Attributes:
        index: replicate, from 0; started: ISO time with microseconds.
        load_ns: from nothing to a model that can be asked. cold_ns: its first request.
        model: the adapter's identity. facts: what its probe says of device and library.
        work: what the model computes, None if the adapter does not say.
        before, after: environment records. fit: what was estimated before loading.
        no_gpu: why GPU numbers are unknown; empty where the model runs on one. no_nvml: why the card cannot be asked.
    """

    index: int
    started: str
    model: Mapping[str, Any]
    facts: Mapping[str, Any]
    load_ns: int | None
    cold_ns: int | None
    work: Work | None
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    cases: tuple[CaseRecord, ...]
    fit: Fit | None = None
    flags: tuple[Flag, ...] = ()
    no_gpu: str = ""
    no_nvml: str = ""
