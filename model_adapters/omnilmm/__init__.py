"""OmniLMM-3B (MiniCPM-V 1.0), natively: config, tokenizer, image processing, vision tower, resampler, decoder,
checkpoint.

``from model_adapters.omnilmm import OmniLMM`` is the way in; torch and transformers are imported only then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from model_adapters.omnilmm.modeling import OmniLMM

__all__ = ["OmniLMM"]


def __getattr__(name: str) -> type[OmniLMM]:
    if name == "OmniLMM":
        from model_adapters.omnilmm.modeling import OmniLMM

        return OmniLMM
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
