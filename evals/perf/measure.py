"""Timed passes over one adapter: warm-up until stable, clean passes, and an instrumented one apart from them.

A clean pass has no marks and no events: only the tokens' times, which a streaming adapter has anyway. Requests are
built between the timed calls; callers keep the garbage collector out with :func:`no_garbage`.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from evals.perf.timeline import RequestTimes, Window
from evals.perf.workload import Workload
from model_adapters.contract import ModelAdapter, Request, Response, tells_of_full_memory
from model_adapters.probe import Probe, RecordingClock, Span, TokenClock

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True)
class Rules:
    """How long is measured.

    Attributes:
        least_requests, least_s: a clean pass ends when both are reached. most_s: or at this.
        warm_last, warm_within: warm once the medians of the last so many iterations lie within this share.
        warm_most: or after so many iterations.
        instrumented: requests of the instrumented pass.
    """

    least_requests: int = 30
    least_s: float = 10.0
    most_s: float = 60.0
    warm_last: int = 5
    warm_within: float = 0.02
    warm_most: int = 20
    instrumented: int = 30


QUICK = Rules(least_requests=16, least_s=0.6, most_s=4.0, warm_most=6, instrumented=8)


class OutOfMemory(Exception):  # noqa: N818 - an outcome of a case, not an error
    """The device has no room for this batch; the message says what was seen."""


@dataclass
class Bench:
    """Measures one adapter on one workload at one batch size.

    Args:
        clock: nanoseconds; the adapter's token times must be of the same clock.
        energy: reads the card's counter in millijoules, or gives None.
        own_batches: the adapter forms batches as it likes, so a smaller one is no sign of missing memory.
    """

    adapter: ModelAdapter
    probe: Probe
    workload: Workload
    batch: int
    clock: Clock = time.perf_counter_ns
    energy: Callable[[], int | None] = lambda: None
    energy_reason: Callable[[], str] = lambda: ""
    own_batches: bool = False

    def __post_init__(self) -> None:
        self._next = 0

    def warm_up(self, rules: Rules) -> tuple[int, bool]:
        """Iterate until the times of a batch are stable; returns iterations and whether they became so."""
        times: list[float] = []
        while len(times) < rules.warm_most:
            window = self.closed(lambda n, s: n >= self.batch)
            times.append(statistics.median(r.done_ns - r.submit_ns for r in window.requests))
            last = times[-rules.warm_last :]
            if len(last) == rules.warm_last and max(last) <= min(last) * (1 + rules.warm_within):
                return len(times), True
        return len(times), False

    def closed(self, enough: Callable[[int, float], bool], tokens: TokenClock | None = None) -> Window:
        """One call a batch, each after the answers of the one before.

        Args:
            enough: asked with requests and seconds so far whether to end.
            tokens: hears the tokens; a plain one by default.
        """
        clock = tokens or TokenClock()
        requests: list[RequestTimes] = []
        self.probe.listen(clock)
        self._settle()
        energy, begin = self.energy(), self.clock()
        while True:
            asked = self._take(self.batch)
            submit = self.clock()
            answers = [(response, self.clock()) for response in self._put(r for _, r in asked)]
            requests += self._times(asked, {r.request_id: submit for _, r in asked}, answers, clock)
            if enough(len(requests), (self.clock() - begin) / 1e9):
                break
        self.probe.synchronise()
        end, after = self.clock(), self.energy()
        self.probe.listen(None)
        return Window("closed", begin, end, tuple(requests), energy, after, self.energy_reason())

    def stream(self, enough: Callable[[int, float], bool]) -> Window:
        """One call over all requests; the adapter pulls them as it goes. Ends with a whole batch."""
        clock, submitted = TokenClock(), dict[str, int]()
        asked: list[tuple[str, Request]] = []
        self.probe.listen(clock)

        def pull() -> Iterator[Request]:
            while len(asked) % self.batch or not enough(len(asked), (self.clock() - begin) / 1e9):
                [(sample, request)] = self._take(1)
                asked.append((sample, request))
                submitted[request.request_id] = self.clock()
                yield request

        self._settle()
        energy, begin = self.energy(), self.clock()
        answers = [(response, self.clock()) for response in self._put(pull())]
        self.probe.synchronise()
        end, after = self.clock(), self.energy()
        self.probe.listen(None)
        times = tuple(self._times(asked, submitted, answers, clock))
        return Window("stream", begin, end, times, energy, after, self.energy_reason())

    def instrumented(self, requests: int) -> tuple[Window, list[Span]]:
        """A closed pass with every stage marked."""
        clock: RecordingClock = self.probe.stage_clock()
        window = self.closed(lambda n, s: n >= requests, clock)
        self.probe.synchronise()
        return window, clock.spans()

    def one(self) -> RequestTimes:
        """A single request, as the very first after loading."""
        alone = Bench(self.adapter, self.probe, self.workload, 1, self.clock)
        return alone.closed(lambda n, s: True).requests[0]

    def ask(self, count: int) -> list[tuple[Request, Response]]:
        """Some requests without measuring; those that were answered."""
        requests = {request.request_id: request for _, request in self._take(count)}
        return [(requests[r.request_id], r) for r in self._put(requests.values()) if r.failure is None]

    def _settle(self) -> None:
        self.probe.forget()
        self.probe.synchronise()

    def _take(self, count: int) -> list[tuple[str, Request]]:
        taken = [self.workload.request(self._next + i) for i in range(count)]
        self._next += count
        return taken

    def _put(self, requests: Iterable[Request]) -> Iterator[Response]:
        score = self.workload.protocol == "likelihood"
        try:
            yield from self.adapter.score_choices(requests) if score else self.adapter.generate(requests)
        except Exception as error:
            if tells_of_full_memory(f"{type(error).__name__}: {error}"):
                raise OutOfMemory(str(error)) from error
            raise

    def _times(
        self,
        asked: Sequence[tuple[str, Request]],
        submitted: dict[str, int],
        answers: Sequence[tuple[Response, int]],
        clock: TokenClock,
    ) -> list[RequestTimes]:
        """Requests with what is known of them; a batch that was made smaller for want of memory ends the pass."""
        by_id = {request.request_id: (sample, request) for sample, request in asked}
        found = [
            _request_times(*by_id[response.request_id], response, submitted[response.request_id], done, clock)
            for response, done in answers
            if response.request_id in by_id
        ]
        for times in found:
            if tells_of_full_memory(times.failure):
                raise OutOfMemory(times.failure)
        sizes = [times.batch_size for times in found if times.batch_size is not None]
        expected = min(self.batch, len(asked))
        if sizes and max(sizes) < expected and not self.own_batches:
            raise OutOfMemory(f"the adapter answered in batches of {max(sizes)}, not {expected}")
        missing = [by_id[i] for i in by_id.keys() - {times.request_id for times in found}]
        end = self.clock()
        found += [
            RequestTimes(r.request_id, sample, submitted[r.request_id], end, failure="no answer came back")
            for sample, r in missing
        ]
        return found


def until(rules: Rules) -> Callable[[int, float], bool]:
    """Ends a clean pass by the rules."""
    return lambda n, s: (n >= rules.least_requests and s >= rules.least_s) or s >= rules.most_s


def _request_times(
    sample: str, request: Request, response: Response, submit: int, done: int, clock: TokenClock
) -> RequestTimes:
    failure = response.failure
    return RequestTimes(
        request_id=request.request_id,
        sample_id=sample,
        submit_ns=submit,
        done_ns=done,
        token_ns=tuple(round(s * 1e9) for s in clock.token_s.pop(request.request_id, ())),
        prompt_tokens=response.usage.prompt_tokens,
        new_tokens=response.usage.new_tokens,
        images=len(request.images),
        batch_size=response.timing.batch_size,
        failure=f"{failure.type}: {failure.message}" if failure else "",
        told_ttft_ms=response.timing.ttft_ms,
        told_tpot_ms=response.timing.tpot_ms,
    )


@contextmanager
def no_garbage() -> Iterator[None]:
    """Collect first, then leave garbage alone while time is measured."""
    gc.collect()
    gc.freeze()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
