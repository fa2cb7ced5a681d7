"""How many rows and ids are computed at a time: as asked for, or as memory turns out to have room for.

``auto`` begins on CUDA with what half of the free memory holds by formula. After a batch that used the limits at least
by half, memory's peak says how much more would have fitted, and the limits grow to that, at most twofold a step, until
they grow by less than a tenth, reach their caps, or memory is full. The caps are a number of rows, and the ids that
nine tenths of the free memory hold by formula: batches whose prompts share much take less than others that may come.
So the size is found once, from the first batches, and is the same for the same requests on the same machine. A CPU's is
fixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch

from model_adapters.contract import AdapterError, Batching, MemoryFull
from model_adapters.omnilmm.batching import DEFAULT_TOKENS, Asked

if TYPE_CHECKING:
    from model_adapters.omnilmm.language import MiniCPMDecoder

CPU_ROWS, CUDA_ROWS = 160, 256  # a CPU likes batches that stay in its caches; beyond the other, nothing was gained
FIRST_SHARE, LAST_SHARE = 0.5, 0.9  # of the free memory: what the formula may fill, and what batches may in the end
MOST_GROWTH, LEAST_GROWTH = 2.0, 1.1  # of a step; of less, nothing is to be had any more


class Memory(Protocol):
    """A device's memory as this process sees it, in bytes."""

    def capacity(self) -> int:
        """What this process has and could still get."""

    def allocated(self) -> int:
        """What is in use now."""

    def peak(self) -> int:
        """The most that was ever in use."""


class CudaMemory:
    """The memory of a CUDA device."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def capacity(self) -> int:
        free, _ = torch.cuda.mem_get_info(self._device)
        return free + torch.cuda.memory_reserved(self._device)

    def allocated(self) -> int:
        return torch.cuda.memory_allocated(self._device)

    def peak(self) -> int:
        return torch.cuda.max_memory_allocated(self._device)


def memory_of(device: torch.device) -> Memory | None:
    """A device's memory; None for a CPU, whose batches are limited by its caches long before."""
    return CudaMemory(device) if device.type == "cuda" else None


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """Most rows and most ids (prompts and answers) of a batch."""

    rows: int
    tokens: int


class BatchSize:
    """The limits of batches, and how they came about.

    Attributes:
        limits: now.

    Args:
        asked: rows, or ``auto``.
        llm: the language model, with its weights where they will stay.

    Raises:
        AdapterError: neither ``auto`` nor at least 1.
    """

    def __init__(self, asked: int | str, llm: MiniCPMDecoder, memory: Memory | None) -> None:
        if asked != "auto" and (not isinstance(asked, int) or asked < 1):
            raise AdapterError(f"batch_size is {asked}; expected at least 1, or auto.")
        self._is_auto = asked == "auto"
        self._memory = memory
        self._searching = self._is_auto and memory is not None
        self._full: list[MemoryFull] = []
        rows, tokens = asked if isinstance(asked, int) else CPU_ROWS, DEFAULT_TOKENS
        if memory is not None:
            self._weights = memory.allocated()
            free = memory.capacity() - self._weights
            tokens, self._most_tokens = (tokens_that_fit(llm, share * free) for share in (FIRST_SHARE, LAST_SHARE))
            rows = asked if isinstance(asked, int) else min(CUDA_ROWS, max(1, tokens // 512))
        self.limits = BatchLimits(rows, tokens)

    @property
    def batching(self) -> Batching:
        """For the contract."""
        return Batching(self.limits.rows, self._is_auto, self.limits.tokens, tuple(self._full))

    def look(self, batch: Sequence[Asked]) -> None:
        """Grow where memory has room, after a batch was answered."""
        if not self._searching or self._memory is None:
            return
        now = self.limits
        beams = batch[0].request.generation.num_beams
        rows, tokens = len(batch) * beams, ids_of(batch) * beams
        used = max(1, self._memory.peak() - self._weights)
        times = LAST_SHARE * (self._memory.capacity() - self._weights) / used  # as much as that would fit
        if 2 * rows < now.rows and 2 * tokens < now.tokens:
            return  # too small a batch to judge by
        found = BatchLimits(
            _grown(now.rows, rows, times, CUDA_ROWS) if 2 * rows >= now.rows else now.rows,
            _grown(now.tokens, tokens, times, self._most_tokens) if 2 * tokens >= now.tokens else now.tokens,
        )
        self.limits = found
        self._searching = found != now

    def shrink(self, rows: int, error: str) -> None:
        """Memory was full: compute no more rows than this from now on, and search no further."""
        self.limits = replace(self.limits, rows=rows)
        self._full.append(MemoryFull(rows, error))
        self._searching = False


def tokens_that_fit(llm: MiniCPMDecoder, free_bytes: float) -> int:
    """Ids whose keys and values in every layer, and what passes through one layer (about four vectors of the hidden
    size and three of the inner size an id), fill so much memory."""
    config = llm.language_config
    kept = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    passing = 4 * config.hidden_size + 3 * config.intermediate_size
    return max(2048, int(free_bytes) // ((kept + passing) * llm.dtype.itemsize))


def ids_of(batch: Sequence[Asked]) -> int:
    """Ids of a batch's prompts, and those that may still be generated."""
    return sum(len(item.prompt.ids) + item.request.generation.max_new_tokens for item in batch)


def _grown(limit: int, seen: int, times: float, cap: int) -> int:
    """The limit for which there is room, if it is worth a step: ``times`` what was seen would fit."""
    grown = int(min(limit * MOST_GROWTH, seen * times, cap))
    return grown if grown >= limit * LEAST_GROWTH else limit
