"""Reading prompts, in packs that share what they have in common (packing.py).

    rows -> packs -> (common beginnings, once) -> all other ids in one pass -> last hidden states

Nothing here depends on a row's company, so a row is read as it would be alone (in fp32; bf16 rounds differently for
other shapes).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from model_adapters.omnilmm.forward import Places, run_layers
from model_adapters.omnilmm.kv_cache import Columns, PackedCache, additive, visible
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.packing import ANY, Forest, Ints, Row, pack_rows, plant

FULL = 0.95  # packs with less padding than this are computed as they are, which saves moving tokens to their places
ROOM_TOKENS = 16  # new tokens per row that a cache has room for from the start


@dataclass(slots=True)
class Prefilled:
    """Prompts that have been read.

    Attributes:
        cache: their keys and values.
        pack, slot: (rows,) where each row is, on the host.
        lengths: (rows,) prompt lengths on the host: the position of the next token.
        last_hidden: (rows, hidden), normalised, of the last prompt token.
        is_plain: each pack is one row without padding, so that decoding needs no mask.
    """

    cache: PackedCache
    pack: list[int]
    slot: list[int]
    lengths: list[int]
    last_hidden: Tensor
    is_plain: bool


def prefill(llm: MiniCPMDecoder, rows: Sequence[Row], features: Tensor | None, *, share: bool = True) -> Prefilled:
    """Read prompts.

    Args:
        rows: at least one.
        features: (images, query_num, hidden), what ``Row.image`` points into.
        share: read what prompts have in common once; False reads every prompt whole and alone.
    """
    num_queries = features.shape[1] if features is not None else 0
    packing = pack_rows(rows, num_queries, most_nodes=most_nodes(llm), share=share)
    start = [0] * len(rows)
    cache = None
    if any(packing.heads):
        cache = _read_heads(llm, rows, packing.packs, packing.heads, packing.group, features)
        for pack, head in zip(packing.packs, packing.heads, strict=True):
            for i in pack:
                start[i] = head
    forest = plant(packing.packs, [row.ids[begin:] for row, begin in zip(rows, start, strict=True)], start)
    room = ROOM_TOKENS * forest.slots
    if cache is None:
        cache = new_cache(llm, forest, room)
    hidden = _read(llm, cache, forest, _slots_of_images(rows, packing.packs, start), features, _ends_by_slot(forest))
    pack, slot = forest.pack.tolist(), forest.slot.tolist()
    return Prefilled(
        cache,
        pack,
        slot,
        [len(row.ids) for row in rows],
        hidden[pack, slot],
        forest.is_chain and bool(forest.real.all()) and cache.used == forest.ids.shape[1],
    )


def most_nodes(llm: MiniCPMDecoder) -> int:
    """Ids of a pack up to which attention among all of them costs little beside the layers' matrices.

    A layer has p weights and 2 p operations an id; scores and mixing cost 4 x hidden_size for each pair of ids. At the
    number returned the pairs cost a fifth of the weights.
    """
    config = llm.language_config
    width = config.hidden_size
    return max(64, (4 * width + 3 * config.intermediate_size) // 30)


def new_cache(llm: MiniCPMDecoder, forest: Forest, room: int) -> PackedCache:
    """An empty cache for a forest, with room for more columns."""
    config = llm.language_config
    packs, width = forest.ids.shape
    shape = (packs, width + room, config.num_key_value_heads, config.head_dim)
    return PackedCache(config.num_hidden_layers, shape, dtype=llm.dtype, device=llm.device)


def _read_heads(
    llm: MiniCPMDecoder,
    rows: Sequence[Row],
    packs: Sequence[Sequence[int]],
    heads: Sequence[int],
    groups: Sequence[int],
    features: Tensor | None,
) -> PackedCache:
    """Read each group's common beginning once and give every pack of the group a copy."""
    first = {group: i for i, group in reversed(list(enumerate(groups))) if heads[i]}  # one pack stands for its group
    order = {group: i for i, group in enumerate(first)}
    stems = [
        Row(rows[packs[i][0]].ids[: heads[i]], rows[packs[i][0]].image, rows[packs[i][0]].image_slot)
        for i in first.values()
    ]
    alone = [[i] for i in range(len(stems))]
    forest = plant(alone, [stem.ids for stem in stems], [0] * len(stems))
    cache = new_cache(llm, forest, 0)
    # Keys and values are all that is wanted, so the last layer need not go on with any id but one.
    one = np.zeros((len(stems), 1), dtype=np.int64)
    _read(llm, cache, forest, _slots_of_images(stems, alone, [0] * len(stems)), features, one)
    shared = cache.select(torch.tensor([order.get(group, 0) for group in groups], device=llm.device))
    has_head = torch.tensor([head > 0 for head in heads], device=llm.device)[:, None]
    real = (shared.columns.last >= 0) & has_head
    shared.columns.first = torch.where(real, -1, ANY)
    shared.columns.last = torch.where(real, ANY, -1)
    return shared


def _read(
    llm: MiniCPMDecoder,
    cache: PackedCache,
    forest: Forest,
    images: Sequence[tuple[int, int, int]],
    features: Tensor | None,
    ends: Ints,
) -> Tensor:
    """Read a forest on top of what a cache holds.

    Args:
        images: see :func:`_slots_of_images`.
        ends: (packs, m) columns whose result is wanted.

    Returns:
        (packs, m, hidden).
    """
    device = llm.device
    packs, width = forest.ids.shape
    kept = forest.real if forest.real.mean() < FULL else np.ones_like(forest.real)
    line = (np.cumsum(kept) - 1).reshape(packs, width)  # of each column's token among the tokens kept
    at = None if kept.all() else torch.from_numpy(np.flatnonzero(kept)).to(device)
    places = Places(packs, width, at)
    embeds = llm.embed(torch.from_numpy(forest.ids[kept]).to(device))  # (tokens, hidden)
    if images and features is not None:
        begin, image = torch.tensor([(line[pack, column], i) for pack, column, i in images], device=device).unbind(1)
        visual = begin[:, None] + torch.arange(features.shape[1], device=device)  # (m, query_num)
        embeds[visual] = features[image].to(embeds.dtype)
    new = Columns.of(forest, device)
    is_causal = cache.used == 0 and forest.is_chain
    columns = cache.add(new)
    keys = cache.columns[:, : cache.used]
    mask = None if is_causal else additive(visible(new, keys), embeds.dtype)
    end_columns, end_lines = torch.from_numpy(np.stack([ends, np.take_along_axis(line, ends, axis=1)])).to(device)
    end_mask = additive(visible(_ends(new, end_columns), keys), embeds.dtype)
    rotation = llm.rotation.at(places.gather(new.depth), int(forest.depth.max()), embeds.dtype)
    hidden = run_layers(llm, embeds, rotation, places, mask, cache, columns, end_lines, end_mask)
    return hidden.unflatten(0, ends.shape)


def _ends(new: Columns, ends: Tensor) -> Columns:
    """The last ids as queries: each belongs to one slot, even where several prompts pass through it."""
    chosen = new.gather(ends)
    return Columns(chosen.depth, torch.arange(ends.shape[1], device=ends.device).expand_as(ends), chosen.last)


def _ends_by_slot(forest: Forest) -> Ints:
    """(packs, slots) column of each row's last id; places without a row repeat the first column."""
    ends = np.zeros((len(forest.ids), forest.slots), dtype=np.int64)
    ends[forest.pack, forest.slot] = forest.end
    return ends


def _slots_of_images(
    rows: Sequence[Row], packs: Sequence[Sequence[int]], start: Sequence[int]
) -> list[tuple[int, int, int]]:
    """(pack, first column, image) of the visual tokens among the new columns; a pack's first row is their path."""
    found = []
    for number, pack in enumerate(packs):
        row = rows[pack[0]]
        if row.image is not None and row.image_slot is not None and row.image_slot >= start[pack[0]]:
            found.append((number, row.image_slot - start[pack[0]], row.image))
    return found


def prompt_embeddings(llm: MiniCPMDecoder, rows: Sequence[Row], features: Tensor | None) -> tuple[Tensor, Tensor]:
    """Whole prompts, padded on the left, and which columns are real: (n, width, hidden), (n, width) bool."""
    width = max(len(row.ids) for row in rows)
    pads = [width - len(row.ids) for row in rows]
    ids = torch.tensor([[0] * pad + list(row.ids) for pad, row in zip(pads, rows, strict=True)], device=llm.device)
    embeds = llm.embed(ids)  # (n, width, hidden)
    for i, row in enumerate(rows):
        if features is not None and row.image is not None and row.image_slot is not None:
            begin = pads[i] + row.image_slot
            embeds[i, begin : begin + features.shape[1]] = features[row.image].to(embeds.dtype)
    real = torch.arange(width, device=llm.device) >= torch.tensor(pads, device=llm.device)[:, None]  # (n, width)
    return embeds, real
