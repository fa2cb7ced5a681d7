"""Fast decoding: a batch of prompts that share a beginning, one key/value cache, greedy or sampled tokens.

Questions on one image have the same first ids: BOS, the image, a line break. That prefix is computed once per image
and its keys and values are gathered for each question, so a question costs its own few tokens only:

    columns of the cache:  | prefix (same ids in all rows) | padding | rest of the prompt | generated ... |

The rest is padded on the left, so that all rows end, and go on, in the same column. Padding is masked and positions are
counted without it, hence a row gets the tokens that it would get alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model_adapters.omnilmm.kv_cache import KeyValueCache
from model_adapters.omnilmm.language import MiniCPMDecoder

COMPACT_BELOW = 0.75  # drop finished rows from the cache once fewer than this part of its rows are still being decoded


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


@dataclass(slots=True)
class Prefilled:
    """Prompts that have been read: the cache holds their keys and values.

    Attributes:
        cache: (rows, heads, columns, head_dim) per layer.
        visible: (rows, columns) bool; False where a row is padded.
        lengths: (rows,) real prompt lengths, the position of the next token.
        last_hidden: (rows, hidden), normalised, of the last prompt token.
    """

    cache: KeyValueCache
    visible: Tensor
    lengths: Tensor
    last_hidden: Tensor

    def select(self, rows: Tensor) -> Prefilled:
        """The same for some rows, in the given order, with repetition if wanted."""
        return Prefilled(self.cache.select(rows), self.visible[rows], self.lengths[rows], self.last_hidden[rows])


@dataclass(slots=True)
class Continuation:
    """Generated ids of one row, the end token included, and when each was on the host (seconds, ``perf_counter``)."""

    ids: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    finished: bool = False  # by an end token or a stop condition, not by length


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """How the next token is chosen. ``generators`` (one a row) turn greedy search into sampling."""

    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    generators: tuple[torch.Generator, ...] | None = None


def shared_prefix_length(rows: Sequence[Row], num_queries: int) -> int:
    """Number of first ids that all rows have in common and that leave each row at least one id of its own.

    The visual tokens of an image are never cut in two.
    """
    if len(rows) < 2:
        return 0
    first, last = min(row.ids for row in rows), max(row.ids for row in rows)
    limit = min(len(row.ids) for row in rows) - 1
    length = 0
    while length < limit and first[length] == last[length]:
        length += 1
    for row in rows:
        if row.image_slot is not None and row.image_slot < length < row.image_slot + num_queries:
            length = row.image_slot
    return length


def prefill(llm: MiniCPMDecoder, rows: Sequence[Row], features: Tensor | None, *, share: bool = True) -> Prefilled:
    """Read prompts.

    Args:
        rows: at least one.
        features: (images, query_num, hidden), what ``Row.image`` points into.
        share: compute a common prefix once per image; False reads every prompt whole.
    """
    num_queries = features.shape[1] if features is not None else 0
    prefix = shared_prefix_length(rows, num_queries) if share else 0
    device = llm.device
    if not prefix:
        return _extend(
            llm, KeyValueCache(), torch.zeros(len(rows), 0, dtype=torch.bool, device=device), rows, 0, features
        )
    # One representative row per distinct prefix: prefixes differ by their image only.
    shows_image = any(row.image_slot is not None and row.image_slot < prefix for row in rows)
    keys = [row.image if shows_image else None for row in rows]
    first_with = {key: i for i, key in reversed(list(enumerate(keys)))}
    order = {key: i for i, key in enumerate(first_with)}
    heads = [
        Row(rows[i].ids[:prefix], rows[i].image, rows[i].image_slot if shows_image else None)
        for i in first_with.values()
    ]
    nothing = torch.zeros(len(heads), 0, dtype=torch.bool, device=device)
    shared = _extend(llm, KeyValueCache(), nothing, heads, 0, features)
    gather = torch.tensor([order[key] for key in keys], device=device)
    return _extend(llm, shared.cache.select(gather), shared.visible[gather], rows, prefix, features)


def _extend(
    llm: MiniCPMDecoder, cache: KeyValueCache, visible: Tensor, rows: Sequence[Row], start: int, features: Tensor | None
) -> Prefilled:
    """Read ``row.ids[start:]`` of each row on top of a cache that holds the ids before."""
    embeds, own, pads = _embed(llm, rows, start, features)  # (n, width, hidden), (n, width)
    width = own.shape[1]
    seen = torch.cat([visible, own], dim=1)  # (n, start + width)
    columns = torch.arange(width, device=own.device)
    positions = (start + columns - torch.tensor(pads, device=own.device)[:, None]).clamp(min=0)  # (n, width)
    mask = causal_mask(seen, width) if start or any(pads) else None
    hidden = llm.run(embeds, mask, positions, cache)  # (n, width, hidden)
    lengths = torch.tensor([len(row.ids) for row in rows], device=own.device)
    return Prefilled(cache, seen, lengths, hidden[:, -1])


def prompt_embeddings(llm: MiniCPMDecoder, rows: Sequence[Row], features: Tensor | None) -> tuple[Tensor, Tensor]:
    """Whole prompts, padded on the left, and which columns are real: (n, width, hidden), (n, width) bool."""
    embeds, own, _ = _embed(llm, rows, 0, features)
    return embeds, own


def _embed(
    llm: MiniCPMDecoder, rows: Sequence[Row], start: int, features: Tensor | None
) -> tuple[Tensor, Tensor, list[int]]:
    """Embed ``row.ids[start:]`` with its visual tokens; also which columns are real, and each row's padding."""
    rests = [row.ids[start:] for row in rows]
    width = max(map(len, rests))
    pads = [width - len(rest) for rest in rests]
    ids = torch.tensor([[0] * pad + list(rest) for pad, rest in zip(pads, rests, strict=True)], device=llm.device)
    embeds = llm.embed(ids)  # (n, width, hidden)
    if features is not None:
        _write_features(embeds, rows, pads, start, features)
    own = torch.arange(width, device=llm.device) >= torch.tensor(pads, device=llm.device)[:, None]  # (n, width)
    return embeds, own, pads


def causal_mask(seen: Tensor, width: int) -> Tensor:
    """Causal mask over the visible columns for the last ``width`` queries, (n, 1, width, columns) bool.

    A padded query may see its own column: seeing nothing at all would turn it into NaN. Nobody sees its result.
    """
    total = seen.shape[1]
    causal = torch.ones(width, total, dtype=torch.bool, device=seen.device).tril(diagonal=total - width)
    own = causal.triu(diagonal=total - width)
    return ((causal & seen[:, None, :]) | own)[:, None]


def _write_features(embeds: Tensor, rows: Sequence[Row], pads: Sequence[int], start: int, features: Tensor) -> None:
    """Put visual tokens over their slots, in place, where the slots are among these columns."""
    found = [
        (i, pads[i] + row.image_slot - start, row.image)
        for i, row in enumerate(rows)
        if row.image is not None and row.image_slot is not None and row.image_slot >= start
    ]
    if not found:
        return
    at, first, image = torch.tensor(found, device=embeds.device).unbind(1)  # (m,) each
    slots = first[:, None] + torch.arange(features.shape[1], device=embeds.device)  # (m, query_num)
    embeds[at[:, None], slots] = features[image].to(embeds.dtype)


def decode(
    llm: MiniCPMDecoder,
    prompts: Prefilled,
    *,
    max_new_tokens: Sequence[int],
    eos_id: int,
    bos_id: int,
    choice: TokenChoice = TokenChoice(),
    is_complete: Callable[[int, list[int]], bool] | None = None,
) -> list[Continuation]:
    """Continue prompts token by token; finished rows leave the batch.

    Args:
        max_new_tokens: of each row, >= 1.
        is_complete: asked with the row and its ids after each token; True ends the row (stop strings).

    Returns:
        A continuation of each row, in order.
    """
    rows = [Continuation() for _ in max_new_tokens]
    active = list(range(len(rows)))  # which row each line of the batch belongs to
    picker = _Picker(llm, choice, len(rows), bos_id)
    hidden, padded = prompts.last_hidden, not bool(prompts.visible.all())
    while True:
        token = picker.pick(llm.lm_head(hidden).float(), active)  # (lines,)
        now, ids = _on_host(token)
        for line, row in enumerate(active):
            answer = rows[row]
            if answer.finished or len(answer.ids) >= max_new_tokens[row]:
                continue  # done, and only waiting to be dropped
            answer.ids.append(ids[line])
            answer.times_s.append(now)
            answer.finished = ids[line] == eos_id or (is_complete is not None and is_complete(row, answer.ids))
        going = [line for line, row in enumerate(active) if not _done(rows[row], max_new_tokens[row])]
        if not going:
            return rows
        if len(going) <= COMPACT_BELOW * len(active):
            keep = torch.tensor(going, device=token.device)
            prompts, token = prompts.select(keep), token[keep]
            picker.keep(keep)
            active = [active[line] for line in going]
            padded = padded and not bool(prompts.visible.all())
        prompts.visible = torch.cat([prompts.visible, prompts.visible.new_ones(len(active), 1)], dim=1)
        mask = prompts.visible[:, None, None] if padded else None  # (lines, 1, 1, columns)
        hidden = llm.run(llm.embed(token[:, None]), mask, prompts.lengths[:, None], prompts.cache)[:, -1]
        prompts.lengths = prompts.lengths + 1


def _done(answer: Continuation, limit: int) -> bool:
    return answer.finished or len(answer.ids) >= limit


def _on_host(token: Tensor) -> tuple[float, list[int]]:
    ids: list[int] = token.tolist()
    return time.perf_counter(), ids


class _Picker:
    """Chooses next tokens; remembers which ids each line has had, for the repetition penalty."""

    def __init__(self, llm: MiniCPMDecoder, choice: TokenChoice, lines: int, bos_id: int) -> None:
        self.choice = choice
        self.had: Tensor | None = None
        if choice.repetition_penalty != 1.0:
            self.had = torch.zeros(lines, llm.lm_head.out_features, dtype=torch.bool, device=llm.device)
            self.had[:, bos_id] = True  # the original's list of ids starts with BOS, and holds none of the prompt

    def keep(self, lines: Tensor) -> None:
        """Forget all but these lines."""
        if self.had is not None:
            self.had = self.had[lines]

    def pick(self, logits: Tensor, active: Sequence[int]) -> Tensor:
        """One token id for each line of (lines, vocabulary) logits."""
        if self.had is not None:
            logits = penalise(logits, self.had, self.choice.repetition_penalty)
        if self.choice.generators is None:
            token = logits.argmax(dim=-1)
        else:
            token = self._sample(logits, [self.choice.generators[row] for row in active])
        if self.had is not None:
            self.had.scatter_(1, token[:, None], True)
        return token

    def _sample(self, logits: Tensor, generators: Sequence[torch.Generator]) -> Tensor:
        probabilities = nucleus(logits / self.choice.temperature, self.choice.top_k, self.choice.top_p).softmax(dim=-1)
        lines = probabilities.cpu()  # drawn on the host, so that a seed gives the same draw for every device
        drawn = [torch.multinomial(line, 1, generator=g) for line, g in zip(lines, generators, strict=True)]
        return torch.cat(drawn).to(logits.device)


def penalise(scores: Tensor, had: Tensor, penalty: float) -> Tensor:
    """Repetition penalty (Keskar et al. 2019, CTRL): scores of earlier ids are divided, negative ones multiplied."""
    return torch.where(had, torch.where(scores < 0, scores * penalty, scores / penalty), scores)


def nucleus(logits: Tensor, top_k: int, top_p: float) -> Tensor:
    """Keep the ``top_k`` best ids (0: all), and of these the fewest best whose probability reaches ``top_p``."""
    if top_k > 0:
        worst = logits.topk(min(top_k, logits.shape[-1]), dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < worst, -torch.inf)
    if top_p < 1.0:
        ordered, order = logits.sort(dim=-1, descending=False)
        tail = ordered.softmax(dim=-1).cumsum(dim=-1) <= 1.0 - top_p
        tail[..., -1] = False  # the best id always stays
        logits = logits.masked_fill(tail.scatter(-1, order, tail), -torch.inf)
    return logits
