"""Prompts as trees: what several prompts begin with is read once, and nothing is copied to share it.

A pack is one or more prompts about the same picture. Their ids form a tree: the picture is its trunk, questions branch
where they differ. The tree's nodes stand side by side in one sequence, depth first, so the sequence is as long as the
pack has different beginnings:

    prompts    a b c d      a b c e      a b f
    columns    a    b    c    d    e    f
    depth      0    1    2    3    3    2        position of the id in its prompt
    slots      0-2  0-2  0-1  0    1    2        which prompts of the pack pass through the node, always neighbours

A node sees the columns that lie on its own path to the root: those whose slots contain its slot and that are not
deeper. Keys and values of a node are the same in all prompts that pass through it, so every prompt gets the answer that
it would get alone. Tokens that are generated later are further columns with one slot each.

Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ANY = 2**30  # above every slot: the end of a slot range that holds all prompts, and the slot of padding
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt to be continued.

    Attributes:
        ids: the whole prompt.
        image: which image of the batch it shows; None for text only.
        image_slot: position of the first visual token.
    """

    ids: tuple[int, ...]
    image: int | None = None
    image_slot: int | None = None


@dataclass(frozen=True, slots=True)
class Forest:
    """Packs of prompts as trees, padded on the right to one width.

    Attributes:
        ids, depth, first, last: (packs, width); id, position, and range of slots of each node. Padding has an empty
            range; the very first id of a pack is seen by everything, padding included.
        pack, slot, end: (rows,); where each row is, and the column of its last id.
        slots: rows of the fullest pack.
    """

    ids: Ints
    depth: Ints
    first: Ints
    last: Ints
    pack: Ints
    slot: Ints
    end: Ints
    slots: int

    @property
    def is_chain(self) -> bool:
        """Whether each pack is one prompt, so that "not deeper" is the same as "not to the right"."""
        return self.slots == 1

    @property
    def real(self) -> NDArray[np.bool_]:
        """(packs, width) what is no padding."""
        return self.first < ANY


def plant(packs: Sequence[Sequence[int]], ids: Sequence[Sequence[int]], start: Sequence[int]) -> Forest:
    """Make trees.

    Args:
        packs: the rows of each pack, every row in one of them; rows with a common beginning are neighbours.
        ids: of each row, at least one.
        start: position of each row's first id (what is before it has been read already).
    """
    order = np.asarray([row for pack in packs for row in pack])
    sizes = np.asarray([len(pack) for pack in packs])
    pack_of = np.repeat(np.arange(len(packs)), sizes)  # (n,) like everything below: rows in the order of their packs
    begin_of = np.repeat(np.cumsum(sizes) - sizes, sizes)  # first row of the same pack
    lengths = np.asarray([len(ids[row]) for row in order])
    tokens = np.full((len(order), int(lengths.max())), -1, dtype=np.int64)
    for line, row in enumerate(order):
        tokens[line, : lengths[line]] = ids[row]
    real = tokens >= 0
    is_new = _is_new(tokens, pack_of) & real  # (n, longest): a node is new in the first row that passes through it
    line, column = np.nonzero(is_new)  # nodes of all packs, depth first
    counts = np.bincount(pack_of[line], minlength=len(packs))
    number = np.arange(len(line)) - np.repeat(np.cumsum(counts) - counts, counts)  # node within its pack
    width = int(counts.max())
    forest = {
        "ids": np.zeros((len(packs), width), dtype=np.int64),
        "depth": np.zeros((len(packs), width), dtype=np.int64),
        "first": np.full((len(packs), width), ANY, dtype=np.int64),
        "last": np.full((len(packs), width), -1, dtype=np.int64),
    }
    at = pack_of[line], number
    forest["ids"][at] = tokens[line, column]
    forest["depth"][at] = np.asarray(start)[order][line] + column
    forest["first"][at] = line - begin_of[line]
    forest["last"][at] = _last_line(is_new | ~real, pack_of)[line, column] - begin_of[line]
    rooted = np.asarray(start)[order][np.cumsum(sizes) - sizes] == 0  # such a pack begins with an id of all its rows
    forest["first"][rooted, 0], forest["last"][rooted, 0] = -1, ANY
    # The node of a row's last id is new in this row or in the nearest one before it.
    node = np.zeros(tokens.shape, dtype=np.int64)
    node[line, column] = number
    newest = np.maximum.accumulate(np.where(is_new, np.arange(len(order))[:, None], 0), axis=0)
    ends = node[newest[np.arange(len(order)), lengths - 1], lengths - 1]
    back = np.argsort(order)
    slot = np.arange(len(order)) - begin_of
    return Forest(**forest, pack=pack_of[back], slot=slot[back], end=ends[back], slots=int(sizes.max()))


def _is_new(tokens: Ints, pack_of: Ints) -> NDArray[np.bool_]:
    """(n, longest): False where a row still equals the row before it in the same pack."""
    same = (tokens[1:] == tokens[:-1]) & (pack_of[1:] == pack_of[:-1])[:, None]
    return np.concatenate([np.ones_like(tokens[:1], dtype=bool), ~np.logical_and.accumulate(same, axis=1)])


def _last_line(breaks: NDArray[np.bool_], pack_of: Ints) -> Ints:
    """(n, longest): for a node that is new in a row, the last row that passes through it."""
    n = len(pack_of)
    breaks = breaks.copy()
    breaks[1:] |= (pack_of[1:] != pack_of[:-1])[:, None]
    lines = np.where(breaks, np.arange(n)[:, None], n)
    after = np.concatenate([lines[1:], np.full_like(lines[:1], n)])
    return np.minimum.accumulate(after[::-1], axis=0)[::-1] - 1


@dataclass(frozen=True, slots=True)
class Packing:
    """How the rows of a batch are read.

    Attributes:
        packs: rows of each pack.
        heads: of each pack, how many first ids are read beforehand, once for all packs of the same group; 0: none.
        group: of each pack, which group it belongs to.
    """

    packs: list[list[int]]
    heads: list[int]
    group: list[int]


def pack_rows(rows: Sequence[Row], num_queries: int, *, most_nodes: int, share: bool = True) -> Packing:
    """Put rows about the same picture into packs of at most ``most_nodes`` ids beside their common beginning.

    Attention is computed between all columns of a pack, so packs must not grow without bound; a group of rows that
    needs several packs has its common beginning read once before, and copied to each.

    Args:
        num_queries: visual tokens of a picture; rows of a group have all of them in common.
        share: False leaves each row alone.
    """
    if not share:
        return Packing([[i] for i in range(len(rows))], [0] * len(rows), list(range(len(rows))))
    packs: list[list[int]] = []
    heads, group_of = [], []
    for number, members in enumerate(_groups(rows, num_queries)):
        head = common_length([rows[i].ids for i in members]) if len(members) > 1 else 0
        split = _split(members, [len(rows[i].ids) - head for i in members], most_nodes)
        packs += split
        heads += [head if len(split) > 1 else 0] * len(split)
        group_of += [number] * len(split)
    return Packing(packs, heads, group_of)


LEAST_SHARED = 8  # a common beginning of fewer ids is not worth being together


def _groups(rows: Sequence[Row], num_queries: int) -> list[list[int]]:
    """Rows that have a picture, and all before it, in common; rows of text that begin alike."""
    pictured: dict[object, list[int]] = {}
    text: list[int] = []
    for i, row in enumerate(rows):
        if row.image is None or row.image_slot is None:
            text.append(i)
        else:
            pictured.setdefault((row.image, row.ids[: row.image_slot + num_queries]), []).append(i)
    groups = [sorted(group, key=lambda i: rows[i].ids) for group in pictured.values()]
    before: tuple[int, ...] = ()
    for i in sorted(text, key=lambda i: rows[i].ids):
        if before[:LEAST_SHARED] != rows[i].ids[:LEAST_SHARED] or len(before) <= LEAST_SHARED:
            groups.append([])
        groups[-1].append(i)
        before = rows[i].ids
    return groups


def _split(members: Sequence[int], own: Sequence[int], most: int) -> list[list[int]]:
    """Neighbouring rows in packs of about equal load, about ``most`` ids at most."""
    total, begin, packs = sum(own), 0, dict[int, list[int]]()
    number = -(-total // most)
    for i, length in zip(members, own, strict=True):
        packs.setdefault((2 * begin + length) * number // (2 * total), []).append(i)
        begin += length
    return list(packs.values())


def common_length(sequences: Sequence[Sequence[int]]) -> int:
    """Number of first ids that all sequences have in common and that leave each at least one of its own."""
    first, last = min(sequences), max(sequences)
    limit = min(map(len, sequences)) - 1
    length = 0
    while length < limit and first[length] == last[length]:
        length += 1
    return length
