"""The architecture in numbers, read from the original ``config.json`` and checked field by field.

The released checkpoint needs no extension. Two optional keys of ours describe other sizes of the same architecture:

* ``vision_config``: ``hidden_size``, ``num_hidden_layers`` (before ``drop_vision_last_layer`` takes one away),
  ``num_attention_heads``, ``intermediate_size``, ``patch_size`` and ``image_size``, the size that the stored position
  table was made for. The top-level ``image_size`` stays the input resolution. Absent: SigLIP so400m/14-384.
* ``resampler_num_heads``: attention heads of the resampler. Absent: ``hidden_size // 128``.

MiniCPM-V 2.x, 2.5 and 2.6 share the model type ``minicpmv`` (and 2.0 even the weight names) but not the computation:
they slice images and build position tables on the fly. Such a config is refused, never run as something it is not.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from model_adapters.contract import AdapterError

# Keys that only later members of the family carry, and what each says about the checkpoint.
LATER_VERSION_KEYS = {
    "slice_mode": "MiniCPM-V 2.0 or later (images are cut into slices)",
    "max_slice_nums": "MiniCPM-V 2.0 or later (images are cut into slices)",
    "scale_resolution": "MiniCPM-V 2.0 or later (images are cut into slices)",
    "slice_config": "MiniCPM-V 2.5 or later (images are cut into slices)",
    "mm_use_im_start_end": "MiniCPM-V 2.0",
    "version": "MiniCPM-V 2.6 or later",
    "batch_vision_input": "MiniCPM-V 2.6",
    "audio_config": "MiniCPM-o",
}
# Values that the architecture fixes: another value means another computation.
FIXED_VALUES: dict[str, Any] = {
    "hidden_act": "silu",
    "attention_bias": False,
    "rope_scaling": None,
}
MAX_POSITION_EMBEDDINGS = 2048  # of MiniCPM-V 1.0; 2.0 has 4096 under the same weight names
RESAMPLER_HEAD_WIDTH = 128  # the original code takes hidden_size // 128 heads


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    """MiniCPM's decoder: a Llama with three scalings.

    Attributes:
        scale_emb: factor on token embeddings (not on image features).
        scale_depth: both residual branches are multiplied by ``scale_depth / sqrt(num_hidden_layers)``.
        dim_model_base: hidden states are divided by ``hidden_size / dim_model_base`` before the head.
    """

    vocab_size: int = 122753
    hidden_size: int = 2304
    intermediate_size: int = 5760
    num_hidden_layers: int = 40
    num_attention_heads: int = 36
    num_key_value_heads: int = 36
    max_position_embeddings: int = MAX_POSITION_EMBEDDINGS
    rms_norm_eps: float = 1e-5
    rope_theta: float = 10000.0
    scale_emb: float = 12.0
    scale_depth: float = 1.4
    dim_model_base: int = 256
    tie_word_embeddings: bool = False
    bos_token_id: int = 1
    eos_token_id: int = 2

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def residual_scale(self) -> float:
        """Factor on both residual branches of every layer."""
        return self.scale_depth / math.sqrt(self.num_hidden_layers)

    @property
    def logit_divisor(self) -> float:
        """Hidden states are divided by this before the head."""
        return self.hidden_size / self.dim_model_base


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The SigLIP tower as stored. ``image_size // patch_size`` is the side of the stored position table."""

    hidden_size: int = 1152
    num_hidden_layers: int = 27
    num_attention_heads: int = 16
    intermediate_size: int = 4304
    patch_size: int = 14
    image_size: int = 384

    @property
    def table_side(self) -> int:
        """Side of the stored position table, in patches."""
        return self.image_size // self.patch_size


@dataclass(frozen=True, slots=True)
class OmniLMMConfig:
    """The whole model: decoder, vision tower, and the resampler between them.

    Attributes:
        image_size: side of the square input in pixels, a multiple of the patch size.
        query_num: visual tokens of one image, a square number.
        resampler_num_heads: attention heads of the resampler.
        drop_vision_last_layer: the last of ``vision.num_hidden_layers`` is neither stored nor run.
    """

    language: LanguageConfig = LanguageConfig()
    vision: VisionConfig = VisionConfig()
    image_size: int = 448
    query_num: int = 64
    resampler_num_heads: int = 18
    drop_vision_last_layer: bool = True

    @property
    def grid_side(self) -> int:
        """Side of the patch grid that the model runs on."""
        return self.image_size // self.vision.patch_size

    @property
    def query_side(self) -> int:
        """Side of the square of resampler queries."""
        return math.isqrt(self.query_num)

    @property
    def num_vision_layers(self) -> int:
        """Vision layers that are stored and run."""
        return self.vision.num_hidden_layers - int(self.drop_vision_last_layer)

    @classmethod
    def from_json(cls, path: str | Path) -> OmniLMMConfig:
        """Read ``config.json`` (or the folder that holds it). Raises :class:`AdapterError` for anything but OmniLMM."""
        raw, where = read_config(path)
        return cls.from_dict(raw, where)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], where: str = "config") -> OmniLMMConfig:
        """Check the fields of a parsed ``config.json``; ``where`` names it in messages."""
        _refuse_other_models(raw, where, "minicpmv", "OmniLMM-3B (MiniCPM-V 1.0)")
        _refuse_near_misses(raw, where)
        language = _language(raw, where, tied_default=False)
        if language.max_position_embeddings > MAX_POSITION_EMBEDDINGS:
            raise AdapterError(
                f"{where}: max_position_embeddings is {language.max_position_embeddings}; OmniLMM-3B (MiniCPM-V 1.0) "
                "has "
                f"{MAX_POSITION_EMBEDDINGS}, and 4096 marks MiniCPM-V 2.0, which computes images differently under "
                "the same "
                "weight names. Use a MiniCPM-V 1.0 checkpoint."
            )
        heads = max(1, language.hidden_size // RESAMPLER_HEAD_WIDTH)
        if raw.get("resampler_num_heads") is not None:
            heads = _number(raw, "resampler_num_heads", where)
        config = cls(
            language=language,
            vision=_vision(raw.get("vision_config"), where),
            image_size=_number(raw, "image_size", where),
            query_num=_number(raw, "query_num", where),
            resampler_num_heads=heads,
            drop_vision_last_layer=_flag(raw, "drop_vision_last_layer", where, default=True),
        )
        _check_shapes(config, where)
        return config

    def to_dict(self) -> dict[str, Any]:
        """The fields as the original ``config.json`` names them; our extensions only where they are needed."""
        language = asdict(self.language)
        raw: dict[str, Any] = {
            "architectures": ["MiniCPMV"],
            "model_type": "minicpmv",
            **language,
            **FIXED_VALUES,
            "image_size": self.image_size,
            "query_num": self.query_num,
            "drop_vision_last_layer": self.drop_vision_last_layer,
            "vision_encoder": "vit_so400m_patch14_siglip_384.webli",
            "torch_dtype": "bfloat16",
        }
        if self.vision != VisionConfig():
            raw["vision_config"] = asdict(self.vision)
        if self.resampler_num_heads != max(1, self.language.hidden_size // RESAMPLER_HEAD_WIDTH):
            raw["resampler_num_heads"] = self.resampler_num_heads
        return raw


def read_language_config(path: str | Path) -> LanguageConfig:
    """The config of a text-only MiniCPM checkpoint (``model_type: minicpm``), e.g. MiniCPM-2B-sft-bf16."""
    raw, where = read_config(path)
    _refuse_other_models(raw, where, "minicpm", "the MiniCPM-2B text model")
    return _language(raw, where, tied_default=True)


def language_config_dict(config: LanguageConfig) -> dict[str, Any]:
    """A text-only MiniCPM ``config.json``, as the original names its fields."""
    fixed = {"architectures": ["MiniCPMForCausalLM"], "model_type": "minicpm", **FIXED_VALUES}
    return {**fixed, **asdict(config), "torch_dtype": "bfloat16"}


def read_config(path: str | Path) -> tuple[dict[str, Any], str]:
    """Parse ``config.json``, given itself or its folder. Returns the object and the name to use in messages."""
    file = Path(path)
    file = file / "config.json" if file.is_dir() else file
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise AdapterError(
            f"No config.json at {file.parent}: a checkpoint folder holds config.json, tokenizer.model and the weights. "
            "Check the path."
        ) from None
    except (OSError, ValueError) as error:
        raise AdapterError(
            f"{file} cannot be read as JSON ({error}). Copy it again from the original checkpoint."
        ) from error
    if not isinstance(raw, dict):
        raise AdapterError(
            f"{file} holds a {type(raw).__name__}, expected a JSON object. Copy it again from the checkpoint."
        )
    return raw, str(file)


def _refuse_other_models(raw: Mapping[str, Any], where: str, model_type: str, wanted: str) -> None:
    for key, meaning in LATER_VERSION_KEYS.items():
        if raw.get(key) is not None:
            raise AdapterError(
                f"{where}: the key {key!r} marks {meaning}; expected {wanted}, which has no such key. This "
                "implementation "
                "computes only that model; use its checkpoint, or an adapter made for the other one."
            )
    found = raw.get("model_type")
    if found != model_type:
        raise AdapterError(
            f"{where}: model_type is {found!r}, expected {model_type!r} ({wanted}). Use the adapter that belongs to "
            "this model."
        )
    for key, value in FIXED_VALUES.items():
        if raw.get(key, value) != value:
            raise AdapterError(
                f"{where}: {key} is {raw[key]!r}; {wanted} has {value!r}, and nothing else is implemented."
            )


def _refuse_near_misses(raw: Mapping[str, Any], where: str) -> None:
    """A misspelt extension would silently mean the default size: say so instead."""
    for key in raw:
        for known in ("vision_config", "resampler_num_heads"):
            if key != known and difflib.SequenceMatcher(None, key, known).ratio() > 0.88:
                raise AdapterError(f"{where}: unknown key {key!r}. Did you mean {known!r}?")


def _language(raw: Mapping[str, Any], where: str, *, tied_default: bool) -> LanguageConfig:
    heads = _number(raw, "num_attention_heads", where)
    config = LanguageConfig(
        vocab_size=_number(raw, "vocab_size", where),
        hidden_size=_number(raw, "hidden_size", where),
        intermediate_size=_number(raw, "intermediate_size", where),
        num_hidden_layers=_number(raw, "num_hidden_layers", where),
        num_attention_heads=heads,
        num_key_value_heads=_number(raw, "num_key_value_heads", where, default=heads),
        max_position_embeddings=_number(raw, "max_position_embeddings", where, default=MAX_POSITION_EMBEDDINGS),
        rms_norm_eps=_real(raw, "rms_norm_eps", where),
        rope_theta=_real(raw, "rope_theta", where, default=10000.0),
        scale_emb=_real(raw, "scale_emb", where),
        scale_depth=_real(raw, "scale_depth", where),
        dim_model_base=_number(raw, "dim_model_base", where),
        tie_word_embeddings=_flag(raw, "tie_word_embeddings", where, default=tied_default),
        bos_token_id=_number(raw, "bos_token_id", where, default=1),
        eos_token_id=_number(raw, "eos_token_id", where, default=2),
    )
    _divides(where, "hidden_size", config.hidden_size, "num_attention_heads", heads)
    _divides(where, "num_attention_heads", heads, "num_key_value_heads", config.num_key_value_heads)
    if config.head_dim % 2:
        raise AdapterError(
            f"{where}: heads of width {config.head_dim} cannot be rotated; expected an even hidden_size / heads."
        )
    return config


def _vision(raw: Any, where: str) -> VisionConfig:
    if raw is None:
        return VisionConfig()
    if not isinstance(raw, Mapping):
        raise AdapterError(f"{where}: vision_config is a {type(raw).__name__}, expected an object of sizes.")
    names = tuple(VisionConfig.__dataclass_fields__)
    for key in raw:
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " Is this a MiniCPM-V 2.5 or later config?"
            raise AdapterError(f"{where}: vision_config has the unknown key {key!r}.{hint} Known: {', '.join(names)}.")
    return VisionConfig(**{name: _number(raw, name, f"{where}: vision_config") for name in names})


def _check_shapes(config: OmniLMMConfig, where: str) -> None:
    vision, hidden = config.vision, config.language.hidden_size
    _divides(where, "image_size", config.image_size, "vision_config.patch_size", vision.patch_size)
    _divides(where, "vision_config.hidden_size", vision.hidden_size, "num_attention_heads", vision.num_attention_heads)
    _divides(where, "hidden_size", hidden, "resampler_num_heads", config.resampler_num_heads)
    _divides(where, "hidden_size", hidden, "4 (the two halves of sine and cosine)", 4)
    if config.query_side**2 != config.query_num:
        raise AdapterError(f"{where}: query_num is {config.query_num}, expected a square number such as 64.")
    if vision.table_side < 1:
        raise AdapterError(
            f"{where}: vision_config.image_size {vision.image_size} is below its patch_size {vision.patch_size}."
        )
    if config.num_vision_layers < 1:
        raise AdapterError(
            f"{where}: no vision layer is left after drop_vision_last_layer; num_hidden_layers must be >= 2."
        )


def _divides(where: str, name: str, value: int, by_name: str, by: int) -> None:
    if value % by:
        raise AdapterError(
            f"{where}: {name} {value} is not a multiple of {by_name} {by}; the tensors cannot be shaped so."
        )


def _number(raw: Mapping[str, Any], key: str, where: str, default: int | None = None) -> int:
    """A positive integer field."""
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise AdapterError(f"{where}: {key} is {value!r}, expected a positive whole number. Copy the file again.")
    return value


def _real(raw: Mapping[str, Any], key: str, where: str, default: float | None = None) -> float:
    """A positive, finite number field."""
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        raise AdapterError(f"{where}: {key} is {value!r}, expected a positive number. Copy the file again.")
    return float(value)


def _flag(raw: Mapping[str, Any], key: str, where: str, *, default: bool) -> bool:
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise AdapterError(f"{where}: {key} is {value!r}, expected true or false.")
    return value
