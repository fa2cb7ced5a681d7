"""The resampler: a fixed number of learned queries attend once to all patches of an image (as in Qwen-VL).

Queries stand on a square grid; both they and the patches get the same two-dimensional sine-cosine table, interpolated
to the patch grid for the keys. Values carry no position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention

from model_adapters.omnilmm.config import OmniLMMConfig

LAYER_NORM_EPS = 1e-6


class CrossAttention(nn.Module):
    """Multi-head attention with the names and shapes of ``nn.MultiheadAttention``."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """(n or 1, q, width), (n, k, width), (n, k, width) -> (n, q, width)."""
        n = key.shape[0]
        wq, wk, wv = self.in_proj_weight.chunk(3)  # (width, width) each
        bq, bk, bv = self.in_proj_bias.chunk(3)
        q = self._heads(linear(query, wq, bq)).expand(n, -1, -1, -1)  # (n, heads, q, head_width)
        k = self._heads(linear(key, wk, bk))  # (n, heads, k, head_width)
        v = self._heads(linear(value, wv, bv))  # (n, heads, k, head_width)
        mixed = scaled_dot_product_attention(q, k, v)  # scaled by 1/sqrt(head_width)
        return self.out_proj(mixed.transpose(1, 2).flatten(2))  # (n, q, width)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class Resampler(nn.Module):
    """Patch features to visual tokens of the decoder's width."""

    key_positions: Tensor

    def __init__(self, config: OmniLMMConfig) -> None:
        super().__init__()
        width = config.language.hidden_size
        self.query_side = config.query_side
        self.grid_side = config.grid_side
        self.query = nn.Parameter(torch.empty(config.query_num, width))
        # Stored in the checkpoint and read from there: its bf16 rounding is part of the trained model.
        self.pos_embed = nn.Parameter(sine_cosine_table(width, config.query_side), requires_grad=False)
        self.kv_proj = nn.Linear(config.vision.hidden_size, width, bias=False)
        self.attn = CrossAttention(width, config.resampler_num_heads)
        self.ln_q = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.ln_kv = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.ln_post = nn.LayerNorm(width, eps=LAYER_NORM_EPS)
        self.proj = nn.Parameter(torch.empty(width, width))
        self.register_buffer("key_positions", torch.empty(0), persistent=False)
        nn.init.trunc_normal_(self.query, std=0.02)
        nn.init.normal_(self.proj, std=width**-0.5)
        if not self.pos_embed.is_meta:
            self.reset_buffers()

    def forward(self, patches: Tensor) -> Tensor:
        """Resample patch features.

        Args:
            patches: (n, grid_side**2, vision width).

        Returns:
            (n, query_num, width).
        """
        kv = self.ln_kv(self.kv_proj(patches))  # (n, patches, width)
        q = (self.ln_q(self.query) + self.pos_embed).unsqueeze(0)  # (1, queries, width)
        out = self.attn(q, kv + self.key_positions, kv)  # (n, queries, width)
        return self.ln_post(out) @ self.proj  # a raw matrix, multiplied from the right

    @torch.no_grad()
    def reset_buffers(self) -> None:
        """Interpolate the position table to the patch grid, once: fp32, bicubic, no antialias."""
        if self.grid_side == self.query_side:
            self.key_positions = self.pos_embed.detach().clone()
            return
        table = self.pos_embed.float().reshape(1, self.query_side, self.query_side, -1).permute(0, 3, 1, 2)
        table = interpolate(table, size=(self.grid_side, self.grid_side), mode="bicubic", align_corners=False)
        self.key_positions = table.permute(0, 2, 3, 1).flatten(0, 2).to(self.pos_embed.dtype)  # (patches, width)


def sine_cosine_table(width: int, side: int) -> Tensor:
    """The two-dimensional position table of the queries, (side * side, width), fp32.

    The first half of the channels encodes the column, the second the row; each half is [sine | cosine] with frequencies
    10000**(-i / (width / 4)).
    """
    frequencies = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    angles = torch.arange(side, dtype=torch.float64)[:, None] * frequencies  # (side, width / 4)
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # (side, width / 2)
    columns = line.repeat(side, 1)  # column index runs fastest
    rows = line.repeat_interleave(side, dim=0)
    return torch.cat([columns, rows], dim=1).float()
