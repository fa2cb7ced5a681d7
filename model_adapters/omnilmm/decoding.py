"""Continuing prompts token by token: one new column per row and step.

Rows that are finished leave, packs without rows leave. A row gets the tokens that it would get alone (in fp32; bf16
rounds differently for other shapes).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from model_adapters.omnilmm.choosing import GREEDY, Picker, TokenChoice
from model_adapters.omnilmm.graphs import StepGraphs
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.reading import Prefilled
from model_adapters.omnilmm.stepping import Grid

COMPACT_BELOW = 0.75  # repack once fewer than this part of the places are still in use
GRAPH_STEPS = 4  # fewer tokens than this are not worth copying the cache to where graphs are recorded


@dataclass(slots=True)
class Continuation:
    """Generated ids of one row, the end token included, and when each was on the host (seconds, ``perf_counter``)."""

    ids: list[int] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    finished: bool = False  # by an end token or a stop condition, not by length


def decode(
    llm: MiniCPMDecoder,
    prompts: Prefilled,
    *,
    max_new_tokens: Sequence[int],
    eos_id: int,
    bos_id: int,
    choice: TokenChoice = GREEDY,
    is_complete: Callable[[int, list[int]], bool] | None = None,
    graphs: StepGraphs | None = None,
) -> list[Continuation]:
    """Continue prompts token by token. The prompts' cache is used up.

    Args:
        max_new_tokens: of each row, >= 1.
        is_complete: asked with the row and its ids after each token; True ends the row (stop strings).
        graphs: recorded steps to use where answers may be long enough to be worth it.

    Returns:
        A continuation of each row, in order.
    """
    rows = [Continuation() for _ in max_new_tokens]
    lines = list(range(len(rows)))  # the rows that have a place in the batch
    picker = Picker(choice, len(rows), llm.lm_head.out_features, bos_id, llm.device)
    grid = Grid.of(prompts, lines, llm.device)
    hidden = prompts.last_hidden  # (lines, hidden)
    while True:
        token = picker.pick(llm.lm_head(hidden).float(), lines)  # (lines,)
        now, ids = _on_host(token)
        for line, row in enumerate(lines):
            answer = rows[row]
            if answer.finished or len(answer.ids) >= max_new_tokens[row]:
                continue  # done, and only waiting to be dropped
            answer.ids.append(ids[line])
            answer.times_s.append(now)
            answer.finished = ids[line] == eos_id or (is_complete is not None and is_complete(row, answer.ids))
        going = [line for line, row in enumerate(lines) if not _done(rows[row], max_new_tokens[row])]
        if not going:
            return rows
        if len(going) <= COMPACT_BELOW * len(lines):
            keep = torch.tensor(going, device=token.device)
            token = token[keep]
            picker.keep(keep)
            lines = [lines[line] for line in going]
            grid = grid.keep(prompts, lines)
        left = max(max_new_tokens[row] - len(rows[row].ids) for row in lines)
        hidden = grid.step(llm, token, graphs if left >= GRAPH_STEPS or grid.static is not None else None, left)


def _done(answer: Continuation, limit: int) -> bool:
    return answer.finished or len(answer.ids) >= limit


def _on_host(token: Tensor) -> tuple[float, list[int]]:
    ids: list[int] = token.tolist()
    return time.perf_counter(), ids
