"""Choosing the next token from logits: the best one, or one drawn by chance, with a repetition penalty if wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TokenChoice:
    """How the next token is chosen. ``generators`` (one a row) turn greedy search into sampling."""

    repetition_penalty: float = 1.0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    generators: tuple[torch.Generator, ...] | None = None


GREEDY = TokenChoice()


class Picker:
    """Chooses next tokens; remembers which ids each line has had, for the repetition penalty."""

    def __init__(self, choice: TokenChoice, lines: int, vocabulary: int, bos_id: int, device: torch.device) -> None:
        self.choice = choice
        self.had: Tensor | None = None
        if choice.repetition_penalty != 1.0:
            self.had = torch.zeros(lines, vocabulary, dtype=torch.bool, device=device)
            self.had[:, bos_id] = True  # the original's list of ids starts with BOS, and holds none of the prompt

    def keep(self, lines: Tensor) -> None:
        """Forget all but these lines."""
        if self.had is not None:
            self.had = self.had[lines]

    def pick(self, logits: Tensor, rows: Sequence[int]) -> Tensor:
        """One token id for each line of (lines, vocabulary) logits; ``rows`` says which row each line is."""
        if self.had is not None:
            logits = penalise(logits, self.had, self.choice.repetition_penalty)
        if self.choice.generators is None:
            token = logits.argmax(dim=-1)
        else:
            token = self._sample(logits, [self.choice.generators[row] for row in rows])
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
