"""Random weights in the original layout: a small set always, the full 3.4 B configuration on request."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.random_weights import write_random_checkpoint

PROJECT = Path(__file__).resolve().parents[2]
MOST_GB = 9.0


def test_random_weights_load_as_their_config_says(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = write_random_checkpoint(tiny_checkpoint, tmp_path / "random")
    again = write_random_checkpoint(tiny_checkpoint, tmp_path / "again")
    assert (folder / "model.safetensors").read_bytes() == (again / "model.safetensors").read_bytes()
    model = OmniLMM.from_checkpoint(folder, device="cpu")
    assert model.llm.model.norm.weight.unique().tolist() == [1.0]
    assert model.vpm.siglip.post_layernorm.bias.unique().tolist() == [0.0]
    assert not model.llm.is_tied
    assert model.llm.lm_head.weight.std().item() == pytest.approx(0.02, rel=0.05)


def test_random_weights_follow_the_index_of_the_source(tiny_checkpoint: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("config.json", "tokenizer.model"):
        (source / name).write_bytes((tiny_checkpoint / name).read_bytes())
    from model_adapters.omnilmm.config import OmniLMMConfig
    from model_adapters.omnilmm.layout import OmniLMMLayout

    names = list(OmniLMMLayout(OmniLMMConfig.from_json(source)).shapes())
    weight_map = {name: f"model-0000{1 + name.startswith('vpm')}-of-00002.safetensors" for name in names}
    index = source / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    folder = write_random_checkpoint(source, tmp_path / "random")
    assert sorted(file.name for file in folder.glob("*.safetensors")) == sorted(set(weight_map.values()))
    OmniLMM.from_checkpoint(folder, device="cpu")
    index.write_text(json.dumps({"weight_map": {**weight_map, "llm.extra": "model-00001-of-00002.safetensors"}}))
    with pytest.raises(AdapterError, match=r"1 tensors differ, e\.g\. llm\.extra"):
        write_random_checkpoint(source, tmp_path / "other")


@pytest.mark.full_size
def test_full_configuration_loads_and_answers_on_the_cpu_within_nine_gigabytes(shared: Path, tmp_path: Path) -> None:
    folder = write_random_checkpoint(shared / "reference" / "omnilmm-3b", tmp_path / "full")
    try:
        command = [sys.executable, str(PROJECT / "benchmarks" / "full_size.py"), str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROJECT, timeout=3600)
    finally:
        for file in folder.glob("*.safetensors"):
            file.unlink()
    figures = json.loads(done.stdout)
    print(json.dumps(figures, indent=1))
    assert figures["parameters"] == 3_434_965_792 + (1024 - 729) * 1152  # the position table is resampled to 32 x 32
    assert figures["new_tokens"] == 8
    assert figures["load_peak_over_weights"] < 1.3
    assert figures["peak_rss_gb"] < MOST_GB
