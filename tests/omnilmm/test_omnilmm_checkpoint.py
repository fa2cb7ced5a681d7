"""Weights: saved and loaded in the original layout without loss, and refused with one clear error otherwise."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from model_adapters.contract import AdapterError
from model_adapters.omnilmm import fingerprint
from model_adapters.omnilmm.adapter import OmniLMMAdapter
from model_adapters.omnilmm.checkpoint import load_weights, save_checkpoint
from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.layout import OmniLMMLayout
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.tensor_files import SafetensorsFile, open_tensor_files

ASKED = [{"role": "user", "content": "What is it?"}]


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A checkpoint to damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def load(folder: Path, dtype: str = "float32") -> OmniLMM:
    return OmniLMM.from_checkpoint(folder, dtype=dtype, device="cpu")


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    edit(weights)
    save_file(weights, folder / "model.safetensors")


def test_saved_again_the_weights_are_the_same(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """All but the position table, which is stored for the grid that runs."""
    model = load(tiny_checkpoint, "bfloat16")
    tokenizer = tiny_checkpoint / "tokenizer.model"
    again = save_checkpoint(model, tmp_path, model.config, tokenizer_model=tokenizer)
    before, after = load_file(tiny_checkpoint / "model.safetensors"), load_file(again / "model.safetensors")
    assert set(before) == set(after)
    differing = [name for name in before if not torch.equal(before[name], after[name])] if before else []
    assert differing == ["vpm.pos_embed"]
    assert after["vpm.pos_embed"].shape == (1, 64, 48)
    assert OmniLMMConfig.from_json(again).vision.image_size == 64


def test_shards_hold_the_same_model(tiny_checkpoint: Path, tmp_path: Path, pictures: list) -> None:
    model = load(tiny_checkpoint)
    tokenizer = tiny_checkpoint / "tokenizer.model"
    single = save_checkpoint(model, tmp_path / "single", model.config, tokenizer_model=tokenizer)
    sharded = save_checkpoint(
        model, tmp_path / "sharded", model.config, tokenizer_model=tokenizer, max_shard_bytes=100_000
    )
    shards = list(sharded.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert not (sharded / "model.safetensors").exists()
    same = load(sharded).next_token_logits(pictures[0], ASKED)
    torch.testing.assert_close(same, load(single).next_token_logits(pictures[0], ASKED), rtol=0, atol=0)
    prints = [weights_fingerprint(open_tensor_files(folder)) for folder in (single, sharded)]
    assert prints[0] == prints[1]


def test_fp32_arithmetic_starts_from_the_stored_bf16(tiny_checkpoint: Path) -> None:
    stored = load_file(tiny_checkpoint / "model.safetensors")
    model = load(tiny_checkpoint)
    assert torch.equal(model.llm.lm_head.weight, stored["llm.lm_head.weight"].float())
    qkv = stored["vpm.blocks.1.attn.qkv.weight"].float()
    attention = model.vpm.siglip.encoder.layers[1].self_attn
    assert torch.equal(torch.cat([attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight]), qkv)


def test_a_tensor_sent_to_a_device_is_the_one_that_is_read(tiny_checkpoint: Path) -> None:
    file = SafetensorsFile(tiny_checkpoint / "model.safetensors")
    assert all(torch.equal(file.read_to(name, torch.device("cpu")), file.read(name)) for name in file.shapes)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_only_tensors_stored_as_wanted_go_straight_to_another_device(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """The meta device stands for a GPU."""
    sent: set[str] = set()

    def read_to(file: SafetensorsFile, name: str, device: torch.device) -> torch.Tensor:
        sent.add(name)
        return file.read(name).to(device)

    monkeypatch.setattr(SafetensorsFile, "read_to", read_to)
    model = load(tiny_checkpoint)
    files = load_weights(model, tiny_checkpoint, OmniLMMLayout(model.config), dtype=dtype, device=torch.device("meta"))
    assert sent == ({name for name in files if name != "vpm.pos_embed"} if dtype == torch.bfloat16 else set())
    assert all(parameter.is_meta and parameter.dtype == dtype for parameter in model.parameters())


def test_nothing_is_left_on_the_meta_device(tiny_checkpoint: Path) -> None:
    model = load(tiny_checkpoint, "bfloat16")
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    assert [name for name, tensor in tensors.items() if tensor.is_meta] == []
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.resampler.pos_embed.requires_grad


def test_equal_head_and_embedding_are_kept_once(copy: Path) -> None:
    assert not load(copy).llm.is_tied
    change(copy, lambda w: w.update({"llm.lm_head.weight": w["llm.model.embed_tokens.weight"].clone()}))
    assert load(copy).llm.is_tied


def test_a_head_that_the_config_ties_need_not_be_stored(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": True}))
    change(copy, lambda w: w.pop("llm.lm_head.weight"))
    model = load(copy)
    assert model.llm.is_tied
    assert not model.llm.lm_head.weight.is_meta


def test_pytorch_bin_gives_the_same_model(copy: Path, pictures: list) -> None:
    expected = load(copy).next_token_logits(pictures[1], ASKED)
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    assert torch.equal(load(copy).next_token_logits(pictures[1], ASKED), expected)


def test_pytorch_bin_with_code_in_it_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({"llm.lm_head.weight": torch.zeros(1), "run": Path}, copy / "pytorch_model.bin")
    with pytest.raises(AdapterError, match=r"plain weights|mapping of names to tensors"):
        load(copy)


def test_one_error_lists_missing_unexpected_and_wrong_tensors(copy: Path) -> None:
    def damage(weights: dict[str, torch.Tensor]) -> None:
        del weights["vpm.norm.bias"], weights["llm.model.layers.1.mlp.up_proj.weight"]
        weights["vpm.blocks.2.norm1.weight"] = torch.zeros(48)
        weights["resampler.query"] = torch.zeros(16, 64)

    change(copy, damage)
    with pytest.raises(AdapterError) as caught:
        load(copy)
    message = str(caught.value)
    assert "2 missing: llm.model.layers.1.mlp.up_proj.weight, vpm.norm.bias" in message
    assert "1 unexpected: vpm.blocks.2.norm1.weight" in message
    assert "1 of another shape: resampler.query [16, 64] instead of [9, 64]" in message


def test_long_lists_of_tensors_are_cut(copy: Path) -> None:
    change(copy, lambda w: [w.pop(name) for name in list(w) if name.startswith("llm.")])
    with pytest.raises(AdapterError, match=r"21 missing: .*, \.\.\."):
        load(copy)


@pytest.mark.parametrize("kept", [0, 5, 1000, -100])
def test_truncated_weights_are_named(copy: Path, kept: int) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:kept])
    with pytest.raises(AdapterError, match=r"model\.safetensors is truncated"):
        load(copy)


def test_garbage_is_no_safetensors_file(copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0" + b"not json at all!")
    with pytest.raises(AdapterError, match="no readable safetensors header"):
        load(copy)


def test_missing_shard_is_named(tiny_checkpoint: Path, tmp_path: Path) -> None:
    model = load(tiny_checkpoint)
    tokenizer = tiny_checkpoint / "tokenizer.model"
    save_checkpoint(model, tmp_path, model.config, tokenizer_model=tokenizer, max_shard_bytes=200_000)
    lost = sorted(tmp_path.glob("model-*.safetensors"))[1]
    lost.unlink()
    with pytest.raises(AdapterError, match=f"lacks 1 of .*{lost.name}"):
        load(tmp_path)


def test_index_of_another_checkpoint_is_refused(copy: Path) -> None:
    (copy / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"llm.lm_head.weight": "model.safetensors", "llm.other": "model.safetensors"}})
    )
    with pytest.raises(AdapterError, match=r"llm\.other in model\.safetensors"):
        load(copy)
    for text in ("{}", "[]", '{"weight_map": {"a": 5}}', '{"weight_map": {"a": "../model.safetensors"}}'):
        (copy / "model.safetensors.index.json").write_text(text)
        with pytest.raises(AdapterError, match="not a weight index"):
            load(copy)


def test_folder_without_weights_or_no_folder_is_named(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(AdapterError, match="holds no weights"):
        load(copy)
    with pytest.raises(AdapterError, match=r"No config\.json"):
        load(copy / "absent")


def test_tokenizer_of_another_checkpoint_is_refused(
    copy: Path, tiny_checkpoint: Path, shared: Path, tmp_path: Path
) -> None:
    shutil.copy(shared / "reference" / "omnilmm_ref_a" / "checkpoint" / "tokenizer.model", copy)
    with pytest.raises(AdapterError, match=r"3000 pieces.*vocab_size 420"):
        load(copy)
    large = tmp_path / "large"
    shutil.copytree(shared / "reference" / "omnilmm_ref_a" / "checkpoint", large)
    shutil.copy(tiny_checkpoint / "tokenizer.model", large)
    with pytest.raises(AdapterError, match=r"400 pieces.*vocab_size 3000"):
        load(large)


def test_text_checkpoint_stores_the_tied_matrix_once(tiny_text_checkpoint: Path) -> None:
    assert "lm_head.weight" not in load_file(tiny_text_checkpoint / "model.safetensors")
    model = MiniCPM.from_checkpoint(tiny_text_checkpoint, device="cpu")
    assert model.llm.is_tied
    assert len(model.generate_ids(ASKED, max_new_tokens=3)) <= 3


def test_fingerprint_changes_with_any_byte(copy: Path) -> None:
    before = weights_fingerprint(open_tensor_files(copy))
    change(copy, lambda w: w["vpm.norm.bias"].view(torch.int16)[0].add_(1))
    assert weights_fingerprint(open_tensor_files(copy)) != before
    assert len(before) == 64


def test_weights_that_changed_unseen_are_found_by_reading_them_again(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "REMEMBERED_ABOVE_BYTES", 0)
    known = OmniLMMAdapter.verify_weights(checkpoint=str(copy))
    assert known == OmniLMMAdapter.verify_weights(checkpoint=str(copy)) == weights_fingerprint(open_tensor_files(copy))
    file = copy / "model.safetensors"
    time = file.stat()
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert weights_fingerprint(open_tensor_files(copy)) == known  # size and time say that nothing changed
    with pytest.raises(AdapterError, match="are not what they were when their fingerprint was computed"):
        OmniLMMAdapter.verify_weights(checkpoint=str(copy))
    assert OmniLMMAdapter.verify_weights(checkpoint=str(copy)) != known


def test_fingerprint_of_a_large_checkpoint_is_remembered(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "REMEMBERED_ABOVE_BYTES", 0)
    before = weights_fingerprint(open_tensor_files(copy))
    monkeypatch.setattr(fingerprint, "_hash", lambda files: pytest.fail("hashed again"))
    assert weights_fingerprint(open_tensor_files(copy)) == before
    assert {file.name for file in copy.iterdir()} == {
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.model",
    }


def test_model_can_be_trained(tiny_checkpoint: Path, pictures: list) -> None:
    """Gradients reach every stored tensor but the frozen position table."""
    model = load(tiny_checkpoint).train()
    prompt = model.prompt(ASKED)
    ids = torch.tensor([prompt.ids])
    embeds = model.splice(ids, model.image_features(model.pixels(pictures[:1])), prompt.image_slot)
    model.llm(inputs_embeds=embeds).logits.pow(2).mean().backward()
    untouched = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert untouched == ["resampler.pos_embed"]


def test_layout_packs_what_it_unpacks(tiny_checkpoint: Path) -> None:
    model = load(tiny_checkpoint)
    layout = OmniLMMLayout(model.config)
    shapes = {name: tuple(tensor.shape) for name, tensor in layout.pack(model.state_dict()).items()}
    assert {k: v for k, v in shapes.items() if k != "vpm.pos_embed"} == {
        k: v for k, v in layout.shapes().items() if k != "vpm.pos_embed"
    }
