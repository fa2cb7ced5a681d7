"""MiniCPM's decoder: transformers' Granite with the three scalings where MiniCPM has them.

Granite computes MiniCPM's layers exactly, with two differences that matter at its ends. It multiplies
``inputs_embeds`` by its embedding factor, too, and would scale image features by 12; and it divides the logits, where
MiniCPM divides the hidden states before the head. Both factors therefore live in the embedding and in the head, and
Granite's own are set to 1: prompts, spliced image features and decoding steps then all come out right, and the
weights keep their original names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.models.granite.configuration_granite import GraniteConfig
from transformers.models.granite.modeling_granite import GraniteForCausalLM, GraniteRotaryEmbedding

from model_adapters.omnilmm.config import LanguageConfig
from model_adapters.omnilmm.rotation import Rotation


class ScaledEmbedding(nn.Embedding):
    """Token embeddings times a constant."""

    def __init__(self, num_embeddings: int, embedding_dim: int, scale: float) -> None:
        super().__init__(num_embeddings, embedding_dim)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        """(...) -> (..., embedding_dim)."""
        return super().forward(input) * self.scale


class ScaledHead(nn.Linear):
    """Logits of hidden states that are divided by a constant first (in that order: it rounds differently in bf16)."""

    def __init__(self, in_features: int, out_features: int, divisor: float) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.divisor = divisor

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class names it so
        """(..., in_features) -> (..., out_features)."""
        return linear(input / self.divisor, self.weight)


class MiniCPMDecoder(GraniteForCausalLM):
    """The decoder with its head; weight names are ``model.*`` and ``lm_head.weight``.

    Feed it ``input_ids``, or ``inputs_embeds`` made by :meth:`embed` with image features written over their slots.
    """

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__(granite_config(config))
        self.language_config = config
        self.model.embed_tokens = ScaledEmbedding(config.vocab_size, config.hidden_size, config.scale_emb)
        self.lm_head = ScaledHead(config.hidden_size, config.vocab_size, config.logit_divisor)
        self.rotation = Rotation(self.model.rotary_emb.inv_freq)
        if config.tie_word_embeddings:
            self.tie()

    def embed(self, ids: Tensor) -> Tensor:
        """Scaled token embeddings, (n, length) -> (n, length, hidden_size)."""
        return self.model.embed_tokens(ids)

    def tie(self) -> None:
        """Let head and embedding share one matrix."""
        self.lm_head.weight = self.model.embed_tokens.weight

    @property
    def is_tied(self) -> bool:
        """Whether head and embedding share one matrix."""
        return self.lm_head.weight is self.model.embed_tokens.weight

    def reset_buffers(self, device: torch.device) -> None:
        """Make the rotary table, which a checkpoint does not hold; needed after building on the meta device."""
        with torch.device(device):
            self.model.rotary_emb = GraniteRotaryEmbedding(self.config)
        self.rotation = Rotation(self.model.rotary_emb.inv_freq)


def granite_config(config: LanguageConfig) -> GraniteConfig:
    """Granite's settings that make it MiniCPM. The attention factor must be given: its default is 1."""
    return GraniteConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        intermediate_size=config.intermediate_size,
        num_hidden_layers=config.num_hidden_layers,
        num_attention_heads=config.num_attention_heads,
        num_key_value_heads=config.num_key_value_heads,
        max_position_embeddings=config.max_position_embeddings,
        hidden_act="silu",
        rms_norm_eps=config.rms_norm_eps,
        rope_parameters={"rope_type": "default", "rope_theta": config.rope_theta},
        attention_bias=False,
        attention_dropout=0.0,
        attention_multiplier=config.head_dim**-0.5,
        residual_multiplier=config.residual_scale,
        embedding_multiplier=1.0,
        logits_scaling=1.0,
        tie_word_embeddings=False,  # tied by hand, so that one class serves both kinds of checkpoint
        bos_token_id=config.bos_token_id,
        eos_token_id=config.eos_token_id,
        pad_token_id=None,
        attn_implementation="sdpa",
    )
