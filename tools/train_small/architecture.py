"""The small OmniLMM's sizes, and the start that lets it learn to read."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional
from transformers import SiglipVisionModel

from evals.data.generated.scenes import IMAGE_SIZE_PX
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig, VisionConfig
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.resampler import Resampler
from model_adapters.omnilmm.vision import VisionTower

_FREQUENCIES = (
    8  # of the position table that the resampler's heads start from: 2 axes × (sine, cosine) × 8 = head width
)
_FIT_STEPS = 300
_RIDGE = 1e-4


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


def start_as_patch_merger(resampler: Resampler) -> None:
    """Aim four heads of every query at the 2 × 2 patches under it, by position alone; the others at all four.

    From a plain start the queries attend uniformly, only global colour gets through and nothing is learnt for long.
    Here some channels carry high frequencies of the position table and nothing else: keys and queries have no content
    in them, and the projections read only them. They are fitted such that the softmax falls on the patches aimed at.

    Gradients cannot undo this: the large projections would turn the first traces of content into noise on the scores,
    and the attention would scatter. What is learnt is what the values carry.
    """
    width = resampler.pos_embed.shape[1]
    heads = resampler.attn.num_heads
    head_width = width // heads
    channels = torch.cat([start + torch.arange(_FREQUENCIES) for start in range(0, width, width // 4)])  # (head_width,)
    # Taken out of the keys, so that a common shift of all channels by the layer norm does not reach the scores.
    centring = torch.eye(head_width, dtype=torch.float64) - 1 / head_width
    query_table = resampler.pos_embed[:, channels].double()  # (queries, head_width)
    key_table = resampler.key_positions[:, channels].double() @ centring  # (patches, head_width)
    aims = _patches_under_queries(resampler)  # (4, queries, patches), one-hot
    keep = torch.ones(width, 1)
    keep[channels] = 0
    with torch.no_grad():
        resampler.kv_proj.weight *= keep
        resampler.query *= keep.T
        resampler.query -= resampler.query.sum(1, keepdim=True) / keep.sum() * keep.T  # zero mean: the norm keeps zeros
        weights = resampler.attn.in_proj_weight
        weights[: 2 * width] = 0
        for head in range(heads):
            wanted = aims[head] if head < len(aims) else aims.mean(0)
            rows = head * head_width + torch.arange(head_width)
            scores = _fit_scores(query_table, key_table, wanted) * head_width**0.5
            scale = scores.norm().sqrt() / head_width**0.25
            weights[rows[:, None], channels] = (scores.T / scale).float()
            weights[width + rows[:, None], channels] = (centring * scale).float()
    learnt = torch.ones(3 * width, 1)
    learnt[: 2 * width] = 0
    resampler.attn.in_proj_weight.register_hook(lambda gradient: gradient * learnt)
    resampler.attn.in_proj_bias.register_hook(lambda gradient: gradient * learnt[:, 0])
    resampler.kv_proj.weight.register_hook(lambda gradient: gradient * keep)
    resampler.query.requires_grad_(False)
    resampler.ln_q.requires_grad_(False)


def _patches_under_queries(resampler: Resampler) -> torch.Tensor:
    """Return (4, queries, patches): for each of the four patches under a query, where it lies in the patch grid."""
    step = resampler.grid_side // resampler.query_side
    row, column = torch.meshgrid(*[torch.arange(resampler.query_side)] * 2, indexing="ij")
    corners = [(down, right) for down in range(step) for right in range(step)]
    index = [((step * row + down) * resampler.grid_side + step * column + right).flatten() for down, right in corners]
    return functional.one_hot(torch.stack(index), resampler.grid_side**2).double()


def _fit_scores(query_table: torch.Tensor, key_table: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Fit a bilinear form such that softmax(query_table @ form @ key_table.T) comes near ``wanted``.

    A logistic regression with a small ridge, convex, so the start does not matter.

    Args:
        query_table: (queries, width).
        key_table: (patches, width).
        wanted: (queries, patches), rows sum to one.

    Returns:
        (width, width).
    """
    form = torch.zeros(query_table.shape[1], key_table.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([form], max_iter=_FIT_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        scores = query_table @ form @ key_table.T
        value = functional.cross_entropy(scores, wanted) + _RIDGE * form.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return form.detach()
