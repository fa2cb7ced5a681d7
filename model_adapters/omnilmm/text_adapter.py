"""The adapter ``minicpm``: the text-only base MiniCPM-2B."""

from __future__ import annotations

from typing import Any

from model_adapters.contract import Capabilities, Request
from model_adapters.omnilmm.adapter_base import CheckpointAdapter, checkpoint_footprint, engine_options
from model_adapters.omnilmm.modeling import MiniCPM
from model_adapters.omnilmm.prompt import conversation_text
from model_adapters.omnilmm.shipped import resolve_checkpoint
from model_adapters.omnilmm.variants import Variant, load_variant
from model_adapters.probe import Footprint


class MiniCPMAdapter(CheckpointAdapter):
    """MiniCPM-2B behind the adapter contract.

    Args:
        checkpoint: a folder with config.json (``model_type: minicpm``), tokenizer.model and weights.
        dtype, device, batch_size, parse_special, truncate, mode, lora, quantize: as for :class:`OmniLMMAdapter`.
    """

    name = "minicpm"

    def __init__(
        self,
        checkpoint: str,
        dtype: str = "auto",
        device: str = "auto",
        batch_size: int | str = "auto",
        parse_special: bool = False,
        truncate: bool = False,
        mode: str = "fast",
        lora: str | None = None,
        quantize: str | None = None,
    ) -> None:
        options = engine_options(
            mode, batch_size=batch_size, parse_special=parse_special, truncate=truncate, text_only=True
        )
        variant = Variant(lora=lora, quantize=quantize)
        model, folder, made_of = load_variant(MiniCPM, checkpoint, variant, dtype, device)
        super().__init__(model, folder, options, made_of)
        self.capabilities = Capabilities(
            max_images=0, text_only=True, choice_scoring=True, stage_timing=True, streaming=True
        )

    @classmethod
    def footprint(cls, checkpoint: str = "", dtype: str = "auto", device: str = "auto", **_: Any) -> Footprint:
        """Weights, keys and values, activations; nothing is loaded."""
        return checkpoint_footprint(resolve_checkpoint(checkpoint), dtype, device, 0)

    def prompt_text(self, request: Request) -> str:
        """The prompt as the model gets it; BOS is not shown."""
        return conversation_text([{"role": turn.role, "content": turn.text} for turn in request.turns])
