"""The vision tower: SigLIP so400m without its last layer and its pooling head, final norm kept.

It runs on transformers' ``SiglipVisionModel``, which computes exactly what timm's tower computes under three
conditions: exact GELU (transformers' SigLIP defaults to the tanh approximation, an error of 1e-3), no head, and a
position table that is resampled once, in fp32 with antialiased bicubic interpolation (transformers' own interpolation
has no antialias: 9 % error at 448 px), so that nothing is left to interpolate while running.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from transformers.models.siglip.configuration_siglip import SiglipVisionConfig
from transformers.models.siglip.modeling_siglip import SiglipVisionModel

from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.devices import exact_convolutions

LAYER_NORM_EPS = 1e-6  # timm's vision transformer


class VisionTower(nn.Module):
    """Pixels to patch features."""

    def __init__(self, config: OmniLMMConfig) -> None:
        super().__init__()
        self.siglip = SiglipVisionModel(
            SiglipVisionConfig(
                hidden_size=config.vision.hidden_size,
                intermediate_size=config.vision.intermediate_size,
                num_hidden_layers=config.num_vision_layers,
                num_attention_heads=config.vision.num_attention_heads,
                image_size=config.image_size,
                patch_size=config.vision.patch_size,
                hidden_act="gelu",
                layer_norm_eps=LAYER_NORM_EPS,
                attention_dropout=0.0,
                vision_use_head=False,
                attn_implementation="sdpa",
            )
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode images.

        Args:
            pixels: (n, 3, image_size, image_size), normalised to [-1, 1].

        Returns:
            (n, grid_side**2, vision hidden_size), row by row from the upper left corner.
        """
        with exact_convolutions(pixels.device, pixels.dtype):
            return self.siglip(pixel_values=pixels).last_hidden_state

    def reset_buffers(self, device: torch.device) -> None:
        """Make the buffers that a checkpoint does not hold; needed after building on the meta device."""
        embeddings = self.siglip.embeddings
        embeddings.position_ids = torch.arange(embeddings.num_positions, device=device).expand((1, -1))


def resample_position_table(table: Tensor, grid_side: int) -> Tensor:
    """Bring the stored position table to the grid that the model runs on.

    Args:
        table: (1, side * side, width), as stored.
        grid_side: wanted side, in patches.

    Returns:
        (grid_side * grid_side, width) in the table's dtype. Source: timm ``resample_abs_pos_embed``, which computes
        in fp32 with ``antialias=True``; that flag changes the kernel (a = -0.5 instead of -0.75) for enlarging, too.
    """
    width = table.shape[-1]
    side = round(table.shape[1] ** 0.5)
    if side == grid_side:
        return table[0]
    grid = table.float().reshape(1, side, side, width).permute(0, 3, 1, 2)  # (1, width, side, side)
    grid = interpolate(grid, size=(grid_side, grid_side), mode="bicubic", antialias=True)
    return grid.permute(0, 2, 3, 1).reshape(grid_side * grid_side, width).to(table.dtype)
