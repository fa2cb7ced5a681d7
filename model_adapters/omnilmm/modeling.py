"""OmniLMM-3B: vision tower, resampler and decoder, and the splice between them.

    pixels ─▶ VisionTower ─▶ Resampler ─▶ (n, query_num, hidden) ─┐
    prompt ids ─▶ scaled embedding ─────────────────────────────── splice ─▶ MiniCPMDecoder ─▶ logits

The modules hold no inference mode of their own and can be trained; only the methods that answer questions switch gradients
off. ``OmniLMM.from_config`` builds a model with random weights, ``OmniLMM.from_checkpoint`` reads one in the original layout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.language import MiniCPMDecoder, ScaledEmbedding, ScaledHead
from model_adapters.omnilmm.resampler import CrossAttention, Resampler
from model_adapters.omnilmm.vision import VisionTower


class OmniLMM(nn.Module):
    """The whole model.

    Attributes:
        config: its sizes.
        vpm, resampler, llm: its parts, named as in the checkpoint.
    """

    def __init__(self, config: OmniLMMConfig) -> None:
        super().__init__()
        self.config = config
        self.vpm = VisionTower(config)
        self.resampler = Resampler(config)
        self.llm = MiniCPMDecoder(config.language)

    @classmethod
    def from_config(cls, config: OmniLMMConfig, seed: int = 0) -> OmniLMM:
        """A model with random weights, in fp32 on the CPU, ready to be trained."""
        model = cls(config)
        initialise(model, seed)
        return model

    def reset_buffers(self, device: torch.device) -> None:
        """Make what a checkpoint does not hold: position indices, interpolated key positions, the rotary table."""
        self.vpm.reset_buffers(device)
        self.resampler.reset_buffers()
        self.llm.reset_buffers(device)

    def image_features(self, pixels: Tensor) -> Tensor:
        """Visual tokens of images: (n, 3, image_size, image_size) in [-1, 1] -> (n, query_num, hidden_size)."""
        return self.resampler(self.vpm(pixels))

    def splice(self, ids: Tensor, features: Tensor, start: int | Tensor) -> Tensor:
        """Embed prompts and write image features over their slots.

        Args:
            ids: (n, length) prompt ids with ``query_num`` filler ids where the image goes.
            features: (n, query_num, hidden_size); they are not scaled, only token embeddings are.
            start: position of the first slot, one for all or (n,).

        Returns:
            (n, length, hidden_size).
        """
        embeds = self.llm.embed(ids)  # (n, length, hidden)
        first = torch.as_tensor(start, device=ids.device).reshape(-1, 1).expand(ids.shape[0], 1)  # (n, 1)
        slots = first + torch.arange(features.shape[1], device=ids.device)  # (n, queries)
        index = slots.unsqueeze(-1).expand(-1, -1, embeds.shape[-1])  # (n, queries, hidden)
        return embeds.scatter(1, index, features.to(embeds.dtype))


@torch.no_grad()
def initialise(model: nn.Module, seed: int = 0) -> None:
    """Random weights that a small model trains well from.

    Token embeddings get a standard deviation of 1 / scale_emb (they are multiplied by it), the head 0.02, every other
    matrix 1 / sqrt(fan in); biases 0, norms 1; position tables of the resampler are sine and cosine.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, std: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)

    for module in model.modules():
        if isinstance(module, ScaledEmbedding):
            normal(module.weight, 1.0 / module.scale)
        elif isinstance(module, nn.Embedding):  # the vision tower's position table
            normal(module.weight, 0.02)
        elif isinstance(module, ScaledHead):
            normal(module.weight, 0.02)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            normal(module.weight, module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, CrossAttention):
            normal(module.in_proj_weight, module.in_proj_weight.shape[1] ** -0.5)
            module.in_proj_bias.zero_()
        elif isinstance(module, Resampler):
            normal(module.query, 0.02)
            normal(module.proj, module.proj.shape[0] ** -0.5)
