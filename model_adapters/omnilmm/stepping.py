"""One decoding step of a batch: every row that goes on gets one new column in its pack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model_adapters.omnilmm.forward import Places, run_layers
from model_adapters.omnilmm.graphs import StaticStep, StepGraphs
from model_adapters.omnilmm.kv_cache import ROOM, Columns, PackedCache, additive, visible
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.packing import ANY
from model_adapters.omnilmm.reading import Prefilled


@dataclass(slots=True)
class Grid:
    """Where the rows of a batch are: packs by places, some of them empty where packs are not equally full.

    Attributes:
        cache: keys and values of the packs.
        packs: which of the prompts' packs these are.
        at: (lines,) index of each line into packs x places.
        label: (packs, places) slot of the row there; ANY where there is none.
        position: (packs, places) of the next token.
        highest: the largest position, on the host.
        is_full: each place has a line, and they are in order.
        is_plain: one row a pack and no padding, so that no mask is needed.
        static: the step of fixed shape that holds the cache now, where steps are recorded.
    """

    cache: PackedCache
    packs: list[int]
    at: Tensor
    label: Tensor
    position: Tensor
    highest: int
    is_full: bool
    is_plain: bool
    static: StaticStep | None = None

    @classmethod
    def of(cls, prompts: Prefilled, rows: Sequence[int], device: torch.device) -> Grid:
        """A grid of all packs."""
        return cls._made(prompts, rows, list(range(prompts.cache.packs)), prompts.cache, 0, device)

    def keep(self, prompts: Prefilled, rows: Sequence[int]) -> Grid:
        """A grid of these rows; packs that have none of them are dropped."""
        needed = sorted({prompts.pack[row] for row in rows})
        cache, device = self.cache, self.at.device
        if len(needed) < len(self.packs) or self.static is not None:
            place = {pack: i for i, pack in enumerate(self.packs)}
            chosen = torch.tensor([place[pack] for pack in needed], device=device)
            cache = cache.select(chosen, room=ROOM)
        return self._made(prompts, rows, needed, cache, self.highest - max(prompts.lengths), device)

    @classmethod
    def _made(
        cls,
        prompts: Prefilled,
        rows: Sequence[int],
        packs: list[int],
        cache: PackedCache,
        done: int,
        device: torch.device,
    ) -> Grid:
        """``done``: tokens generated so far."""
        place = {pack: i for i, pack in enumerate(packs)}
        filled: Counter[int] = Counter()
        spots = []
        for row in rows:
            pack = place[prompts.pack[row]]
            spots.append((pack, filled[pack]))
            filled[pack] += 1
        places = max(filled.values())
        order = [pack * places + spot for pack, spot in spots]
        at = torch.tensor(order, device=device)
        # Slot and position of each line, in one transfer.
        told = torch.tensor([[prompts.slot[row], prompts.lengths[row] + done] for row in rows], device=device)
        label = torch.full((len(packs) * places,), ANY, device=device)
        position = torch.zeros_like(label)
        label[at], position[at] = told.unbind(1)
        shape = (len(packs), places)
        highest = max(prompts.lengths) + done
        full = order == list(range(len(packs) * places))
        plain = prompts.is_plain and places == 1
        return cls(cache, packs, at, label.view(shape), position.view(shape), highest, full, plain)

    def step(self, llm: MiniCPMDecoder, token: Tensor, graphs: StepGraphs | None = None, steps: int = 1) -> Tensor:
        """Feed each line's new token, (lines,); hidden states after it, (lines, hidden).

        Args:
            graphs: recorded steps to use.
            steps: how many tokens there may still be.
        """
        if graphs is not None and (self.static is None or self.static.is_full):
            source = self.cache
            if self.static is not None:
                source = source.select(torch.arange(len(self.packs), device=self.at.device), room=ROOM)
            self.static = graphs.begin(source, self.label, self.position, steps)
            self.cache = source if self.static is None else self.static.cache
        places = Places(*self.label.shape, None if self.is_full else self.at)
        if self.static is None:
            hidden = self._eager(llm, token, places)
        else:
            hidden = places.gather(self.static.step(places.spread(token)))
        self.position = self.position + 1
        self.highest += 1
        return hidden

    def _eager(self, llm: MiniCPMDecoder, token: Tensor, places: Places) -> Tensor:
        new = Columns(self.position, self.label, torch.where(self.label < ANY, self.label, -1))
        at = self.cache.add(new)
        embeds = llm.embed(token)  # (lines, hidden)
        mask = None
        if not self.is_plain:
            mask = additive(visible(new, self.cache.columns[:, : self.cache.used]), embeds.dtype)
        rotation = llm.rotation.at(places.gather(self.position), self.highest, embeds.dtype)
        return run_layers(llm, embeds, rotation, places, mask, self.cache, at)
