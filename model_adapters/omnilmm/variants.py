"""Variants of a checkpoint, each one option away: averaged, with a LoRA adapter, quantised.

The order is fixed: checkpoints are averaged, the adapter is merged into the result, and that is quantised. Each step is
part of the model's identity; without any of them a model is what its folder holds and its identity says nothing here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.average import open_mean, read_parts
from model_adapters.omnilmm.config import OmniLMMConfig, read_language_config
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.layout import MiniCPMLayout, OmniLMMLayout
from model_adapters.omnilmm.lora import merge_lora
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.quantize import check_kind, quantize_model
from model_adapters.omnilmm.shipped import DEFAULT, resolve_checkpoint
from model_adapters.omnilmm.tensor_files import TensorFile, open_tensor_files

Model = TypeVar("Model", OmniLMM, MiniCPM)


@dataclass(frozen=True, slots=True)
class Variant:
    """What is done to a checkpoint while it is loaded.

    Attributes:
        lora: folder of a LoRA adapter in PEFT's format.
        average: checkpoints whose mean is loaded, ``a,b`` or ``a:0.25,b:0.75``.
        quantize: ``int8`` or ``int4``, weights only.
        quantize_vision: the vision tower's matrices, too.
    """

    lora: str | None = None
    average: str | None = None
    quantize: str | None = None
    quantize_vision: bool = False


def load_variant(
    kind: type[Model], checkpoint: str, variant: Variant, dtype: str, device: str
) -> tuple[Model, Path, dict[str, Any]]:
    """A model, the folder that its config and tokenizer come from, and what the variant adds to its identity.

    Raises:
        AdapterError: whatever keeps it from loading; all that can be known before reading weights is said before.
    """
    check_kind(variant.quantize)
    files: Mapping[str, TensorFile] | None = None
    identity: dict[str, Any] = {}
    if variant.average is not None:
        if checkpoint != DEFAULT:
            raise AdapterError("Give either checkpoint=... or average=...; a mean takes the place of the checkpoint.")
        parts = read_parts(variant.average)
        folder, (files, digest) = parts[0].folder, open_mean(parts)
        name = "mean(" + ",".join(f"{part.folder.resolve().name}:{part.share:.4g}" for part in parts) + ")"
        identity = {"model": name, "weights": digest, "average": {p.folder.resolve().name: p.share for p in parts}}
    else:
        folder = resolve_checkpoint(checkpoint)
    if variant.lora is not None:
        base = files if files is not None else open_tensor_files(folder)
        where = Path(variant.lora).expanduser()
        layout, tied = _layout(kind, folder)
        files, digest = merge_lora(base, where, layout, tied=tied)
        weights = identity.get("weights") or weights_fingerprint(base)
        name = f"{identity.get('model', folder.resolve().name)}+{where.resolve().name}"
        identity |= {"model": name, "weights": hashlib.sha256(f"{weights} lora {digest}".encode()).hexdigest()}
        identity["lora"] = digest
    model = kind.from_checkpoint(folder, dtype=dtype, device=device, files=files)
    if variant.quantize is not None:
        module = model if isinstance(model, OmniLMM) else model.llm
        identity |= quantize_model(module, variant.quantize, vision=variant.quantize_vision)
        identity["model"] = f"{identity.get('model', folder.resolve().name)}+{variant.quantize}"
    return model, folder, identity


def _layout(kind: type[OmniLMM] | type[MiniCPM], folder: Path) -> tuple[OmniLMMLayout | MiniCPMLayout, bool]:
    """The names of a checkpoint, and whether its head is its embedding."""
    if issubclass(kind, OmniLMM):
        config = OmniLMMConfig.from_json(folder)
        return OmniLMMLayout(config), config.language.tie_word_embeddings
    language = read_language_config(folder)
    return MiniCPMLayout(language), language.tie_word_embeddings
