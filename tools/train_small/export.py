"""Writes a checkpoint in the original layout."""

from __future__ import annotations

import json
from pathlib import Path

from model_adapters.omnilmm.checkpoint import save_checkpoint
from model_adapters.omnilmm.modeling import OmniLMM

_TOKENIZER_CONFIG = {
    "add_bos_token": True,
    "add_eos_token": False,
    "bos_token": "<s>",
    "clean_up_tokenization_spaces": False,
    "eos_token": "</s>",
    "legacy": True,
    "model_max_length": 2048,
    "pad_token": None,
    "spaces_between_special_tokens": False,
    "tokenizer_class": "LlamaTokenizer",
    "unk_token": "<unk>",
}
_SPECIAL_TOKENS = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def export(model: OmniLMM, tokenizer_model: Path, folder: Path) -> None:
    """Write config, bf16 weights, tokenizer and generation settings to ``folder``."""
    save_checkpoint(model, folder, model.config, tokenizer_model=tokenizer_model)
    for name, value in (("tokenizer_config", _TOKENIZER_CONFIG), ("special_tokens_map", _SPECIAL_TOKENS)):
        (folder / f"{name}.json").write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
