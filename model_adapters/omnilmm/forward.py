"""The decoder's layers over packs of prompts: MiniCPM's arithmetic and nothing around it.

The weights are those of :class:`MiniCPMDecoder`; what is saved against calling its modules is masks and rotary angles
made once instead of once a layer, rounding steps of bf16 that fused operations leave out, and the last layer's work on
tokens whose result nobody reads: of a prompt's ids all but the last are only looked back at, so their last keys and
values are computed and nothing more. Packs differ in length, so all but attention is computed line by line, one line a
token, without the padding that would make packs equally wide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.linalg import vector_norm
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from model_adapters.omnilmm.kv_cache import PackedCache
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.rotation import rotate


@dataclass(frozen=True, slots=True)
class Places:
    """Where the tokens of a pass stand in packs of one width.

    Attributes:
        at: (tokens,) places among packs x width; None: each place has its token, in order.
    """

    packs: int
    width: int
    at: Tensor | None = None

    def spread(self, x: Tensor) -> Tensor:
        """Lines to packs: (tokens, ...) -> (packs, width, ...). Empty places are zero: masked values must be finite."""
        if self.at is not None:
            x = x.new_zeros(self.packs * self.width, *x.shape[1:]).index_copy_(0, self.at, x)
        return x.unflatten(0, (self.packs, self.width))

    def gather(self, x: Tensor) -> Tensor:
        """Packs to lines: (packs, width, ...) -> (tokens, ...)."""
        lines = x.flatten(0, 1)
        return lines if self.at is None else lines[self.at]


def run_layers(
    llm: MiniCPMDecoder,
    hidden: Tensor,
    rotation: tuple[Tensor, Tensor],
    places: Places,
    mask: Tensor | None,
    cache: PackedCache,
    at: slice | Tensor,
    ends: Tensor | None = None,
    end_mask: Tensor | None = None,
) -> Tensor:
    """All layers and the last norm.

    Args:
        hidden: (tokens, hidden_size) embeddings.
        rotation: cosine and sine of their positions.
        places: where they stand among the new columns, of which each pack gets ``width``.
        mask: (packs, 1, width, columns) to be added; None is causal, which needs ``width`` columns in all, or one.
        cache: gets the new columns' keys and values.
        at: the new columns' place in the cache.
        ends: (packs, m) tokens whose result is wanted; None: all.
        end_mask: (packs, 1, m, columns) of these.

    Returns:
        (packs x m or tokens, hidden_size).
    """
    layers = llm.model.layers
    for number, layer in enumerate(layers):
        attention = layer.self_attn
        cosine, sine = rotation
        x = _norm(layer.input_layernorm, hidden)
        k = rotate(_heads(attention.k_proj(x), attention.head_dim), cosine, sine)
        v = _heads(attention.v_proj(x), attention.head_dim)
        keys, values = cache.write(number, at, places.spread(k), places.spread(v))
        if number == len(layers) - 1 and ends is not None:
            lines = ends.flatten()
            hidden, x, cosine, sine = hidden[lines], x[lines], cosine[lines], sine[lines]
            places, mask = Places(*ends.shape), end_mask
        q = places.spread(rotate(_heads(attention.q_proj(x), attention.head_dim), cosine, sine))
        mixed = scaled_dot_product_attention(
            q.transpose(1, 2),
            keys.transpose(1, 2),
            values.transpose(1, 2),
            attn_mask=mask,
            is_causal=mask is None and q.shape[1] > 1,
            scale=attention.scaling,
            enable_gqa=q.shape[2] != keys.shape[2],
        )
        mixed = attention.o_proj(places.gather(mixed.transpose(1, 2).flatten(2)))
        hidden = torch.add(hidden, mixed, alpha=layer.residual_multiplier)
        mlp = layer.mlp
        x = _norm(layer.post_attention_layernorm, hidden)
        inner = silu(mlp.gate_proj(x), inplace=True).mul_(mlp.up_proj(x))
        hidden = torch.add(hidden, mlp.down_proj(inner), alpha=layer.residual_multiplier)
    return _norm(llm.model.norm, hidden)


def _norm(norm: Any, x: Tensor) -> Tensor:
    """RMSNorm (Zhang and Sennrich 2019) in fp32, rounded before it is weighted, as the original does.

    On CUDA it is one kernel, which may round once only, after weighting; on a CPU that function would be slower.
    """
    if x.is_cuda:
        return rms_norm(x, (x.shape[-1],), norm.weight, norm.variance_epsilon)
    y = x.float()  # the same tensor in fp32: it must not be written to
    scale = vector_norm(y, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(norm.variance_epsilon).rsqrt_()
    return (y * scale if y is x else y.mul_(scale).to(x.dtype)).mul_(norm.weight)


def _heads(x: Tensor, width: int) -> Tensor:
    return x.unflatten(-1, (-1, width))
