"""Beam search, by transformers' ``generate``, with the original's repetition penalty.

The original gives ``generate`` embeddings only. Its list of ids then starts with BOS, so the penalty covers BOS and
what was generated, and never the prompt. Today's ``generate`` starts with an empty list; the processor here puts BOS
back.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.generation.configuration_utils import GenerationConfig
from transformers.generation.logits_process import LogitsProcessor, LogitsProcessorList

from model_adapters.omnilmm.choosing import penalise
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.reading import prompt_embeddings


class OriginalRepetitionPenalty(LogitsProcessor):
    """The penalty over BOS and generated ids."""

    def __init__(self, penalty: float, bos_id: int) -> None:
        self.penalty = penalty
        self.bos_id = bos_id

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """(beams, generated), (beams, vocabulary) -> (beams, vocabulary)."""
        had = torch.zeros_like(scores, dtype=torch.bool)
        had[:, self.bos_id] = True
        had.scatter_(1, input_ids, True)
        return penalise(scores, had, self.penalty)


def beam_search(
    llm: MiniCPMDecoder,
    rows: Sequence[Row],
    features: Tensor | None,
    *,
    max_new_tokens: int,
    num_beams: int,
    repetition_penalty: float,
) -> list[list[int]]:
    """The best continuation of each prompt, its end token included.

    Args:
        rows: prompts; unequal lengths are padded on the left and masked.
        features: (images, query_num, hidden), what ``Row.image`` points into.
    """
    config = llm.language_config
    embeds, mask = prompt_embeddings(llm, rows, features)  # (n, width, hidden), (n, width)
    processors = LogitsProcessorList()
    if repetition_penalty != 1.0:
        processors.append(OriginalRepetitionPenalty(repetition_penalty, config.bos_token_id))
    settings = GenerationConfig(
        max_new_tokens=max_new_tokens,
        num_beams=num_beams,
        do_sample=False,
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=0,
    )
    generated = llm.generate(
        inputs_embeds=embeds, attention_mask=mask.long(), generation_config=settings, logits_processor=processors
    )
    return [_until_end(ids, config.eos_token_id) for ids in generated.tolist()]


def _until_end(ids: list[int], eos_id: int) -> list[int]:
    """Cut the padding behind the end token."""
    return ids[: ids.index(eos_id) + 1] if eos_id in ids else ids
