"""An adapter that lives in simulated time: every stage takes exactly as long as it is told to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import islice
from typing import Any

from model_adapters.contract import Capabilities, Failure, ModelAdapter, Request, Response, Timing, Usage
from model_adapters.probe import Probe, RecordingClock, Span, StageClock

MS = 1_000_000


class SimulatedTime:
    """Nanoseconds that pass only when somebody spends them."""

    def __init__(self) -> None:
        self.ns = 0

    def __call__(self) -> int:
        return self.ns

    def spend(self, ms: float) -> None:
        self.ns += round(ms * MS)


class SimulatedClock(RecordingClock):
    """Stage marks in simulated time."""

    def __init__(self, now: SimulatedTime) -> None:
        super().__init__()
        self._now = now

    @contextmanager
    def host(self, stage: str) -> Iterator[None]:
        begin = self._now.ns
        yield
        self._spans.append(Span(stage, (self._now.ns - begin) / MS))

    def device(self, stage: str) -> AbstractContextManager[None]:
        return self.host(stage)


class SimulatedProbe(Probe):
    """Everything the profiler asks for, and how often it cleared what was kept."""

    def __init__(self, adapter: Simulated) -> None:
        self.adapter, self.forgotten = adapter, 0

    def listen(self, clock: StageClock | None) -> bool:
        self.adapter.clock = clock or StageClock()
        return True

    def stage_clock(self) -> RecordingClock:
        return SimulatedClock(self.adapter.now)

    def set_batch_size(self, size: int) -> bool:
        self.adapter.batch = size
        return True

    def fixed_length(self, on: bool) -> bool:
        self.adapter.fixed = on
        return True

    def forget(self) -> None:
        self.forgotten += 1


class Simulated(ModelAdapter):
    """10 ms of vision, 20 ms of prefill, 5 ms a token; a batch takes as long as one request.

    Args:
        cold_ms: what the first batches take beyond, halved each time: to be warmed up.
        room: largest batch that memory holds; a larger one is halved (``halve``) or raises.
        fail: request ids that fail. marks_ms: what each stage mark costs, the observer's effect.
    """

    def __init__(
        self,
        cold_ms: float = 0.0,
        room: int = 1000,
        halve: bool = False,
        fail: frozenset[str] = frozenset(),
        marks_ms: float = 0.0,
        tells_tokens: bool = True,
        choices: bool = True,
    ) -> None:
        self.now = SimulatedTime()
        self.clock: StageClock = StageClock()
        self.batch, self.fixed, self.asked = 1, False, 0
        self.capabilities = Capabilities(max_images=1, choice_scoring=choices, streaming=tells_tokens)
        self._cold, self._room, self._halve, self._fail = cold_ms, room, halve, fail
        self._marks, self._tells = marks_ms, tells_tokens

    def identity(self) -> Mapping[str, Any]:
        return {"adapter": "simulated", "adapter_version": "1", "model": "simulated", "weights": None, "dtype": None}

    def probe(self) -> SimulatedProbe:
        return SimulatedProbe(self)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        stream = iter(requests)
        while batch := list(islice(stream, self.batch)):
            yield from self._answer(batch)

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            self.now.spend(30)
            n = len(request.choices)
            yield Response(request.request_id, choice_scores=(0.0,) * n, choice_tokens=(1,) * n)

    def _answer(self, batch: list[Request]) -> Iterator[Response]:
        if len(batch) > self._room:
            if not self._halve:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            half = len(batch) // 2
            yield from self._answer(batch[:half])
            yield from self._answer(batch[half:])
            return
        self.asked += len(batch)
        self.now.spend(self._cold)
        self._cold /= 2
        with self.clock.device("vision"):
            self.now.spend(10)
        with self.clock.device("prefill"):
            self.now.spend(20)
        if isinstance(self.clock, SimulatedClock):
            self.now.spend(self._marks)
        tokens = batch[0].generation.max_new_tokens if self.fixed else 2
        times = []
        with self.clock.device("decode"):
            for _ in range(tokens):
                self.now.spend(5)
                times.append(self.now.ns / 1e9)
        for request in batch:
            if self._tells and request.generation.num_beams == 1:
                self.clock.tokens(request.request_id, times)
            failed = Failure("ValueError", "bad") if request.request_id in self._fail else None
            usage = Usage(50, 16, tokens)
            yield Response(request.request_id, usage=usage, timing=Timing(batch_size=len(batch)), failure=failed)
