"""The resampler starts, and stays, a local patch merger."""

from __future__ import annotations

import pytest
import torch

from model_adapters.omnilmm.resampler import Resampler
from tools.train_small.architecture import build_model

INNER_QUERIES = (5, 6, 9, 10)  # the table is interpolated with clamped borders: outer patches cannot be told apart


@pytest.fixture(scope="module")
def resampler() -> Resampler:
    return build_model(vocab_size=640, seed=5).resampler


@torch.no_grad()
def attention(resampler: Resampler) -> torch.Tensor:
    """Attention weights on random patches, (heads, queries, patches)."""
    patches = torch.randn(1, 64, 128, generator=torch.Generator().manual_seed(9))
    kv = resampler.ln_kv(resampler.kv_proj(patches))
    wq, wk, _ = resampler.attn.in_proj_weight.chunk(3)
    query = resampler.attn._heads((resampler.ln_q(resampler.query) + resampler.pos_embed)[None] @ wq.T)
    key = resampler.attn._heads((kv + resampler.key_positions) @ wk.T)
    return (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)[0]


def test_four_heads_look_at_the_four_patches_under_each_query(resampler: Resampler) -> None:
    weights = attention(resampler)
    for query in INNER_QUERIES:
        row, column = divmod(query, 4)
        expected = [(2 * row + down) * 8 + 2 * column + right for down in (0, 1) for right in (0, 1)]
        assert weights[:4, query].argmax(-1).tolist() == expected
        assert weights[:4, query].max(-1).values.min() > 0.9
        assert weights[4:, query, expected].sum(-1).min() > 0.9


def test_no_patch_is_overlooked(resampler: Resampler) -> None:
    assert attention(resampler).sum((0, 1)).min() > 0.25


def test_training_changes_what_is_carried_and_not_where_it_looks(resampler: Resampler) -> None:
    torch.manual_seed(1)
    before = attention(resampler)
    values = resampler.attn.in_proj_weight.chunk(3)[2].detach().clone()
    optimizer = torch.optim.SGD([one for one in resampler.parameters() if one.requires_grad], lr=0.01)
    for _ in range(3):
        resampler(torch.randn(2, 64, 128)).pow(3).mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert torch.allclose(attention(resampler), before, atol=0.02)
    assert not torch.equal(resampler.attn.in_proj_weight.chunk(3)[2], values)
