"""Decoding steps of a fixed shape over buffers that stay where they are, so that CUDA can record and replay them.

A step of a large model at a small batch is some thousand kernels of a few microseconds each; replaying a recorded
graph saves the host's time for launching them. A recorded step wants the same addresses and shapes every time: packs
and columns are rounded up to a few sizes, all columns are attended to with those not in use masked, and the place of
the new columns is a number on the device. On other devices the same step runs without being recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from model_adapters.omnilmm.forward import Places, run_layers
from model_adapters.omnilmm.kv_cache import Columns, PackedCache, additive, visible
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.packing import ANY

COLUMNS = 256  # capacities are multiples of this
STEPS = 128  # new tokens per row that a buffer is made for at once
MOST_COLUMNS = 8192


@dataclass(frozen=True, slots=True)
class Shape:
    """Packs, rows a pack, columns a pack."""

    packs: int
    places: int
    capacity: int


class StaticStep:
    """One step of one shape, with its buffers.

    Attributes:
        cache: keys and values, at a fixed address.
        ids, label, position: (packs, places) of the tokens that are fed.
        hidden: (packs, places, hidden_size) after the last step.
    """

    hidden: Tensor

    def __init__(self, llm: MiniCPMDecoder, shape: Shape, cache: PackedCache) -> None:
        self.shape, self.cache = shape, cache
        self._llm = llm
        places = (shape.packs, shape.places)
        self.ids = torch.zeros(places, dtype=torch.int64, device=llm.device)
        self.position = torch.zeros_like(self.ids)
        self.label = torch.full_like(self.ids, ANY)
        self._at = torch.arange(shape.places, device=llm.device)
        # Room in the table for every position that the columns can hold, so that it is never made anew.
        self._highest = llm.language_config.max_position_embeddings + shape.capacity
        self._replay: Callable[[], None] | None = None

    def take(self, source: PackedCache, label: Tensor, position: Tensor) -> None:
        """Begin from another cache's columns; packs beyond the source's see one column of zeros."""
        packs, used = source.packs, source.used
        for mine, theirs in zip((*self.cache.keys, *self.cache.values), (*source.keys, *source.values), strict=True):
            mine[:packs, :used] = theirs[:, :used]
            mine[packs:, 0] = 0
        columns = Columns.empty(self.shape.packs, self.shape.capacity, self._llm.device)
        columns[:packs, :used].write(slice(None), source.columns[:, :used])
        columns[packs:, :1].write(
            slice(None), Columns(position.new_zeros(1), position.new_full((1,), -1), position.new_full((1,), ANY))
        )
        self.cache.columns.write(slice(None), columns)
        self.cache.used = used
        self.label.fill_(ANY)
        self.position.zero_()
        self.label[:packs, : label.shape[1]] = label
        self.position[:packs, : label.shape[1]] = position
        self._at.copy_(torch.arange(used, used + self.shape.places, device=self._at.device))

    @property
    def is_full(self) -> bool:
        """Whether another step has no room."""
        return self.cache.used + self.shape.places > self.shape.capacity

    def step(self, ids: Tensor) -> Tensor:
        """Feed one token a place, (source packs, source places); hidden states of the same places."""
        packs, places = ids.shape
        self.ids[:packs, :places] = ids
        if self._replay is None:
            self._replay = recorded(self._compute, self._llm.device)
        self._replay()
        self.cache.used += self.shape.places
        self.position += 1
        self._at += self.shape.places
        return self.hidden[:packs, :places]

    def _compute(self) -> None:
        llm, columns = self._llm, self.cache.columns
        new = Columns(self.position, self.label, torch.where(self.label < ANY, self.label, -1))
        columns.write(self._at, new)
        embeds = llm.embed(self.ids.flatten())
        mask = additive(visible(new, columns), embeds.dtype)
        rotation = llm.rotation.at(self.position.flatten(), self._highest, embeds.dtype)
        places = Places(self.shape.packs, self.shape.places)
        hidden = run_layers(llm, embeds, rotation, places, mask, self.cache, self._at)
        self.hidden = hidden.unflatten(0, (self.shape.packs, self.shape.places))


def recorded(step: Callable[[], None], device: torch.device) -> Callable[[], None]:
    """A step as a CUDA graph; on other devices the step itself. It is run before it is recorded, as CUDA asks for.

    It is recorded on a stream of its own device (torch's own recording stream belongs to whichever device was current
    first), and other threads may allocate meanwhile.
    """
    if device.type != "cuda":
        return step
    with torch.cuda.device(device):
        stream: Any = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            step()
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            step()
    replay: Callable[[], None] = graph.replay
    return replay


class StepGraphs:
    """Static steps by shape. They share one piece of memory, since only one is in use at a time."""

    def __init__(self, llm: MiniCPMDecoder) -> None:
        self._llm = llm
        self._steps: dict[Shape, StaticStep] = {}
        self._memory = torch.empty(0)

    def begin(self, source: PackedCache, label: Tensor, position: Tensor, steps: int) -> StaticStep | None:
        """The step that continues from a cache, its columns copied; None where its buffers would be too long.

        Args:
            source: of no static step: its memory may be the memory that the columns go to.
            label, position: (packs, places), see :class:`Grid`.
            steps: tokens that there may still be.
        """
        packs, places = label.shape
        needed = source.used + places * min(steps, STEPS)
        shape = Shape(1 << (packs - 1).bit_length(), places, -(-needed // COLUMNS) * COLUMNS)
        if shape.capacity > MOST_COLUMNS:
            return None
        if shape not in self._steps:
            self._steps[shape] = StaticStep(self._llm, shape, self._cache(shape))
        self._steps[shape].take(source, label, position)
        return self._steps[shape]

    def forget(self) -> None:
        """Give the memory back; steps are recorded again when they are needed."""
        self._steps.clear()
        self._memory = torch.empty(0)

    def _cache(self, shape: Shape) -> PackedCache:
        config = self._llm.language_config
        layers, size = (
            config.num_hidden_layers,
            (
                shape.packs,
                shape.capacity,
                config.num_key_value_heads,
                config.head_dim,
            ),
        )
        one = shape.packs * shape.capacity * size[2] * size[3]
        if self._memory.numel() < 2 * layers * one:
            self.forget()  # their addresses go with the memory
            self._memory = torch.zeros(2 * layers * one, dtype=self._llm.dtype, device=self._llm.device)
        parts = [self._memory[i * one : (i + 1) * one].view(size) for i in range(2 * layers)]
        return PackedCache.over(parts[:layers], parts[layers:])
