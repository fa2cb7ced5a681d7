"""What a card could do at most: the larger of operations over peak and bytes over bandwidth, stage by stage."""

from __future__ import annotations

from typing import Any

import torch

from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.costs import work_of

# Dense bf16 operations a second and bytes a second. H200: measured on one; others: the makers' data sheets.
PEAKS = {
    "H200": (790e12, 4.3e12),
    "H100 80GB HBM3": (989e12, 3.35e12),
    "A100-SXM4-80GB": (312e12, 2.04e12),
    "L40S": (362e12, 0.864e12),
    "L4": (121e12, 0.30e12),
}


def peaks_of(card: str | None) -> tuple[float, float] | None:
    """Peaks of a card by the name that CUDA gives; None for one that is not in the table."""
    if card is None:
        return None
    return next((peaks for name, peaks in PEAKS.items() if name in card.replace("NVIDIA ", "")), None)


def limit_per_s(
    scenario: Any, config: OmniLMMConfig, dtype: torch.dtype, peaks: tuple[float, float] | None
) -> float | None:
    """Samples a second, with every picture encoded once and every common beginning read once.

    Args:
        scenario: with text_tokens, shared_tokens, new_tokens, questions and batch.
    """
    if peaks is None:
        return None
    flops, bandwidth = peaks
    work = work_of(config, dtype)
    pictures = max(1.0, scenario.batch / scenario.questions)  # of a batch
    head = config.query_num + 8  # BOS, marks and the picture
    own = scenario.text_tokens - scenario.shared_tokens
    read = pictures * (head + scenario.shared_tokens) + scenario.batch * own
    context = head + scenario.text_tokens
    attention = scenario.batch * own * context / 2 + pictures * (head + scenario.shared_tokens) ** 2 / 2
    vision_s = max(pictures * work.vision_flops / flops, work.vision_weight_bytes / bandwidth)
    prefill = read * work.token_flops + attention * work.attention_flops + scenario.batch * work.head_flops
    prefill_s = max(prefill / flops, work.step_weight_bytes / bandwidth)
    seen = context + scenario.new_tokens / 2
    step_bytes = work.step_weight_bytes + scenario.batch * seen * work.kv_bytes_per_token
    step_flops = scenario.batch * (work.token_flops + work.head_flops + seen * work.attention_flops)
    step_s = max(step_bytes / bandwidth, step_flops / flops)
    return scenario.batch / (vision_s + prefill_s + (scenario.new_tokens - 1) * step_s)
