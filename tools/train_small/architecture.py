"""The small OmniLMM's sizes, and the start that lets it learn to read."""

from __future__ import annotations

import torch
from torch import nn
from transformers import SiglipVisionModel

from evals.data.generated.scenes import IMAGE_SIZE_PX
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig, VisionConfig
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.resampler import Resampler
from model_adapters.omnilmm.vision import VisionTower

_FREQUENCIES = (
    8  # of the position table that the resampler's heads start from: 2 axes × (sine, cosine) × 8 = head width
)
_PEAK = 16.0  # the neighbouring patch starts 4 below the patch aimed at (half a query step away), before the softmax
_BROAD_PEAK = 4.0


def small_config(vocab_size: int) -> OmniLMMConfig:
    """Return the architecture: 3.3 M parameters, 64 patches of 8 × 8 px, 16 visual tokens."""
    language = LanguageConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        dim_model_base=96,
    )
    vision = VisionConfig(
        hidden_size=128,
        num_hidden_layers=6,  # five stored, as the last is dropped
        num_attention_heads=4,
        intermediate_size=512,
        patch_size=8,
        image_size=IMAGE_SIZE_PX,
    )
    return OmniLMMConfig(language, vision, image_size=IMAGE_SIZE_PX, query_num=16, resampler_num_heads=6)


def build_vision() -> SiglipVisionModel:
    """Build the vision tower alone, with fresh weights."""
    vision = VisionTower(small_config(vocab_size=640)).siglip
    use_plain_attention(vision)
    return vision


def build_model(vocab_size: int, seed: int) -> OmniLMM:
    """Build the whole model with fresh weights and the resampler as a local patch merger."""
    model = OmniLMM.from_config(small_config(vocab_size), seed)
    start_as_patch_merger(model.resampler)
    use_plain_attention(model.vpm.siglip)
    use_plain_attention(model.llm)
    return model


def use_plain_attention(module: nn.Module) -> None:
    """Compute attention with plain matrix products.

    The backward pass of the fused CPU kernel takes five times as long at this size: half of the whole step.
    """
    module.set_attn_implementation("eager")


@torch.no_grad()
def start_as_patch_merger(resampler: Resampler) -> None:
    """Aim four heads of every query at the 2 × 2 patches under it, by position alone; the others at all four.

    From a plain start the queries attend uniformly, only global colour gets through and nothing is learnt for long. The
    channels that carry the chosen frequencies of the position table are kept free of content, in keys and queries, and
    the projections are fitted so that the score falls with the squared distance from the patch aimed at.
    """
    width = resampler.pos_embed.shape[1]
    heads = resampler.attn.num_heads
    head_width = width // heads
    quarter = width // 4
    channels = torch.cat([start + torch.arange(_FREQUENCIES) for start in range(0, width, quarter)])  # (head_width,)
    content = torch.ones(width, dtype=torch.bool)
    content[channels] = False
    for matrix in (
        resampler.kv_proj.weight,
        resampler.query.T,
    ):  # (width, ...): zero mean, so that the norms keep zeros
        matrix[channels] = 0
        matrix[content] -= matrix[content].mean(0)

    query_table = resampler.pos_embed[:, channels].double()  # (queries, head_width)
    key_table = resampler.key_positions[:, channels].double()  # (patches, head_width)
    query_xy = _grid(resampler.query_side)  # (queries, 2), in query steps
    key_xy = (_grid(resampler.grid_side) + 0.5) * resampler.query_side / resampler.grid_side - 0.5  # (patches, 2)
    offsets = [(-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)]
    wq, wk, _ = resampler.attn.in_proj_weight.chunk(3)
    for head in range(heads):
        offset, peak = (offsets[head], _PEAK) if head < len(offsets) else ((0.0, 0.0), _BROAD_PEAK)
        aim = query_xy + torch.tensor(offset, dtype=torch.float64)
        score = -peak * torch.cdist(aim, key_xy) ** 2  # (queries, patches)
        score = score - score.mean(1, keepdim=True)  # the softmax does not see a constant
        fit = _ridge_inverse(query_table) @ score @ _ridge_inverse(key_table).T * head_width**0.5  # query to key table
        scale = fit.norm().sqrt() / head_width**0.25
        rows = slice(head * head_width, (head + 1) * head_width)
        wq[rows] = 0
        wk[rows] = 0
        wq[rows, channels] = (fit.T / scale).float()
        wk[rows, channels] = (torch.eye(head_width) * scale).float()


def _grid(side: int) -> torch.Tensor:
    """Return the (side * side, 2) column and row of each cell, in reading order."""
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    return torch.stack([columns, rows], -1).reshape(-1, 2).double()


def _ridge_inverse(table: torch.Tensor) -> torch.Tensor:
    """Invert (n, width) in the least-squares sense, without the directions that barely occur."""
    return torch.linalg.pinv(table, rtol=1e-3)
