"""Keys and values of packs of prompts (packing.py), in buffers with room to grow.

Columns are only ever added. Beside the keys and values it keeps what a query needs to know which columns it may see:
position and slot range of each. Layout per layer: (packs, columns, heads, head_dim), as the projections give them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from model_adapters.omnilmm.packing import ANY, Forest

ROOM = 16  # columns that a buffer grows by at least


@dataclass(slots=True)
class Columns:
    """Position and slot range of columns or of queries, (packs, n) each; see :class:`Forest`."""

    depth: Tensor
    first: Tensor
    last: Tensor

    @classmethod
    def of(cls, forest: Forest, device: torch.device) -> Columns:
        """Those of a forest, in one transfer."""
        stacked = torch.stack([torch.from_numpy(part) for part in (forest.depth, forest.first, forest.last)])
        return cls(*stacked.to(device).unbind(0))

    @classmethod
    def empty(cls, packs: int, n: int, device: torch.device) -> Columns:
        """Columns that nobody sees."""
        shape = (packs, n)
        return cls(
            torch.zeros(shape, dtype=torch.int64, device=device),
            torch.full(shape, ANY, dtype=torch.int64, device=device),
            torch.full(shape, -1, dtype=torch.int64, device=device),
        )

    def __getitem__(self, key: object) -> Columns:
        return Columns(self.depth[key], self.first[key], self.last[key])  # type: ignore[index]

    def gather(self, columns: Tensor) -> Columns:
        """Some columns of each pack, (packs, m)."""
        return Columns(self.depth.gather(1, columns), self.first.gather(1, columns), self.last.gather(1, columns))

    def write(self, at: slice | Tensor, new: Columns) -> None:
        """Put columns into their places: a slice, or indices on the device (which a CUDA graph can replay)."""
        for mine, theirs in ((self.depth, new.depth), (self.first, new.first), (self.last, new.last)):
            _write(mine, at, theirs)


def visible(queries: Columns, keys: Columns) -> Tensor:
    """Which columns each query sees, (packs, queries, keys) bool."""
    slot, depth = queries.first[:, :, None], queries.depth[:, :, None]
    return (keys.first[:, None] <= slot) & (slot <= keys.last[:, None]) & (keys.depth[:, None] <= depth)


def additive(seen: Tensor, dtype: torch.dtype) -> Tensor:
    """A mask as attention kernels add it, (packs, 1, queries, keys); made once, used by all layers.

    Its rows are a multiple of 16 long, of which the keys are a part: CUDA kernels would copy others in every layer.
    """
    packs, queries, keys = seen.shape
    mask = torch.zeros((packs, queries, -(-keys // 16) * 16), dtype=dtype, device=seen.device)[..., :keys]
    return mask.masked_fill_(~seen, -torch.inf)[:, None]


class PackedCache:
    """Keys and values of every layer.

    Args:
        shape: (packs, capacity, heads, head_dim) of each buffer.

    Attributes:
        columns: of all ``capacity`` columns; those not in use are seen by nobody.
        used: how many are in use.
    """

    def __init__(
        self, layers: int, shape: tuple[int, int, int, int], *, dtype: torch.dtype, device: torch.device
    ) -> None:
        self.keys = [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.values = [torch.empty(shape, dtype=dtype, device=device) for _ in range(layers)]
        self.columns = Columns.empty(shape[0], shape[1], device)
        self.used = 0

    @classmethod
    def over(cls, keys: list[Tensor], values: list[Tensor]) -> PackedCache:
        """An empty cache over given buffers."""
        cache = object.__new__(cls)
        cache.keys, cache.values, cache.used = keys, values, 0
        cache.columns = Columns.empty(keys[0].shape[0], keys[0].shape[1], keys[0].device)
        return cache

    @property
    def packs(self) -> int:
        """Number of packs."""
        return self.keys[0].shape[0]

    @property
    def capacity(self) -> int:
        """Columns that fit."""
        return self.keys[0].shape[1]

    def add(self, new: Columns) -> slice:
        """Take columns into use; returns where they are. Buffers that are too short move to longer ones."""
        begin, end = self.used, self.used + new.depth.shape[1]
        if end > self.capacity:
            self._grow(end + max(ROOM, end // 4))
        self.columns.write(slice(begin, end), new)
        self.used = end
        return slice(begin, end)

    def write(self, layer: int, at: slice | Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Put keys and values (packs, new, heads, head_dim) into their columns; returns all that may be attended to."""
        _write(self.keys[layer], at, key)
        _write(self.values[layer], at, value)
        end = at.stop if isinstance(at, slice) else self.capacity
        return self.keys[layer][:, :end], self.values[layer][:, :end]

    def select(self, packs: Tensor, room: int = 0) -> PackedCache:
        """A new cache of these packs, in this order, repeated as given, with room for more columns."""
        chosen = object.__new__(PackedCache)
        chosen.used = self.used
        chosen.keys = [self._picked(buffer, packs, room) for buffer in self.keys]
        chosen.values = [self._picked(buffer, packs, room) for buffer in self.values]
        chosen.columns = Columns.empty(len(packs), self.used + room, packs.device)
        chosen.columns.write(slice(0, self.used), self.columns[:, : self.used][packs])
        return chosen

    def _picked(self, buffer: Tensor, packs: Tensor, room: int) -> Tensor:
        picked = buffer.new_empty((len(packs), self.used + room, *buffer.shape[2:]))
        picked[:, : self.used] = buffer[packs, : self.used]
        return picked

    def _grow(self, capacity: int) -> None:
        everything = torch.arange(self.packs, device=self.columns.depth.device)
        larger = self.select(everything, capacity - self.used)
        self.keys, self.values, self.columns = larger.keys, larger.values, larger.columns


def _write(buffer: Tensor, at: slice | Tensor, new: Tensor) -> None:
    if isinstance(at, slice):
        buffer[:, at] = new
    else:
        buffer.index_copy_(1, at, new)
