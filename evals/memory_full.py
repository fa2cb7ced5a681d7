"""Out of memory is cured by asking for less at a time: batches are halved, the run goes on, and the record says so."""

from __future__ import annotations

from dataclasses import dataclass

from model_adapters.contract import ModelAdapter


@dataclass(frozen=True, slots=True)
class Halving:
    """One time that memory was full.

    Attributes:
        answered: requests of this session that were answered before.
        batch_size: from then on.
        error: what the adapter raised.
    """

    answered: int
    batch_size: int
    error: str


def is_memory_full(error: BaseException) -> bool:
    """Whether an error says that memory, the device's or the host's, was not enough."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower())


class Halver:
    """Halves an adapter's batches when memory is full, as long as the adapter lets its batch size be set.

    Attributes:
        halvings: what was done so far, in order.
    """

    def __init__(self, adapter: ModelAdapter) -> None:
        self.halvings: list[Halving] = []
        self._adapter = adapter
        self._size: int | None = None

    def halve(self, error: BaseException, answered: int, n_open: int) -> bool:
        """Make batches smaller if that can help.

        Args:
            answered: requests answered before.
            n_open: requests that the adapter has taken and not answered: its batch, or more.

        Returns:
            Whether to ask again; False where the error is another one, or batches cannot be made smaller.
        """
        size = (self._size or n_open) // 2
        if size < 1 or not is_memory_full(error) or not self._adapter.probe().set_batch_size(size):
            return False
        self._size = size
        self.halvings.append(Halving(answered, size, type(error).__name__))
        return True
