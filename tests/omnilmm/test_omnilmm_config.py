"""config.json: the released one is read as it is; other models, and mistakes, are refused with the reason."""

import json
from pathlib import Path
from typing import Any

import pytest

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig, VisionConfig, read_language_config

RELEASED: dict[str, Any] = {
    "architectures": ["MiniCPMV"],
    "attention_bias": False,
    "bos_token_id": 1,
    "dim_model_base": 256,
    "drop_vision_last_layer": True,
    "eos_token_id": 2,
    "hidden_act": "silu",
    "hidden_size": 2304,
    "image_size": 448,
    "intermediate_size": 5760,
    "max_position_embeddings": 2048,
    "model_type": "minicpmv",
    "num_attention_heads": 36,
    "num_hidden_layers": 40,
    "num_key_value_heads": 36,
    "query_num": 64,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "scale_depth": 1.4,
    "scale_emb": 12,
    "tie_word_embeddings": False,
    "vocab_size": 122753,
}
VISION = {
    "hidden_size": 128,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "patch_size": 8,
    "image_size": 64,
}


def test_released_config_without_extensions_is_the_original_model() -> None:
    config = OmniLMMConfig.from_dict(RELEASED)
    assert config == OmniLMMConfig()
    assert config.vision == VisionConfig()
    assert (config.grid_side, config.vision.table_side, config.num_vision_layers) == (32, 27, 26)
    assert (config.query_side, config.resampler_num_heads) == (8, 18)
    assert config.language.residual_scale == pytest.approx(0.22135943621178655)
    assert config.language.logit_divisor == 9.0


def test_released_file_is_read(shared: Path) -> None:
    assert OmniLMMConfig.from_json(shared / "reference" / "omnilmm-3b") == OmniLMMConfig()


def test_extensions_describe_another_size_and_survive_a_round_trip() -> None:
    raw = RELEASED | {"vision_config": VISION, "image_size": 128, "query_num": 16, "resampler_num_heads": 6}
    config = OmniLMMConfig.from_dict(raw)
    assert (config.grid_side, config.vision.table_side, config.num_vision_layers) == (16, 8, 4)
    assert OmniLMMConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
    assert "vision_config" not in OmniLMMConfig().to_dict()
    assert "resampler_num_heads" not in OmniLMMConfig().to_dict()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"slice_mode": True}, "MiniCPM-V 2.0"),
        ({"max_slice_nums": 9}, "MiniCPM-V 2.0"),
        ({"slice_config": {"max_slice_nums": 9}}, "MiniCPM-V 2.5"),
        ({"version": 2.6}, "MiniCPM-V 2.6"),
        ({"max_position_embeddings": 4096}, "MiniCPM-V 2.0"),
        ({"model_type": "llava"}, "'llava'"),
        ({"model_type": None}, "model_type is None"),
        ({"rope_scaling": {"type": "linear"}}, "rope_scaling"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"query_num": 60}, "square number"),
        ({"image_size": 450}, "multiple of"),
        ({"hidden_size": 2300}, "multiple of"),
        ({"vocab_size": None}, "vocab_size is None"),
        ({"vocab_size": True}, "vocab_size is True"),
        ({"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ({"scale_emb": "12"}, "scale_emb"),
        ({"tie_word_embeddings": "no"}, "tie_word_embeddings"),
        ({"vision_conifg": VISION}, "Did you mean 'vision_config'"),
        ({"resampler_num_head": 6}, "Did you mean 'resampler_num_heads'"),
        ({"vision_config": VISION | {"patchsize": 8}}, "Did you mean 'patch_size'"),
        ({"vision_config": {"hidden_size": 128}}, "num_hidden_layers is None"),
        ({"vision_config": [128]}, "expected an object"),
        ({"vision_config": VISION | {"num_hidden_layers": 1}}, "no vision layer is left"),
    ],
)
def test_anything_else_is_refused_with_the_reason(change: dict[str, Any], says: str) -> None:
    with pytest.raises(AdapterError, match="config") as caught:
        OmniLMMConfig.from_dict(RELEASED | change, "model/config.json")
    assert says in str(caught.value)


def test_text_config_is_tied_unless_it_says_otherwise(tmp_path: Path) -> None:
    raw = {
        key: value for key, value in RELEASED.items() if key not in ("tie_word_embeddings", "image_size", "query_num")
    }
    (tmp_path / "config.json").write_text(json.dumps(raw | {"model_type": "minicpm"}))
    assert read_language_config(tmp_path) == LanguageConfig(tie_word_embeddings=True)
    (tmp_path / "config.json").write_text(json.dumps(raw | {"model_type": "llama"}))
    with pytest.raises(AdapterError, match="expected 'minicpm'"):
        read_language_config(tmp_path)


@pytest.mark.parametrize(
    ("content", "says"), [(None, "No config.json"), ("{", "cannot be read as JSON"), ("[]", "expected a JSON object")]
)
def test_missing_or_broken_file_is_named(tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(AdapterError, match=says):
        OmniLMMConfig.from_json(tmp_path)
