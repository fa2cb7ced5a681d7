"""Fine-tunes and number formats of one checkpoint: averaged, with a LoRA adapter, quantised."""

from __future__ import annotations

import builtins
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from adapter_contract import AdapterContract, ask, plain_picture
from safetensors.torch import load_file, save_file

from model_adapters import load_adapter
from model_adapters.contract import AdapterError, ModelAdapter, Request
from model_adapters.omnilmm import fingerprint
from model_adapters.omnilmm.average import read_parts
from model_adapters.omnilmm.modeling import OmniLMM
from model_adapters.omnilmm.quantize import stored_bytes
from model_adapters.registry import adapter_class

R, ALPHA = 3, 12.0
LANGUAGE_TARGETS = ["llm.model.layers.0.self_attn.q_proj", "llm.model.layers.1.mlp.down_proj"]


def adapted(folder: Path, targets: dict[str, tuple[int, int]], **config: Any) -> Path:
    """A LoRA adapter with random matrices, as PEFT writes it; targets with (out, in) of their weights."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for name, (rows, columns) in targets.items():
        tensors[f"base_model.model.{name}.lora_A.weight"] = torch.randn(R, columns, generator=generator) * 0.3
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.randn(rows, R, generator=generator) * 0.3
    save_file(tensors, folder / "adapter_model.safetensors")
    raw = {"peft_type": "LORA", "r": R, "lora_alpha": ALPHA, "base_model_name_or_path": "x"} | config
    (folder / "adapter_config.json").write_text(json.dumps(raw))
    return folder


def delta(folder: Path, name: str, scale: float = ALPHA / R) -> torch.Tensor:
    tensors = load_file(folder / "adapter_model.safetensors")
    prefix = f"base_model.model.{name}"
    return scale * tensors[f"{prefix}.lora_B.weight"] @ tensors[f"{prefix}.lora_A.weight"]


def load(checkpoint: Path | str, **options: Any) -> Any:
    return load_adapter("omnilmm", checkpoint=str(checkpoint), device="cpu", dtype="float32", **options)


def weight(model: OmniLMM, name: str) -> torch.Tensor:
    return model.get_submodule(name).weight.detach()


@pytest.fixture(scope="module")
def second_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sizes, other weights."""
    folder = tmp_path_factory.mktemp("second")
    for file in tiny_checkpoint.iterdir():
        if file.suffix != ".safetensors":
            (folder / file.name).write_bytes(file.read_bytes())
    weights = load_file(tiny_checkpoint / "model.safetensors")
    generator = torch.Generator().manual_seed(11)
    noisy = {n: (w.float() + torch.randn(w.shape, generator=generator) * 0.02).to(w.dtype) for n, w in weights.items()}
    save_file(noisy, folder / "model.safetensors")
    return folder


# -- LoRA


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({}, ALPHA / R),
        ({"use_rslora": True}, ALPHA / R**0.5),
        ({"alpha_pattern": {"q_proj": 6.0}}, 6.0 / R),
    ],
)
def test_a_lora_adapter_adds_exactly_scale_b_a(
    tiny_checkpoint: Path, tmp_path: Path, config: dict[str, Any], scale: float
) -> None:
    plain = OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu")
    folder = adapted(tmp_path, {LANGUAGE_TARGETS[0]: (64, 64)}, **config)
    merged = load(tiny_checkpoint, lora=str(folder)).model
    for name in (LANGUAGE_TARGETS[0], LANGUAGE_TARGETS[1]):
        expected = weight(plain, name) + (delta(folder, name, scale) if name == LANGUAGE_TARGETS[0] else 0.0)
        assert torch.allclose(weight(merged, name), expected, atol=1e-6, rtol=0)


def test_an_adapter_of_the_original_layout_reaches_all_three_parts_of_a_joint_matrix(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    plain = OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu")
    stored = adapted(tmp_path / "stored", {"vpm.blocks.1.attn.qkv": (144, 48)})
    attention = "vpm.siglip.encoder.layers.1.self_attn"
    merged = load(tiny_checkpoint, lora=str(stored)).model
    for third, part in zip(delta(stored, "vpm.blocks.1.attn.qkv").chunk(3), "qkv", strict=True):
        name = f"{attention}.{part}_proj"
        assert torch.allclose(weight(merged, name), weight(plain, name) + third, atol=1e-6, rtol=0)
    ours = adapted(tmp_path / "ours", {f"{attention}.v_proj": (48, 48)})
    merged = load(tiny_checkpoint, lora=str(ours)).model
    change = delta(ours, f"{attention}.v_proj")
    assert torch.allclose(
        weight(merged, f"{attention}.v_proj"), weight(plain, f"{attention}.v_proj") + change, atol=1e-6, rtol=0
    )
    assert torch.equal(weight(merged, f"{attention}.k_proj"), weight(plain, f"{attention}.k_proj"))


def test_merging_equals_peft(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """Trained by PEFT on this project's modules, saved by PEFT, merged by both."""
    targets = r".*(layers\.\d\.self_attn\.(q|v)_proj|mlp\.down_proj|mlp\.fc1|kv_proj|lm_head)"
    config = peft.LoraConfig(
        r=4, lora_alpha=8, target_modules=targets, rank_pattern={"down_proj": 2}, alpha_pattern={"fc1": 5},
        modules_to_save=["ln_post"],
    )  # fmt: skip
    torch.manual_seed(5)
    wrapped = peft.get_peft_model(OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu"), config)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    wrapped.save_pretrained(tmp_path)
    theirs = dict(wrapped.merge_and_unload().named_parameters())
    ours = dict(load(tiny_checkpoint, lora=str(tmp_path)).model.named_parameters())
    assert set(ours) == set(theirs)
    assert max((ours[name] - theirs[name]).abs().max().item() for name in ours) < 1e-6
    assert (ours["resampler.ln_post.weight"] - 1).abs().max() > 0.01


def test_a_merged_adapter_changes_name_and_weights_of_the_identity(tiny_checkpoint: Path, tmp_path: Path) -> None:
    plain = load(tiny_checkpoint).identity()
    folder = adapted(tmp_path / "tuned", {LANGUAGE_TARGETS[0]: (64, 64)})
    first, again = (load(tiny_checkpoint, lora=str(folder)).identity() for _ in range(2))
    assert first == again
    assert first["model"] == f"{plain['model']}+tuned"
    other = load(tiny_checkpoint, lora=str(adapted(folder, {LANGUAGE_TARGETS[0]: (64, 64)}, lora_alpha=3))).identity()
    assert len({plain["weights"], first["weights"], other["weights"]}) == 3
    assert "lora" not in plain


@pytest.mark.parametrize(
    ("targets", "config", "parts"),
    [
        ({"llm.model.layers.9.self_attn.q_proj": (64, 64)}, {}, ["layers.9", "does not have", "another model"]),
        ({LANGUAGE_TARGETS[0]: (32, 64)}, {}, ["shape [32, 64]", "has [64, 64]", "another size"]),
        ({LANGUAGE_TARGETS[0]: (64, 64)}, {"peft_type": "IA3"}, ["IA3 adapter", "merge_and_unload"]),
        ({LANGUAGE_TARGETS[0]: (64, 64)}, {"use_dora": True}, ["use_dora", "merge_and_unload"]),
        ({LANGUAGE_TARGETS[0]: (64, 64)}, {"r": 7}, ["rank 3", "says 7", "different adapters"]),
        ({LANGUAGE_TARGETS[0]: (64, 64)}, {"rank_pattern": {"q_proj": 5}}, ["rank 3", "says 5"]),
        ({LANGUAGE_TARGETS[0]: (64, 64)}, {"lora_alpha": None}, ["lora_alpha is None", "expected a number"]),
        ({LANGUAGE_TARGETS[0]: (64, 64)}, {"lora_alpha": float("nan")}, ["lora_alpha is nan"]),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused(
    tiny_checkpoint: Path, tmp_path: Path, targets: dict[str, tuple[int, int]], config: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(AdapterError) as refused:
        load(tiny_checkpoint, lora=str(adapted(tmp_path, targets, **config)))
    assert [part for part in parts if part not in str(refused.value)] == []


def test_an_adapter_folder_that_is_none_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"adapter_config\.json does not exist"):
        load(tiny_checkpoint, lora=str(tmp_path))
    (tmp_path / "adapter_config.json").write_text("[]")
    with pytest.raises(AdapterError, match="not an adapter's configuration"):
        load(tiny_checkpoint, lora=str(tmp_path))
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    with pytest.raises(AdapterError, match=r"holds no adapter_model\.safetensors"):
        load(tiny_checkpoint, lora=str(tmp_path))


# -- averages


def test_an_average_is_the_weighted_mean_of_each_tensor(tiny_checkpoint: Path, second_checkpoint: Path) -> None:
    a = OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu")
    b = OmniLMM.from_checkpoint(second_checkpoint, "float32", "cpu")
    mean = load_adapter("omnilmm", average=f"{tiny_checkpoint}:1,{second_checkpoint}:3", device="cpu", dtype="float32")
    for name, parameter in mean.model.named_parameters():  # type: ignore[attr-defined]
        expected = 0.25 * a.get_parameter(name) + 0.75 * b.get_parameter(name)
        assert torch.allclose(parameter, expected, atol=1e-5, rtol=0), name


def test_the_order_of_an_average_does_not_matter(tiny_checkpoint: Path, second_checkpoint: Path) -> None:
    pair = [str(tiny_checkpoint), str(second_checkpoint)]
    one, other = (load_adapter("omnilmm", average=",".join(p), device="cpu") for p in (pair, pair[::-1]))
    assert one.identity()["weights"] == other.identity()["weights"]
    state, theirs = one.model.state_dict(), other.model.state_dict()  # type: ignore[attr-defined]
    assert all(torch.equal(state[name], theirs[name]) for name in state)


def test_an_average_and_an_adapter_go_together(tiny_checkpoint: Path, second_checkpoint: Path, tmp_path: Path) -> None:
    folder = adapted(tmp_path / "tuned", {LANGUAGE_TARGETS[0]: (64, 64)})
    average = f"{tiny_checkpoint},{second_checkpoint}"
    mean = load_adapter("omnilmm", average=average, device="cpu", dtype="float32")
    both = load_adapter("omnilmm", average=average, lora=str(folder), device="cpu", dtype="float32")
    change = delta(folder, LANGUAGE_TARGETS[0])
    got = weight(both.model, LANGUAGE_TARGETS[0])  # type: ignore[attr-defined]
    assert torch.allclose(got, weight(mean.model, LANGUAGE_TARGETS[0]) + change, atol=1e-5, rtol=0)  # type: ignore[attr-defined]
    assert both.identity()["model"].startswith("mean(")
    assert both.identity()["model"].endswith("+tuned")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("small-early", "two checkpoints or more"),
        ("small-early,", "two checkpoints or more"),
        ("small-early,small-finall", "Did you mean 'small-final'"),
        ("small-early:0.5,small-final", "a positive weight for each"),
        ("small-early:-1,small-final:2", "a positive weight for each"),
        ("small-early:nan,small-final:2", "a positive weight for each"),
    ],
)
def test_averages_that_mean_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(AdapterError, match=message):
        read_parts(text)


def test_checkpoints_of_other_sizes_are_not_averaged(tiny_checkpoint: Path) -> None:
    with pytest.raises(AdapterError, match="cannot be averaged"):
        load_adapter("omnilmm", average=f"{tiny_checkpoint},small-final", device="cpu")


def test_a_checkpoint_and_an_average_exclude_each_other(tiny_checkpoint: Path) -> None:
    with pytest.raises(AdapterError, match=r"either checkpoint=\.\.\. or average"):
        load(tiny_checkpoint, average="small-early,small-final")


# -- quantisation


@pytest.mark.parametrize(("kind", "levels", "group"), [("int8", 127, 64), ("int4", 7, 32)])
def test_quantised_matrices_are_off_by_half_a_step_at_most(
    tiny_checkpoint: Path, kind: str, levels: int, group: int
) -> None:
    plain = OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu")
    quantised = load(tiny_checkpoint, quantize=kind).model
    name = LANGUAGE_TARGETS[0]
    exact, rounded = weight(plain, name), quantised.get_submodule(name).weight.dequantize()
    largest = exact.unflatten(1, (-1, group)).abs().amax(-1, keepdim=True)
    off = (exact - rounded).unflatten(1, (-1, group)).abs()
    assert bool((off <= largest / levels * 0.51 + 1e-7).all())
    assert off.max() > 0


@pytest.mark.parametrize("vision", [False, True])
def test_resampler_head_and_embedding_stay_as_they_are(tiny_checkpoint: Path, vision: bool) -> None:
    plain = OmniLMM.from_checkpoint(tiny_checkpoint, "float32", "cpu")
    quantised = load(tiny_checkpoint, quantize="int8", quantize_vision=vision).model
    changed = {
        name
        for name, parameter in quantised.named_parameters()
        if type(parameter.data) is not torch.Tensor or not torch.equal(parameter, plain.get_parameter(name))
    }
    assert any(name.startswith("llm.model.layers.") for name in changed)
    assert any(name.startswith("vpm.") for name in changed) == vision
    assert not [name for name in changed if name.startswith(("resampler", "llm.lm_head", "llm.model.embed"))]
    assert not [name for name in changed if "norm" in name]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("kind", [None, "int8", "int4"])
def test_every_number_format_answers_and_is_part_of_the_identity(
    tiny_checkpoint: Path, dtype: str, kind: str | None
) -> None:
    made = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", dtype=dtype, quantize=kind)
    (response,) = made.generate([ask("q", plain_picture(), "What is it?")])
    identity = made.identity()
    assert response.failure is None
    assert (identity["dtype"], identity.get("quantize")) == (dtype, kind)
    assert identity["model"].endswith(f"+{kind}") == (kind is not None)


def test_weights_of_eight_bits_take_less_memory(tiny_checkpoint: Path) -> None:
    plain, small = load(tiny_checkpoint), load(tiny_checkpoint, quantize="int8", quantize_vision=True)
    matrix = small.model.get_submodule(LANGUAGE_TARGETS[0]).weight
    assert 64 * 64 < stored_bytes(matrix) <= 64 * 64 + 64 * 8  # one byte a value; scale and zero point of each row
    assert small.memory_mib()["weights_mib"] < plain.memory_mib()["weights_mib"]


def test_a_format_that_does_not_exist_is_refused_before_weights_are_read(tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"quantize='int9'.* Did you mean 'int8'"):
        load(tmp_path, quantize="int9")


def test_quantising_without_its_library_names_the_line_that_installs_it(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("torchao"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(AdapterError, match=r"pip install 'omnilmm-eval\[quantize\]'"):
        load(tiny_checkpoint, quantize="int8")


class TestQuantised(AdapterContract):
    """A quantised, averaged, adapted model keeps the whole contract."""

    @pytest.fixture(scope="class")
    @classmethod
    def build(
        cls, tiny_checkpoint: Path, second_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Callable[[], ModelAdapter]:
        lora = adapted(tmp_path_factory.mktemp("lora"), {LANGUAGE_TARGETS[0]: (64, 64)})
        options = {"average": f"{tiny_checkpoint},{second_checkpoint}", "lora": str(lora), "quantize": "int8"}
        return lambda: load_adapter("omnilmm", device="cpu", batch_size=5, **options)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return [ask(f"r{i}", plain_picture(40 * (i % 3)), f"What is it? {i}") for i in range(10)]


# -- reading stored weights again


@pytest.mark.parametrize("changed", ["first", "second", "tuned"])
@pytest.mark.parametrize("through", ["omnilmm", "blind"])
def test_verifying_reads_every_file_that_a_variant_is_made_of(
    tiny_checkpoint: Path,
    second_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: str,
    through: str,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "REMEMBERED_ABOVE_BYTES", 0)
    for source, name in ((tiny_checkpoint, "first"), (second_checkpoint, "second")):
        shutil.copytree(source, tmp_path / name)
    lora = adapted(tmp_path / "tuned", {LANGUAGE_TARGETS[0]: (64, 64)})
    options = {"average": f"{tmp_path / 'first'},{tmp_path / 'second'}", "lora": str(lora)}
    verify = adapter_class(through).verify_weights
    known = verify(**options)
    assert known is not None
    assert known.count(",") == 2
    assert known == verify(**options)
    file = next((tmp_path / changed).glob("*.safetensors"))
    stat, data = file.stat(), bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # size and time say that nothing changed
    with pytest.raises(AdapterError, match=f"weights in .*{changed} are not what they were"):
        verify(**options)
    again = verify(**options)
    assert again is not None
    assert sum(a != b for a, b in zip(again.split(", "), known.split(", "), strict=True)) == 1
