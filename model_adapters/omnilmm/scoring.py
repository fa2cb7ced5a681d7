"""Log-likelihoods of given continuations after read prompts: no token is generated."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model_adapters.omnilmm.forward import Places, run_layers
from model_adapters.omnilmm.kv_cache import Columns, additive, visible
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.packing import ANY
from model_adapters.omnilmm.reading import Prefilled


def choice_log_likelihoods(
    llm: MiniCPMDecoder, prompts: Prefilled, choices: Sequence[Sequence[Sequence[int]]]
) -> list[list[float]]:
    """Sum of log-probabilities (natural log) of each choice's ids after its prompt.

    Args:
        prompts: read prompts, (rows); left unchanged.
        choices: for each row, its choices as ids, each at least one id long.

    Returns:
        For each row, one sum per choice. No end token is added: "A" is scored as the beginning of an answer.
    """
    first = llm.lm_head(prompts.last_hidden).float().log_softmax(dim=-1)  # (rows, vocabulary)
    asked = [(row, ids[0]) for row, row_choices in enumerate(choices) for ids in row_choices]
    at, ids = torch.tensor(asked, device=llm.device).unbind(1)
    begins = iter(first[at, ids].tolist())
    scores = [[next(begins) for _ in row_choices] for row_choices in choices]
    for number in range(max(map(len, choices))):  # the rows' first choices together, then their second ones ...
        longer = {row: c[number] for row, c in enumerate(choices) if number < len(c) and len(c[number]) > 1}
        if longer:
            for row, value in _rest_of_choices(llm, prompts, longer).items():
                scores[row][number] += value
    return scores


def _rest_of_choices(llm: MiniCPMDecoder, prompts: Prefilled, chosen: dict[int, Sequence[int]]) -> dict[int, float]:
    """Log-probability of all ids but the first of one choice per row, read as new columns that are given up again."""
    cache, device = prompts.cache, llm.device
    nodes: list[list[tuple[int, int, int, int]]] = [[] for _ in range(cache.packs)]  # id, position, slot, next id
    place: dict[int, tuple[int, int]] = {}
    for row, ids in chosen.items():
        pack = nodes[prompts.pack[row]]
        place[row] = prompts.pack[row], len(pack)
        pack += [(i, prompts.lengths[row] + k, prompts.slot[row], ids[k + 1]) for k, i in enumerate(ids[:-1])]
    width = max(map(len, nodes))
    padded = torch.tensor([pack + [(0, 0, ANY, 0)] * (width - len(pack)) for pack in nodes], device=device)
    ids, position, slot, following = padded.unbind(-1)  # (packs, width) each
    new = Columns(position, slot, torch.where(slot < ANY, slot, -1))
    before = cache.used
    at = cache.add(new)
    embeds = llm.embed(ids.flatten())
    mask = additive(visible(new, cache.columns[:, : cache.used]), embeds.dtype)
    rotation = llm.rotation.at(position.flatten(), int(max(prompts.lengths)) + width, embeds.dtype)
    hidden = run_layers(llm, embeds, rotation, Places(*ids.shape), mask, cache, at).unflatten(0, ids.shape)
    cache.used = before
    logs: Tensor = llm.lm_head(hidden).float().log_softmax(dim=-1)  # (packs, width, vocabulary)
    taken = logs.gather(-1, following[..., None]).squeeze(-1).tolist()
    return {row: sum(taken[pack][begin : begin + len(chosen[row]) - 1]) for row, (pack, begin) in place.items()}
