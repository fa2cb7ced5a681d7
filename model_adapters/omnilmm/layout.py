"""The original checkpoint layout: every stored name with its shape, and the way between stored names and our modules.

Decoder and resampler carry their stored names. Only the vision tower is renamed, because it is stored as timm has it:
one matrix for queries, keys and values, and a position table for another grid than the one that runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig

Shapes = dict[str, tuple[int, ...]]

# timm's names inside ``vpm.`` -> ours inside ``vpm.siglip.``
_VISION_ENDS = {
    "patch_embed.proj.weight": "embeddings.patch_embedding.weight",
    "patch_embed.proj.bias": "embeddings.patch_embedding.bias",
    "norm.weight": "post_layernorm.weight",
    "norm.bias": "post_layernorm.bias",
}
_VISION_LAYER = {
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
    "attn.proj": "self_attn.out_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_POSITION_TABLE = "vpm.siglip.embeddings.position_embedding.weight"


class Layout(Protocol):
    """How one kind of checkpoint is stored."""

    def shapes(self) -> Shapes:
        """Every stored tensor's shape."""
        ...

    def optional(self) -> frozenset[str]:
        """Stored names that may be absent."""
        ...

    def unpack(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """One stored tensor as the module parameters that it makes."""
        ...

    def pack(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A module's state as stored tensors."""
        ...


@dataclass(frozen=True, slots=True)
class OmniLMMLayout:
    """``llm.*``, ``vpm.*``, ``resampler.*``."""

    config: OmniLMMConfig

    def shapes(self) -> Shapes:
        """Every stored tensor's shape; 694 of them in the released checkpoint."""
        shapes = {f"llm.{name}": shape for name, shape in decoder_shapes(self.config.language).items()}
        return shapes | _vision_shapes(self.config) | _resampler_shapes(self.config)

    def optional(self) -> frozenset[str]:
        """A tied head need not be stored."""
        return frozenset({"llm.lm_head.weight"} if self.config.language.tie_word_embeddings else ())

    def unpack(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """One stored tensor as module parameters: three for a joint query-key-value matrix, else one."""
        if not name.startswith("vpm."):
            yield name, tensor
            return
        stored = name.removeprefix("vpm.")
        if stored == "pos_embed":
            from model_adapters.omnilmm.vision import resample_position_table

            yield _POSITION_TABLE, resample_position_table(tensor, self.config.grid_side)
        elif stored in _VISION_ENDS:
            yield f"vpm.siglip.{_VISION_ENDS[stored]}", tensor
        else:
            _, layer, part = stored.split(".", 2)
            part, _, kind = part.rpartition(".")
            ours = f"vpm.siglip.encoder.layers.{layer}"
            if part == "attn.qkv":
                for letter, third in zip("qkv", tensor.chunk(3), strict=True):
                    yield f"{ours}.self_attn.{letter}_proj.{kind}", third
            else:
                yield f"{ours}.{_VISION_LAYER[part]}.{kind}", tensor

    def pack(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A model's state as stored tensors; the position table is stored for the grid that runs."""
        stored = {name: tensor for name, tensor in state.items() if not name.startswith("vpm.")}
        stored["vpm.pos_embed"] = state[_POSITION_TABLE].unsqueeze(0)
        for theirs, ours in _VISION_ENDS.items():
            stored[f"vpm.{theirs}"] = state[f"vpm.siglip.{ours}"]
        for layer in range(self.config.num_vision_layers):
            ours = f"vpm.siglip.encoder.layers.{layer}"
            for kind in ("weight", "bias"):
                thirds = [state[f"{ours}.self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                stored[f"vpm.blocks.{layer}.attn.qkv.{kind}"] = torch.cat(thirds)
                for theirs, part in _VISION_LAYER.items():
                    stored[f"vpm.blocks.{layer}.{theirs}.{kind}"] = state[f"{ours}.{part}.{kind}"]
        return stored


@dataclass(frozen=True, slots=True)
class MiniCPMLayout:
    """The text-only base: ``model.*``, and ``lm_head.weight`` where it is not tied."""

    config: LanguageConfig

    def shapes(self) -> Shapes:
        """Every stored tensor's shape."""
        return decoder_shapes(self.config)

    def optional(self) -> frozenset[str]:
        """A tied head need not be stored."""
        return frozenset({"lm_head.weight"} if self.config.tie_word_embeddings else ())

    def unpack(self, name: str, tensor: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Stored names are ours; the head of a tied model is its embedding, whatever is stored."""
        if name not in self.optional():
            yield name, tensor

    def pack(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A decoder's state as stored tensors."""
        return {name: tensor for name, tensor in state.items() if name not in self.optional()}


def decoder_shapes(config: LanguageConfig) -> Shapes:
    """Shapes of the decoder's tensors by their names without prefix."""
    hidden, inner = config.hidden_size, config.intermediate_size
    kv = config.num_key_value_heads * config.head_dim
    per_layer: Shapes = {
        "self_attn.q_proj": (hidden, hidden),
        "self_attn.k_proj": (kv, hidden),
        "self_attn.v_proj": (kv, hidden),
        "self_attn.o_proj": (hidden, hidden),
        "mlp.gate_proj": (inner, hidden),
        "mlp.up_proj": (inner, hidden),
        "mlp.down_proj": (hidden, inner),
        "input_layernorm": (hidden,),
        "post_attention_layernorm": (hidden,),
    }
    shapes: Shapes = {"model.embed_tokens.weight": (config.vocab_size, hidden)}
    for layer in range(config.num_hidden_layers):
        shapes |= {f"model.layers.{layer}.{part}.weight": shape for part, shape in per_layer.items()}
    return shapes | {"model.norm.weight": (hidden,), "lm_head.weight": (config.vocab_size, hidden)}


def _vision_shapes(config: OmniLMMConfig) -> Shapes:
    vision = config.vision
    width, inner = vision.hidden_size, vision.intermediate_size
    shapes: Shapes = {
        "vpm.pos_embed": (1, vision.table_side**2, width),
        "vpm.patch_embed.proj.weight": (width, 3, vision.patch_size, vision.patch_size),
        "vpm.patch_embed.proj.bias": (width,),
        "vpm.norm.weight": (width,),
        "vpm.norm.bias": (width,),
    }
    matrices = {
        "attn.qkv": (3 * width, width),
        "attn.proj": (width, width),
        "mlp.fc1": (inner, width),
        "mlp.fc2": (width, inner),
    }
    for layer in range(config.num_vision_layers):
        for part, shape in matrices.items():
            shapes[f"vpm.blocks.{layer}.{part}.weight"] = shape
            shapes[f"vpm.blocks.{layer}.{part}.bias"] = shape[:1]
        for norm in ("norm1", "norm2"):
            shapes[f"vpm.blocks.{layer}.{norm}.weight"] = shapes[f"vpm.blocks.{layer}.{norm}.bias"] = (width,)
    return shapes


def _resampler_shapes(config: OmniLMMConfig) -> Shapes:
    hidden = config.language.hidden_size
    shapes: Shapes = {
        "query": (config.query_num, hidden),
        "pos_embed": (config.query_num, hidden),
        "proj": (hidden, hidden),
        "kv_proj.weight": (hidden, config.vision.hidden_size),
        "attn.in_proj_weight": (3 * hidden, hidden),
        "attn.in_proj_bias": (3 * hidden,),
        "attn.out_proj.weight": (hidden, hidden),
        "attn.out_proj.bias": (hidden,),
    }
    for norm in ("ln_q", "ln_kv", "ln_post"):
        shapes[f"{norm}.weight"] = shapes[f"{norm}.bias"] = (hidden,)
    return {f"resampler.{name}": shape for name, shape in shapes.items()}
