"""A clean stop: the first Ctrl-C or SIGTERM finishes the batch in flight and saves, the second one stops at once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self


class StopSignal:
    """Context manager that turns the first SIGINT or SIGTERM into ``requested``; a second raises KeyboardInterrupt.

    Outside the main thread Python does not allow signal handlers; there it only holds the flag.

    Args:
        tell: called once when a stop is asked for, from the signal handler.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self.requested = False
        self._tell = tell
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, self._handle)
            except ValueError:
                break
        return self

    def request(self) -> None:
        """Ask for a stop, as the first signal does."""
        self.requested = True
        self._tell()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.request()
        name = signal.Signals(number).name
        print(f"{name}: finishing the batch in flight; once more stops at once.", file=sys.stderr, flush=True)
