"""Log-likelihood of given continuations: the prompt is read once, each choice only costs its own tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from model_adapters.omnilmm.decoding import Prefilled, causal_mask
from model_adapters.omnilmm.language import MiniCPMDecoder

LINES = 64  # choices that are read at a time


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
    scores = [[first[row, ids[0]].item() for ids in row_choices] for row, row_choices in enumerate(choices)]
    longer = [
        (row, at) for row, row_choices in enumerate(choices) for at, ids in enumerate(row_choices) if len(ids) > 1
    ]
    for begin in range(0, len(longer), LINES):
        lines = longer[begin : begin + LINES]
        sums = _rest_of_choices(llm, prompts, [row for row, _ in lines], [choices[row][at] for row, at in lines])
        for (row, at), value in zip(lines, sums, strict=True):
            scores[row][at] += value
    return scores


def _rest_of_choices(
    llm: MiniCPMDecoder, prompts: Prefilled, rows: Sequence[int], choices: Sequence[Sequence[int]]
) -> list[float]:
    """Log-probability of all ids but the first, per line."""
    width = max(map(len, choices)) - 1
    padded = torch.tensor(
        [[*ids, *[0] * (width + 1 - len(ids))] for ids in choices], device=llm.device
    )  # (m, width + 1)
    real = torch.tensor([[column < len(ids) - 1 for column in range(width)] for ids in choices], device=llm.device)
    after = prompts.select(torch.tensor(rows, device=llm.device))
    seen = torch.cat([after.visible, after.visible.new_ones(len(choices), width)], dim=1)  # (m, columns + width)
    positions = after.lengths[:, None] + torch.arange(width, device=llm.device)  # (m, width)
    hidden = llm.run(llm.embed(padded[:, :-1]), causal_mask(seen, width), positions, after.cache)  # (m, width, hidden)
    logs: Tensor = llm.lm_head(hidden).float().log_softmax(dim=-1)  # (m, width, vocabulary)
    taken = logs.gather(-1, padded[:, 1:, None]).squeeze(-1)  # (m, width)
    sums: list[float] = taken.masked_fill(~real, 0.0).sum(dim=1).tolist()
    return sums
