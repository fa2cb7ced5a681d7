"""The adapter ``omnilmm``: OmniLMM-3B, or any checkpoint in its layout."""

from __future__ import annotations

from typing import Any

from model_adapters.contract import Capabilities, Request
from model_adapters.omnilmm.adapter_base import CheckpointAdapter, checkpoint_footprint, engine_options
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.prompt import USER_MARK, conversation_text
from model_adapters.omnilmm.shipped import DEFAULT, resolve_checkpoint
from model_adapters.omnilmm.variants import Variant, load_variant
from model_adapters.probe import Footprint


class OmniLMMAdapter(CheckpointAdapter):
    """OmniLMM behind the adapter contract.

    Args:
        checkpoint: a folder in the original layout, or the name of a shipped checkpoint.
        dtype: ``auto`` (bfloat16 on CUDA, float32 on the CPU), ``float32``, ``bfloat16``, ``float16``.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:N``.
        batch_size: rows computed at a time, or ``auto``; answers do not depend on it (in fp32).
        vision_batch_size: pictures encoded at a time.
        feature_cache_mib: visual tokens kept for later questions on the same picture.
        apply_exif: turn pictures as their EXIF orientation says (original: no).
        parse_special: read ``<image>``, ``</s>``, ``<unk>`` in questions as control tokens (original: yes; here: no).
        truncate: cut the end of prompts that are too long (original: yes; here such a request fails).
        text_only: answer requests without an image by the language model alone (the original cannot).
        mode: ``fast``; ``plain``: one request at a time, nothing shared and nothing kept; ``reference``: plain, and
            decoded as the original ``chat`` does, by ``generate`` with three beams and repetition penalty 1.2.
        graphs: record each decoding step once and replay it (CUDA graphs); nothing changes on the CPU.
        lora: folder of a LoRA adapter in PEFT's format, merged while the weights are read.
        average: load the mean of these checkpoints, ``a,b`` or ``a:0.25,b:0.75``, in the place of ``checkpoint``.
        quantize: ``int8`` or ``int4``: the decoder's matrices, by torchao (pip install 'omnilmm-eval[quantize]').
        quantize_vision: the vision tower's matrices, too.
    """

    name = "omnilmm"

    def __init__(
        self,
        checkpoint: str = DEFAULT,
        dtype: str = "auto",
        device: str = "auto",
        batch_size: int | str = "auto",
        vision_batch_size: int = 32,
        feature_cache_mib: float = 512.0,
        apply_exif: bool = False,
        parse_special: bool = False,
        truncate: bool = False,
        text_only: bool = False,
        mode: str = "fast",
        graphs: bool = True,
        lora: str | None = None,
        average: str | None = None,
        quantize: str | None = None,
        quantize_vision: bool = False,
    ) -> None:
        options = engine_options(
            mode,
            batch_size=batch_size,
            vision_batch_size=vision_batch_size,
            feature_cache_mib=feature_cache_mib,
            apply_exif=apply_exif,
            parse_special=parse_special,
            truncate=truncate,
            text_only=text_only,
            graphs=graphs,
        )
        variant = Variant(lora, average, quantize, quantize_vision)
        model, folder, made_of = load_variant(OmniLMM, checkpoint, variant, dtype, device)
        super().__init__(model, folder, options, made_of)
        self.capabilities = Capabilities(
            max_images=1, text_only=text_only, choice_scoring=True, stage_timing=True, streaming=True
        )

    @classmethod
    def footprint(
        cls,
        checkpoint: str = DEFAULT,
        dtype: str = "auto",
        device: str = "auto",
        vision_batch_size: int = 32,
        **_: Any,
    ) -> Footprint:
        """Weights, keys and values, activations; nothing is loaded."""
        return checkpoint_footprint(resolve_checkpoint(checkpoint), dtype, device, vision_batch_size)

    def prompt_text(self, request: Request) -> str:
        """The prompt as the model gets it; BOS is not shown, the visual tokens appear as ``<image>``."""
        text = conversation_text([{"role": turn.role, "content": turn.text} for turn in request.turns])
        if not request.images:
            return text
        return f"{USER_MARK}<image>\n{text.removeprefix(USER_MARK)}"
