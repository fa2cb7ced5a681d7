"""What a performance metric is: a name, a unit, a direction, a formula, and a function of what was recorded."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from evals.perf.timeline import CaseRecord, ProcessRecord, RequestTimes, Window

NS_PER_MS = 1e6


class NoValue(Exception):  # noqa: N818 - an outcome, not an error
    """There is no data for this metric; the message says why, and becomes the reason beside the null."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a metric looks at: a process, and one of its cases (metrics of the process ignore the case)."""

    process: ProcessRecord
    case: CaseRecord

    @property
    def has_beams(self) -> bool:
        """Whether answers were searched with several beams, because it was asked for or is the adapter's way."""
        return max(self.case.case.num_beams, self.case.beams) > 1

    def latency(self) -> Window:
        """The clean closed-loop pass."""
        return _window(self.case.latency, self.case)

    def throughput(self) -> Window:
        """The clean pass that rates are taken from."""
        return _window(self.case.throughput, self.case)

    def instrumented(self) -> Window:
        """The pass with stage marks."""
        return _window(self.case.instrumented, self.case)


class Metric(ABC):
    """One number of a profile.

    Attributes:
        tag: key in profile.json; ends in the unit. title: for people.
        unit: as shown. better: ``lower``, ``higher`` or empty where neither is.
        formula: how it is computed, in words or symbols. reads: the recorded fields it is computed from.
        scope: ``case``, or ``process`` (once a process).
        per_request: gives one value a request (or gap), so that percentiles mean something.
    """

    tag: ClassVar[str]
    title: ClassVar[str]
    unit: ClassVar[str]
    better: ClassVar[str] = "lower"
    formula: ClassVar[str]
    reads: ClassVar[tuple[str, ...]]
    scope: ClassVar[str] = "case"
    per_request: ClassVar[bool] = False

    @abstractmethod
    def values(self, seen: Seen) -> tuple[float, ...]:
        """The value, or one a request. Raises :class:`NoValue` with the reason where there is none."""


def answered(window: Window) -> tuple[RequestTimes, ...]:
    """Requests of a pass that have an answer. Raises :class:`NoValue` if none has."""
    found = tuple(request for request in window.requests if not request.failure)
    if not found:
        raise NoValue("no request was answered")
    return found


def with_tokens(seen: Seen, least: int) -> tuple[RequestTimes, ...]:
    """Answered requests whose tokens' times are known, with at least so many tokens."""
    if seen.case.case.protocol == "likelihood":
        raise NoValue("choices are scored by likelihood: no token is generated")
    if seen.has_beams:
        raise NoValue("beam search gives all tokens at its end: they have no times of their own")
    requests = answered(seen.latency())
    if not any(request.token_ns for request in requests):
        raise NoValue("the adapter does not tell when tokens came")
    found = tuple(request for request in requests if len(request.token_ns) >= least)
    if not found:
        raise NoValue(f"no request generated {least} tokens")
    return found


def no_gpu(seen: Seen) -> None:
    """Raise :class:`NoValue` where there is no card to look at."""
    if seen.process.no_gpu:
        raise NoValue(seen.process.no_gpu)


def _window(window: Window | None, case: CaseRecord) -> Window:
    if window is None:
        raise NoValue(case.skipped or "this pass was not made")
    return window
