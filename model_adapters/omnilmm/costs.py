"""What OmniLMM computes, reads and needs memory for, by formula from its config: nothing is loaded.

Multiplications and additions count as one operation each. Sums for the released model: 938 GF a 448 px image in the
tower and 30 GF in the resampler, 609 GF for a prompt of 124 tokens through all of every layer and 596 GF as the engine
reads it, 0.369 MB of keys and values a token.
"""

from __future__ import annotations

import math

import torch

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig
from model_adapters.omnilmm.layout import Layout
from model_adapters.probe import Footprint, Work

MIB = 2**20
CUDA_CONTEXT_BYTES = 600 * MIB  # context, libraries and workspaces; 400 to 700 MiB, by card and version
PROMPT_TOKENS = 128  # text and answer that one row is counted with


def work_of(config: OmniLMMConfig | LanguageConfig, dtype: torch.dtype) -> Work:
    """Operations and bytes by formula, of the engine's own pass (forward.py).

    Matrices: two operations a weight and token (Kaplan et al. 2020, table 1). Per term, for tokens or patches T, layers
    L, width d, width of keys and values k, width of the MLP f:

    - tower: T · L · 2(4d² + 2df), the patch convolution T · 2 · 3 · patch² · d, attention 4 · L · d · T². The last
      of the original's layers does not exist (config.py).
    - resampler: its projections of patches and of queries, attention 4 · d · queries · T. The queries' first projection
      is the same for all images of a batch and is computed once a batch; it is counted for each.
    - decoder, a token: L · 2(2d² + 2dk + 3df). Attention 4 · L · d a token that is seen, causal: T(T + 1)/2 pairs.
    - spared in a prompt: of the last layer all tokens but the last have keys and values computed only (forward.py), so
      2(2d² + 3df) and their pairs are missing. Beam search goes through transformers' layers, which spare nothing.
    - head: 2 · d · vocabulary, for a prompt's last token and each generated one.

    Left out, here and by torch's counter: norms, softmax, activations, rotary angles, resizing. The counter
    (torch_probe.py) agrees within 0.1 % (tests/omnilmm/test_costs.py).
    """
    language = config.language if isinstance(config, OmniLMMConfig) else config
    size = dtype.itemsize
    layer = _layer_weights(language)
    head = language.hidden_size * language.vocab_size
    vision_flops = vision_weights = 0.0
    if isinstance(config, OmniLMMConfig):
        vision_flops, vision_weights = _vision(config)
    return Work(
        vision_flops=vision_flops,
        token_flops=2.0 * language.num_hidden_layers * layer,
        head_flops=2.0 * head,
        attention_flops=4.0 * language.num_hidden_layers * language.hidden_size,
        step_weight_bytes=float(size * (language.num_hidden_layers * layer + head)),
        kv_bytes_per_token=float(_kv_bytes(language, size)),
        vision_weight_bytes=vision_weights * size,
        spared_flops=2.0 * (layer - 2 * language.hidden_size * _kv_width(language)),
        spared_attention_flops=4.0 * language.hidden_size,
    )


def footprint_of(
    config: OmniLMMConfig | LanguageConfig, layout: Layout, dtype: torch.dtype, device: torch.device, vision_batch: int
) -> Footprint:
    """Memory that the model would take on a device, and what is free there now."""
    language = config.language if isinstance(config, OmniLMMConfig) else config
    size = dtype.itemsize
    tokens, fixed = PROMPT_TOKENS, 0
    if isinstance(config, OmniLMMConfig):
        tokens += config.query_num
        # Of one layer at a time: input, norm, queries, keys, values, mixed, output and sum; and the two sides of the
        # MLP's activation.
        fixed = vision_batch * config.grid_side**2 * size * (8 * config.vision.hidden_size)
        fixed += vision_batch * config.grid_side**2 * size * 2 * config.vision.intermediate_size
    row = tokens * size * (8 * language.hidden_size + 3 * language.intermediate_size) + 8 * language.vocab_size
    free, total = _free_bytes(device)
    return Footprint(
        device=str(device),
        weights_bytes=size * sum(math.prod(shape) for shape in layout.shapes().values()),
        kv_bytes_per_token=_kv_bytes(language, size),
        activation_bytes_per_row=row,
        fixed_bytes=fixed + (CUDA_CONTEXT_BYTES if device.type == "cuda" else 0),
        tokens_per_row=tokens,
        free_bytes=free,
        total_bytes=total,
        uuid=str(torch.cuda.get_device_properties(device).uuid) if device.type == "cuda" else None,
    )


def _layer_weights(config: LanguageConfig) -> int:
    """Weights of one decoder layer's matrices."""
    attention = config.hidden_size * (2 * config.hidden_size + 2 * _kv_width(config))
    return attention + 3 * config.hidden_size * config.intermediate_size


def _kv_width(config: LanguageConfig) -> int:
    return config.head_dim * config.num_key_value_heads


def _kv_bytes(config: LanguageConfig, size: int) -> int:
    return 2 * config.num_hidden_layers * _kv_width(config) * size


def _vision(config: OmniLMMConfig) -> tuple[float, float]:
    """Operations of one image, and weights, of tower and resampler."""
    vision, patches, width = config.vision, config.grid_side**2, config.language.hidden_size
    layer = 4 * vision.hidden_size**2 + 2 * vision.hidden_size * vision.intermediate_size
    stem = 3 * vision.patch_size**2 * vision.hidden_size
    layers = config.num_vision_layers
    flops = 2.0 * patches * (layers * layer + stem) + 4.0 * layers * patches**2 * vision.hidden_size
    per_patch, per_query = vision.hidden_size * width + 2 * width**2, 3 * width**2
    flops += 2.0 * (patches * per_patch + config.query_num * per_query) + 4.0 * config.query_num * patches * width
    return flops, float(layers * layer + stem + per_patch + per_query)


def _free_bytes(device: torch.device) -> tuple[int | None, int | None]:
    if device.type == "cuda":
        try:
            free, total = torch.cuda.mem_get_info(device)
        except RuntimeError as error:
            raise AdapterError(
                f"Device {device} cannot be used ({str(error).splitlines()[0]}). Its memory is full, or another "
                "program has it for itself: `nvidia-smi` says which. Wait, or choose another device."
            ) from error
        return free, total
    import psutil

    memory = psutil.virtual_memory()
    return memory.available, memory.total
