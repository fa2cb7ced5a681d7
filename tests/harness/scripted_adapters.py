"""Adapters whose answers are known, and adapters that misbehave in one way each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from model_adapters.contract import (
    AdapterError,
    Batching,
    Capabilities,
    Failure,
    MemoryFull,
    ModelAdapter,
    Request,
    Response,
    Timing,
)
from model_adapters.isolation import isolate
from model_adapters.probe import Probe

OPTIONS = ("red", "green", "blue", "yellow")


class Scripted(ModelAdapter):
    """Names the right colour for three questions of four, a wrong one otherwise; says so in batches.

    Args:
        batch_size: requests pulled before the first is answered.
        delay_s: per request.
        log: a file that gets one line per request asked.
        name: the model's name, part of its identity.
        hook: called with each request before it is answered; may raise or return another text.
    """

    capabilities = Capabilities(max_images=None, text_only=True, choice_scoring=True)

    def __init__(
        self,
        batch_size: int = 1,
        delay_s: float = 0.0,
        log: str | None = None,
        name: str = "scripted",
        hook: Callable[[Request], str | None] | None = None,
    ) -> None:
        self.batch_size, self.delay_s, self.name, self.hook = batch_size, delay_s, name, hook
        self.asked: list[str] = []
        self.closed = False
        self._log = Path(log) if log else None

    def identity(self) -> Mapping[str, Any]:
        """Batch size and delay cannot change an answer, so they are not in it."""
        return {"adapter": "scripted", "adapter_version": "1", "model": self.name, "weights": None, "dtype": None}

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Batches of answers, each batch in reverse, since any order is allowed."""
        stream = iter(requests)
        while batch := list(islice(stream, self.batch_size)):
            for request in reversed([*batch]):
                yield self.answer(request)

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """The first option is the most likely."""
        for request in requests:
            self.note(request)
            n = len(request.choices)
            yield Response(request.request_id, choice_scores=tuple(-float(i) for i in range(n)), choice_tokens=(1,) * n)

    def answer(self, request: Request) -> Response:
        """One answer, after the hook had its say."""
        self.note(request)
        if self.delay_s:
            time.sleep(self.delay_s)
        text = self.hook(request) if self.hook else None
        return Response(request.request_id, usual(request) if text is None else text, timing=Timing(decode_ms=0.5))

    def note(self, request: Request) -> None:
        """Remember that a request was asked."""
        self.asked.append(request.request_id)
        if self._log:
            with self._log.open("a") as file:
                file.write(request.request_id + "\n")

    def close(self) -> None:
        """The harness always closes what it loaded."""
        self.closed = True


def usual(request: Request) -> str:
    """The answer of a model that is right in three of four cases, the same whenever it is asked."""
    number = int(re.search(r"Question (\d+)", request.turns[-1].text)[1])  # type: ignore[index]
    luck = hashlib.sha256(request.request_id.encode()).digest()[0]
    return OPTIONS[(number + (luck < 64)) % 4]


class Returns(Scripted):
    """Gives each request whatever a function makes of it: no response, several, or strange ones."""

    def __init__(self, make: Callable[[Request], list[Response]]) -> None:
        super().__init__()
        self._make = make

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        for request in requests:
            yield from self._make(request)

    score_choices = generate


class FailsWhole(Scripted):
    """Raises for a whole batch if one of its requests is bad, as a model does that runs out of memory."""

    def __init__(self, bad: str, batch_size: int) -> None:
        super().__init__(batch_size)
        self._bad = bad

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        stream = iter(requests)
        while batch := list(islice(stream, self.batch_size)):
            if any(request.request_id == self._bad for request in batch):
                raise RuntimeError("CUDA out of memory")
            yield from map(self.answer, batch)


class Limited(Scripted):
    """Has memory for so many requests at a time, and raises for more."""

    def __init__(
        self, fits: int, batch_size: int, error: type[Exception] = RuntimeError, settable: bool = True
    ) -> None:
        super().__init__(batch_size)
        self._fits, self._error, self._settable = fits, error, settable

    def probe(self) -> Probe:
        adapter = self

        class Sizes(Probe):
            def set_batch_size(self, size: int) -> bool:
                adapter.batch_size = size if adapter._settable else adapter.batch_size
                return adapter._settable

        return Sizes()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        stream = iter(requests)
        while batch := list(islice(stream, self.batch_size)):
            yield from self.answer_whole(batch)

    def answer_whole(self, batch: list[Request]) -> list[Response]:
        """Answers to a batch, if it fits."""
        if len(batch) > self._fits:
            raise self._error("CUDA out of memory. Tried to allocate 2.00 GiB")
        timing = Timing(batch_size=len(batch), batch_ms=1.0)
        return [replace(self.answer(request), timing=timing) for request in batch]


class Roomy(Limited):
    """The same, but it halves its batches by itself, as the engines do, and says so.

    Args:
        full_from: a request from which on half as much fits.
        is_auto: it says that it was left to find the size.
    """

    def __init__(self, fits: int, batch_size: int, full_from: str | None = None, is_auto: bool = False) -> None:
        super().__init__(fits, batch_size)
        self._full_from, self._is_auto = full_from, is_auto
        self._full: list[MemoryFull] = []

    def batching(self) -> Batching:
        return Batching(self.batch_size, self._is_auto, full=tuple(self._full))

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        stream = iter(requests)
        while batch := list(islice(stream, self.batch_size)):
            yield from isolate(
                batch, self.answer_whole, failed=_failed, most=lambda: self.batch_size, shrink=self._shrink
            )

    def answer_whole(self, batch: list[Request]) -> list[Response]:
        if self._full_from in [request.request_id for request in batch]:
            self._fits, self._full_from = self._fits // 2, None
        return super().answer_whole(batch)

    def _shrink(self, size: int, error: str) -> None:
        self.batch_size = size
        self._full.append(MemoryFull(size, error))


def _failed(request: Request, error: Exception) -> Response:
    return Response(request.request_id, finish="error", failure=Failure(type(error).__name__, str(error)))


class NoLikelihood(Scripted):
    """Cannot score choices, and says so."""

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        raise AdapterError("scripted cannot score choices by likelihood; use another protocol.")


class Decoding(Scripted):
    """Decodes each picture as a real model does; one that cannot be decoded is a failure of its own."""

    def answer(self, request: Request) -> Response:
        try:
            for image in request.images:
                image.open()
        except OSError as error:
            self.note(request)
            return Response(request.request_id, finish="error", failure=Failure("OSError", str(error)))
        return super().answer(request)


class Deadly(Scripted):
    """Ends its own process when a certain request comes: a crash of the kind that no exception handler sees.

    Args:
        poison: the request's id.
        how: ``kill`` (SIGKILL) or ``exit``.
        once: a file that is made at the first death; while it is there nobody dies.
    """

    def __init__(
        self,
        poison: str,
        how: str = "kill",
        once: str | None = None,
        batch_size: int = 1,
        delay_s: float = 0.0,
        log: str | None = None,
    ) -> None:
        super().__init__(batch_size, delay_s, log)
        self._poison, self._how, self._once = poison, how, Path(once) if once else None

    def answer(self, request: Request) -> Response:
        if request.request_id == self._poison and not (self._once and self._once.exists()):
            self.note(request)
            if self._once:
                self._once.touch()
            if self._how == "exit":
                os._exit(3)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().answer(request)


class DiesLoading(Scripted):
    """Its process ends while it is loaded."""

    def __init__(self, **options: Any) -> None:
        os._exit(9)


class CannotLoad(Scripted):
    """Says why it cannot be loaded."""

    def __init__(self, **options: Any) -> None:
        raise AdapterError("There are no weights here. Put them there.")


class NamesGpu(Scripted):
    """Answers with the GPU that its process may see."""

    def answer(self, request: Request) -> Response:
        time.sleep(0.01)  # so that one worker does not take all
        return Response(request.request_id, os.environ.get("CUDA_VISIBLE_DEVICES", "none"))


def results_without_times(path: Path) -> str:
    """results.json as it was written, with everything that was measured taken out."""
    results = json.loads(path.read_text())
    results.pop("efficiency")
    for task in results["tasks"].values():
        task.pop("efficiency")
    return json.dumps(results, indent=1, ensure_ascii=False)
