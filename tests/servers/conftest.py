"""Real servers on loopback: a scripted one, and ours in a process of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from server_tools import serving
from stub import Stub


@pytest.fixture
def start() -> Iterator[Callable[..., Stub]]:
    """Starts scripted servers; all are closed at the end."""
    running: list[Stub] = []

    def make(*arguments: object, **options: object) -> Stub:
        running.append(Stub(*arguments, **options))
        return running[-1]

    yield make
    for stub in running:
        stub.close()


@pytest.fixture(scope="session")
def served() -> Iterator[str]:
    """The small final checkpoint, served by us; its base URL."""
    with serving("--checkpoint", "small-final") as (_, url):
        yield url
