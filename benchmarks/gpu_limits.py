"""What a card could do at most: the larger of operations over peak and bytes over bandwidth, stage by stage.

Every picture is encoded once and every common beginning read once. Weights are read once a stage; a prompt's keys and
values are written, and in decoding those of each pack are read once for all its rows, at the answers' mean length.
Peaks: :mod:`evals.perf.cards`, the reached ones where somebody measured the card, else the published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from evals.perf.cards import card_peaks
from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.costs import work_of

Peaks = tuple[float, float]  # bf16 operations a second, bytes a second


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many samples a second; at batch 1 at least so many ms to the first token, and for each further one."""

    samples_per_s: float
    ttft_ms: float
    tpot_ms: float


def peaks_of(card: str | None) -> Peaks | None:
    """Peaks of a card by the name that CUDA gives; None for one that is not in the table."""
    known = card_peaks(card)
    if known is None:
        return None
    if known.reached is not None:
        return known.reached[0] * 1e12, known.reached[1] * 1e9
    tflops = known.bf16 or known.fp16
    return tflops * 1e12, known.bandwidth_gb_s * 1e9


def limits_of(
    scenario: Any, config: OmniLMMConfig, dtype: torch.dtype, peaks: Peaks | None, *, whole: bool = False
) -> Limits | None:
    """The limits of a scenario; None without peaks.

    Args:
        scenario: with prompt_tokens, shared_tokens, new_tokens, questions and batch.
        whole: count the last layer whole for all tokens of a prompt, as models compute it that leave nothing out. The
            engine leaves out most of it (costs.py), so its own limit is 0.5 to 1.5 % higher in batches.
    """
    if peaks is None:
        return None
    flops, bandwidth = peaks
    work, rows = work_of(config, dtype), scenario.batch
    pictures = max(1.0, rows / scenario.questions)  # of a batch
    shared = scenario.shared_tokens if scenario.questions > 1 else 0
    own = scenario.prompt_tokens - shared
    read = pictures * shared + rows * own
    pairs = pictures * shared * (shared + 1) / 2 + rows * (own * shared + own * (own + 1) / 2)
    prefill = read * work.token_flops + pairs * work.attention_flops + rows * work.head_flops
    if not whole:
        prefill -= work.spared_flops * (read - rows) + work.spared_attention_flops * (pairs - rows * (shared + own))
    vision_s = max(pictures * work.vision_flops / flops, work.vision_weight_bytes / bandwidth)
    prefill_s = max(prefill / flops, (work.step_weight_bytes + read * work.kv_bytes_per_token) / bandwidth)
    answers = scenario.new_tokens / 2
    columns = pictures * shared + rows * (own + answers)
    step_bytes = work.step_weight_bytes + columns * work.kv_bytes_per_token
    step_flops = rows * work.decode_flops(scenario.prompt_tokens + answers)
    step_s = max(step_bytes / bandwidth, step_flops / flops)
    batch_s = vision_s + prefill_s + (scenario.new_tokens - 1) * step_s
    return Limits(rows / batch_s, 1000 * (vision_s + prefill_s), 1000 * step_s)
