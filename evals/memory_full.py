"""Out of memory is cured by asking for less at a time: batches are halved, the run goes on, and the record says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from model_adapters.contract import MemoryFull, ModelAdapter, is_memory_full


@dataclass(frozen=True, slots=True)
class Halving:
    """One time that memory was full.

    Attributes:
        answered: requests of the task that this session had answered before; 0 also where memory was full in an
            earlier task of the session, so that this one was asked in smaller batches from the start.
        batch_size: from then on.
        error: what the adapter raised.
    """

    answered: int
    batch_size: int
    error: str


class Halver:
    """Halves an adapter's batches when memory is full, as long as the adapter lets its batch size be set, and notices
    where an adapter that isolates failures by itself did so.

    Args:
        note: told each halving.
    """

    def __init__(self, adapter: ModelAdapter, note: Callable[[Halving], None]) -> None:
        self._adapter, self._note = adapter, note
        self._size: int | None = None
        self._known = len(self._full())

    def look(self, answered: int) -> None:
        """Note what the adapter did since; cheap, to be called before each answer is taken.

        Args:
            answered: requests answered before.
        """
        full = self._full()
        for one in full[self._known :]:
            self._note(Halving(answered, one.batch_size, one.error))
        self._known = len(full)

    def halve(self, error: BaseException, answered: int, n_open: int) -> bool:
        """Make batches smaller if that can help.

        Args:
            answered: requests answered before.
            n_open: requests that the adapter has taken and not answered: its batch, or more.

        Returns:
            Whether to ask again; False where the error is another one, or batches cannot be made smaller.
        """
        batching = self._adapter.batching()
        held = self._size or n_open
        size = min(held, batching.size if batching else held) // 2
        if size < 1 or not is_memory_full(error) or not self._adapter.probe().set_batch_size(size):
            return False
        self._size = size
        self._note(Halving(answered, size, type(error).__name__))
        return True

    def _full(self) -> tuple[MemoryFull, ...]:
        batching = self._adapter.batching()
        return batching.full if batching else ()
