"""Keys and values of a batch, kept in buffers with room to grow.

It speaks the one call that transformers' attention layers make, ``update``, and can take rows out, put rows together
and repeat them, which is what prefix sharing and dropping finished rows need.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ROOM = 32  # columns that a buffer is made longer than needed, so that decoding rarely moves it


class KeyValueCache:
    """One buffer (rows, heads, columns, head_dim) of keys and one of values per layer."""

    def __init__(self) -> None:
        self._keys: list[Tensor] = []
        self._values: list[Tensor] = []
        self._used: list[int] = []

    def __len__(self) -> int:
        """Columns in use."""
        return self._used[0] if self._used else 0

    def update(self, key: Tensor, value: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add columns to one layer, (rows, heads, new, head_dim) each; returns all of that layer."""
        if layer == len(self._keys):
            self._keys.append(key)
            self._values.append(value)
            self._used.append(key.shape[2])
            return key, value
        begin = self._used[layer]
        end = begin + key.shape[2]
        if end > self._keys[layer].shape[2]:
            self._keys[layer] = _with_room(self._keys[layer], begin, end)
            self._values[layer] = _with_room(self._values[layer], begin, end)
        self._keys[layer][:, :, begin:end] = key
        self._values[layer][:, :, begin:end] = value
        self._used[layer] = end
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def select(self, rows: Tensor) -> KeyValueCache:
        """A new cache with these rows, in this order, repeated as given."""
        chosen = KeyValueCache()
        chosen._used = list(self._used)
        chosen._keys = [buffer[:, :, :used][rows] for buffer, used in zip(self._keys, self._used, strict=True)]
        chosen._values = [buffer[:, :, :used][rows] for buffer, used in zip(self._values, self._used, strict=True)]
        return chosen


def _with_room(buffer: Tensor, used: int, needed: int) -> Tensor:
    rows, heads, _, width = buffer.shape
    # Long answers move the buffer less and less often; a short one wastes at most ROOM columns.
    larger = torch.empty(rows, heads, needed + max(ROOM, needed // 8), width, dtype=buffer.dtype, device=buffer.device)
    larger[:, :, :used] = buffer[:, :, :used]
    return larger
