"""The card's state while something else runs: a thread that asks five times a second, no faster."""

from __future__ import annotations

import threading
from types import TracebackType

from evals.perf.nvml import Nvml
from evals.perf.timeline import GpuSample

SECONDS = 0.2


class Sampler:
    """Context manager; samples are read after it. Without a card it gives none."""

    def __init__(self, card: Nvml | None, seconds: float = SECONDS) -> None:
        self._card, self._seconds = card, seconds
        self._samples: list[GpuSample] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpu sampler", daemon=True)

    @property
    def samples(self) -> tuple[GpuSample, ...]:
        """What was seen, in order of time."""
        return tuple(self._samples)

    def __enter__(self) -> Sampler:
        if self._card is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._card is not None:
            self._thread.join()

    def _run(self) -> None:
        assert self._card is not None
        while True:
            self._samples.append(self._card.sample())
            if self._stop.wait(self._seconds):
                return
