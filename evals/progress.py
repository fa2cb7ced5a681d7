"""What a person sees while a run goes on: a bar with rate, time left and running accuracy, or plain log lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

LOG_SECONDS = 10.0


class Meter(Protocol):
    """Told after every batch how far a task is.

    Attributes:
        wants_score: whether anybody sees the score; it costs time.
    """

    wants_score: bool

    def update(self, done: int, asked: int, failed: int, score: float | None) -> None:
        """``done`` of all requests are done, ``asked`` of them in this session, of which ``failed`` failed; ``score``
        is the mean so far, where it can be said already."""


@contextmanager
def meter(title: str, total: int, *, quiet: bool = False) -> Iterator[Meter]:
    """A meter for one task, on stderr: a bar on a terminal, a line every ten seconds otherwise."""
    if quiet:
        yield _Silent()
    elif sys.stderr.isatty():
        with _bar() as progress:
            yield _Bar(progress, progress.add_task(title, total=total, extra=""))
    else:
        yield _Lines(title, total)


class _Silent:
    wants_score = False

    def update(self, done: int, asked: int, failed: int, score: float | None) -> None:
        pass


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[extra]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _notes(rate: float, score: float | None, failed: int) -> str:
    parts = [f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"]
    parts += [f"score {100 * score:.1f}"] if score is not None else []
    parts += [f"{failed} failed"] if failed else []
    return " · ".join(parts)


class _Bar:
    wants_score = True

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress, self._task, self._start = progress, task, time.monotonic()

    def update(self, done: int, asked: int, failed: int, score: float | None) -> None:
        rate = asked / max(time.monotonic() - self._start, 1e-9)
        self._progress.update(self._task, completed=done, extra=_notes(rate, score, failed))


class _Lines:
    wants_score = True

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total = title, total
        self._start = self._said = time.monotonic()

    def update(self, done: int, asked: int, failed: int, score: float | None) -> None:
        now = time.monotonic()
        if now - self._said < LOG_SECONDS and done < self._total:
            return
        self._said = now
        rate = asked / max(now - self._start, 1e-9)
        left = f" · {(self._total - done) / rate:.0f} s left" if rate else ""
        note = f"{self._title}: {done:,} of {self._total:,} · {_notes(rate, score, failed)}{left}"
        print(note, file=sys.stderr, flush=True)
