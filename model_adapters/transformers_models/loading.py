"""A model of the transformers library from a checkpoint: its class by its config, number format, attention, LoRA."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import pickle
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
)
from transformers.utils.logging import disable_progress_bar, enable_progress_bar, is_progress_bar_enabled

from model_adapters.contract import AdapterError, did_you_mean
from model_adapters.omnilmm.devices import resolve_device, resolve_dtype
from model_adapters.omnilmm.quantize import KINDS, check_kind, quantize_linear
from model_adapters.transformers_models.source import Source

ATTENTION = ("auto", "sdpa", "eager", "flash_attention_2")
BITSANDBYTES = ("bnb-int8", "bnb-nf4")
# What the libraries raise for files that are cut, empty, of another model or no weights at all.
UNREADABLE = (OSError, ValueError, RuntimeError, KeyError, EOFError, SafetensorError, pickle.UnpicklingError)


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How a checkpoint is loaded; see :class:`~model_adapters.transformers_models.adapter.TransformersAdapter`."""

    dtype: str = "auto"
    device: str = "auto"
    device_map: str | None = None
    attention: str = "auto"
    quantize: str | None = None
    lora: str | None = None


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to answer.

    Attributes:
        sees: whether it takes pictures.
        identity: what of the loading belongs into the model's identity.
    """

    model: Any
    sees: bool
    identity: dict[str, Any]


def check_options(options: LoadOptions) -> None:
    """Everything that can be said of options without reading weights.

    Raises:
        AdapterError: an unknown name, a package that is missing (with the line that installs it), a device that is not
            there.
    """
    if options.attention not in ATTENTION:
        hint = did_you_mean(options.attention, ATTENTION)
        raise AdapterError(
            f"attention={options.attention!r} is not known.{hint} Expected one of {', '.join(ATTENTION)}."
        )
    if options.attention == "flash_attention_2":
        _need("flash_attn", "attention=flash_attention_2", "pip install flash-attn")
    if options.quantize in BITSANDBYTES:
        _need("bitsandbytes", f"quantize={options.quantize}", "pip install bitsandbytes")
    elif options.quantize is not None:
        if options.quantize not in KINDS:
            known = (*KINDS, *BITSANDBYTES)
            hint = did_you_mean(options.quantize, known)
            raise AdapterError(f"quantize={options.quantize!r} is not known.{hint} Expected one of {', '.join(known)}.")
        check_kind(options.quantize)
    if options.lora is not None:
        _need("peft", "lora=...", "pip install 'omnilmm-eval[models]'")
        if not (Path(options.lora).expanduser() / "adapter_config.json").is_file():
            raise AdapterError(f"{options.lora} holds no adapter_config.json; give the folder of a PEFT adapter.")
    if options.device_map is not None:
        _need("accelerate", "device_map=...", "pip install 'omnilmm-eval[models]'")
    where = resolve_device(options.device)
    resolve_dtype(options.dtype, where)


def load_model(source: Source, options: LoadOptions) -> Loaded:
    """Read a checkpoint's weights.

    Raises:
        AdapterError: a config that transformers does not know, or whatever keeps the weights from loading.
    """
    trusted = source.remote_code is not None
    config = _config(source, trusted)
    sees = type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING or "AutoModelForImageTextToText" in _auto_map(config)
    if not sees and type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not _auto_map(config):
        raise AdapterError(
            f"{source.name} is a {config.model_type!r}, which is neither an image-text-to-text nor a text generation "
            "model of the transformers library. Give a chat model."
        )
    if getattr(config, "is_encoder_decoder", False):
        raise AdapterError(f"{source.name} is an encoder-decoder model; this adapter asks decoder-only chat models.")
    kind = AutoModelForImageTextToText if sees else AutoModelForCausalLM
    where = resolve_device(options.device)
    dtype = resolve_dtype(options.dtype, where)
    asked: dict[str, Any] = {"dtype": dtype, "trust_remote_code": trusted, "config": config}
    if options.attention != "auto":
        asked["attn_implementation"] = options.attention
    if options.quantize in BITSANDBYTES:
        asked |= {"quantization_config": _bitsandbytes(options.quantize, dtype), "device_map": {"": str(where)}}
    if options.device_map is not None:
        asked["device_map"] = options.device_map
    try:
        with _no_progress_bar():
            model, told = kind.from_pretrained(source.folder, output_loading_info=True, **asked)
    except (*UNREADABLE, ImportError) as error:
        raise AdapterError(f"{source.name} cannot be loaded ({type(error).__name__}: {_first(error)}).") from error
    if missing := sorted(told["missing_keys"]):  # the library gives them random values and goes on
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise AdapterError(
            f"{source.name} lacks {len(missing)} of its model's tensors: {', '.join(missing[:3])}{more}. Config and "
            "weights are of different models, or the download is incomplete."
        )
    if "device_map" not in asked:
        model = model.to(where)
    identity: dict[str, Any] = {"attention": model.config._attn_implementation}
    if options.lora is not None:
        model, identity["lora"] = _with_lora(model, Path(options.lora).expanduser())
    if options.quantize in KINDS:
        layers = _decoder_layers(model)
        identity |= quantize_linear(model, options.quantize, lambda name: name.startswith(layers))
    elif options.quantize is not None:
        identity |= {"quantize": options.quantize, "quantize_library": f"bitsandbytes {version('bitsandbytes')}"}
    model.generation_config = clean_generation_config(model)
    return Loaded(model.eval().requires_grad_(False), sees, identity)


def clean_generation_config(model: Any) -> GenerationConfig:
    """Only the checkpoint's token ids: its own sampling defaults would change what a task's settings mean."""
    theirs = model.generation_config
    text = model.config.get_text_config()
    kept = {
        name: getattr(theirs, name, None) if getattr(theirs, name, None) is not None else getattr(text, name, None)
        for name in ("bos_token_id", "eos_token_id", "pad_token_id", "suppress_tokens")
    }
    return GenerationConfig(**{name: value for name, value in kept.items() if value is not None})


def context_limit(model: Any) -> int | None:
    """Most tokens of a prompt, where the config says so."""
    limit = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return int(limit) if isinstance(limit, int) else None


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Without the library's bar on stderr, which this project's own progress would be torn by."""
    was_on = is_progress_bar_enabled()
    disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            enable_progress_bar()


def _config(source: Source, trusted: bool) -> Any:
    raw = source.config()
    try:
        return AutoConfig.from_pretrained(source.folder, trust_remote_code=trusted)
    except (ValueError, KeyError, OSError, ImportError) as error:
        if raw.get("auto_map") and not trusted:
            raise AdapterError(
                f"{source.name} brings its own code, and the transformers library has none for model_type "
                f"{raw.get('model_type')!r}. To run it, read it first and set -o trust_remote_code=true with "
                "revision=COMMIT (or give a folder)."
            ) from error
        raise AdapterError(
            f"{source.name}: the transformers library cannot read its config.json ({_first(error)})."
        ) from error


def _auto_map(config: Any) -> dict[str, str]:
    found = getattr(config, "auto_map", None)
    return found if isinstance(found, dict) else {}


def _bitsandbytes(kind: str, dtype: torch.dtype) -> Any:
    from transformers import BitsAndBytesConfig

    if kind == "bnb-int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)


def _with_lora(model: Any, folder: Path) -> tuple[Any, str]:
    """The model with a PEFT adapter merged into its weights, and the adapter's digest."""
    from peft import PeftModel

    try:
        wrapped = PeftModel.from_pretrained(model, str(folder))
    except (*UNREADABLE, TypeError) as error:
        raise AdapterError(
            f"The adapter {folder} does not fit this model ({type(error).__name__}: {_first(error)})."
        ) from error
    _check_all_placed(wrapped, folder)
    merged = wrapped.merge_and_unload()
    digest = hashlib.sha256()
    for name in ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"):
        if (folder / name).is_file():
            digest.update(name.encode() + hashlib.sha256((folder / name).read_bytes()).digest())
    return merged, digest.hexdigest()


def _check_all_placed(wrapped: Any, folder: Path) -> None:
    """Refuse an adapter of which a matrix found no place, or a place no matrix: PEFT goes on without them.

    Values are compared and not names, which PEFT translates between versions of the library's models.
    """
    from peft.utils import get_peft_model_state_dict, load_peft_weights

    def matrices(tensors: dict[str, torch.Tensor]) -> Counter[bytes]:
        found = (tensor for name, tensor in tensors.items() if "lora_A" in name or "lora_B" in name)
        return Counter(hashlib.sha256(tensor.detach().float().cpu().numpy().tobytes()).digest() for tensor in found)

    stored = matrices(load_peft_weights(str(folder), device="cpu"))
    placed = matrices(get_peft_model_state_dict(wrapped))
    if stored != placed:
        base = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
        raise AdapterError(
            f"The adapter {folder} does not fit this model: {(stored & placed).total()} of its {stored.total()} "
            f"matrices have a place in it, which has {placed.total()} places. It was trained on another model; its "
            f"config names {base!r}."
        )


def _decoder_layers(model: Any) -> str:
    """Name under which the language model's layers stand: ``model.language_model.layers.``."""
    decoder: nn.Module = model.get_decoder()
    return next(f"{name}.layers." if name else "layers." for name, part in model.named_modules() if part is decoder)


def _need(package: str, what: str, line: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise AdapterError(f"{what} needs the package {package}, which is not installed. Install it with: {line}")


def _first(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip() if lines else ""
