"""Several questions on one picture in one sequence.

    <s><用户><image>...</image>\\n | question 1 <AI> answer 1 </s> | question 2 <AI> answer 2 </s> | ...

Every question sees the picture's prefix and itself, and its positions go on where the prefix ends, as if it stood
alone: the picture is encoded once for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import torch

from model_adapters.omnilmm.tokenizer import OmniTokenizer

MASKED = -1e9
FULL_WEIGHT_TOKENS = 6  # a longer answer weighs as much as one of this length


@dataclass(frozen=True, slots=True)
class Packed:
    """A batch of packed sequences.

    Attributes:
        ids: (n, length) int64.
        positions: (n, length) int64.
        mask: (n, 1, length, length) float32, added to the attention scores.
        targets: (n, length) int64: the id that should follow, or -100 where nothing is learnt.
        weights: (n, length) float32: of each target in the loss. Without them captions would drown letters and yes/no.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor


class Packer:
    """Turns questions into packed sequences with one tokenizer."""

    def __init__(self, tokenizer: OmniTokenizer, query_num: int) -> None:
        self.tokenizer = tokenizer
        opening = [tokenizer.bos_id, *tokenizer.encode_text("<用户>"), tokenizer.image_start_id]
        self.image_start = len(opening)
        self.prefix = [*opening, *[tokenizer.unk_id] * query_num, tokenizer.image_end_id, *tokenizer.encode_text("\n")]
        self._ids = lru_cache(maxsize=200_000)(lambda text: tuple(tokenizer.encode_text(text)))

    def prompt_ids(self, question: str) -> list[int]:
        """Return the ids of a whole prompt about a picture, up to where the answer starts."""
        return [*self.prefix, *self._ids(question + "<AI>")]

    def pack(self, batch: list[list[tuple[str, str]]]) -> Packed:
        """Pack the questions of each picture."""
        rows = [[self._segment(question, answer) for question, answer in questions] for questions in batch]
        start = len(self.prefix)
        length = start + max(sum(len(ids) for ids, _ in row) for row in rows)
        ids = torch.full((len(rows), length), self.tokenizer.unk_id)
        targets = torch.full((len(rows), length), -100)
        weights = torch.zeros((len(rows), length))
        positions = torch.zeros((len(rows), length), dtype=torch.long)
        segment = torch.full((len(rows), length), -1)
        ids[:, :start] = torch.tensor(self.prefix)
        positions[:, :start] = torch.arange(start)
        segment[:, :start] = 0
        for row, segments in enumerate(rows):
            at = start
            for number, (tokens, first_answer) in enumerate(segments, start=1):
                end = at + len(tokens)
                ids[row, at:end] = torch.tensor(tokens)
                positions[row, at:end] = torch.arange(start, start + len(tokens))
                targets[row, at + first_answer - 1 : end - 1] = torch.tensor(tokens[first_answer:])
                weights[row, at:end] = min(1.0, FULL_WEIGHT_TOKENS / (len(tokens) - first_answer))
                segment[row, at:end] = number
                at = end
        seen = (segment[:, None, :] == 0) | (segment[:, None, :] == segment[:, :, None])  # (n, from, to)
        seen &= torch.ones(length, length, dtype=torch.bool).tril()
        mask = torch.zeros(len(rows), 1, length, length).masked_fill_(~seen[:, None], MASKED)
        return Packed(ids, positions, mask, targets, weights)

    def _segment(self, question: str, answer: str) -> tuple[list[int], int]:
        prompt = self._ids(question + "<AI>")
        return [*prompt, *self._ids(answer), self.tokenizer.eos_id], len(prompt)
