"""Log-likelihood of given continuations, by the model's own way of generating.

Each continuation is forced token by token through ``generate``, and what the model gave each forced token is noted. So
positions, caches and masks are those of an answer, for every architecture: some treat the prompt as a prefix that sees
itself whole, which one forward pass over prompt and continuation would extend to the continuation.

The first tokens of all choices are read from one pass over the prompt; only choices of two tokens or more cost more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from model_adapters.contract import AdapterError, Request
from model_adapters.transformers_models.generating import on_device
from model_adapters.transformers_models.processing import Encoded

Encode = Callable[[Sequence[Request]], Encoded]


class Forced(LogitsProcessor):
    """Notes the log-probability of each row's next given token, and lets no other be chosen.

    Args:
        rows: ids to force, one or more a row.
        columns: of the prompt.
        end: what to force behind a row's last id.
    """

    def __init__(self, rows: Sequence[Sequence[int]], columns: int, end: int) -> None:
        self._rows, self._columns, self._end = rows, columns, end
        self.logs: list[list[float]] = [[] for _ in rows]
        self.first: Tensor | None = None  # (rows, vocabulary) log-probabilities of the first step

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(rows, vocabulary) scores to 0 for the forced token and -inf for the others."""
        step = input_ids.shape[1] - self._columns
        logs = scores.float().log_softmax(dim=-1)  # (rows, vocabulary)
        if step == 0:
            self.first = logs
        tokens = [row[step] if step < len(row) else self._end for row in self._rows]
        chosen = torch.tensor(tokens, device=scores.device)[:, None]  # (rows, 1)
        for row, (ids, value) in enumerate(zip(self._rows, logs.gather(1, chosen).squeeze(1).tolist(), strict=True)):
            if step < len(ids):
                self.logs[row].append(value)
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


def choice_ids(tokenizer: Any, request: Request) -> list[list[int]]:
    """Tokens of each choice, as they stand alone.

    Raises:
        AdapterError: no choices, or one without a token.
    """
    ids = [tokenizer(choice, add_special_tokens=False)["input_ids"] for choice in request.choices]
    if not ids or not all(ids):
        raise AdapterError(f"Request {request.request_id} has no choices to score, or an empty one: {request.choices}.")
    return ids


def score(
    model: Any,
    tokenizer: Any,
    requests: Sequence[Request],
    encoded: Encoded,
    encode: Encode,
    choices: Sequence[Sequence[Sequence[int]]],
    lines: int,
) -> list[list[float]]:
    """Sums of log-probabilities (natural log) of each request's choices.

    Args:
        encoded: the requests' prompts.
        encode: makes a batch of some of them again, with repetition.
        choices: ids of each request's choices.
        lines: how many longer choices are read at a time.
    """
    first = _forced(model, tokenizer, encoded, [[ids[0] for ids in own][:1] for own in choices]).first
    assert first is not None
    sums = [[first[row, ids[0]].item() for ids in own] for row, own in enumerate(choices)]
    longer = [(row, at) for row, own in enumerate(choices) for at, ids in enumerate(own) if len(ids) > 1]
    for begin in range(0, len(longer), lines):
        part = longer[begin : begin + lines]
        batch = encode([requests[row] for row, _ in part])
        forced = _forced(model, tokenizer, batch, [choices[row][at] for row, at in part])
        for (row, at), logs in zip(part, forced.logs, strict=True):
            sums[row][at] += sum(logs[1:])
    return sums


def _forced(model: Any, tokenizer: Any, encoded: Encoded, rows: Sequence[Sequence[int]]) -> Forced:
    ends = model.generation_config.eos_token_id
    end = ends if isinstance(ends, int) else (ends or [tokenizer.pad_token_id])[0]
    forced = Forced(rows, encoded.inputs["input_ids"].shape[1], end)
    length = max(map(len, rows))
    model.generate(
        **on_device(encoded, model),
        max_new_tokens=length,
        min_new_tokens=length if _holds_end(rows, ends) else None,
        do_sample=False,
        num_beams=1,
        pad_token_id=tokenizer.pad_token_id,
        logits_processor=LogitsProcessorList([forced]),
    )
    return forced


def _holds_end(rows: Sequence[Sequence[int]], ends: int | Sequence[int] | None) -> bool:
    """Whether a continuation holds an end token, at which ``generate`` would stop counting."""
    found = {ends} if isinstance(ends, int) else set(ends or ())
    return any(found & set(row[:-1]) for row in rows)
