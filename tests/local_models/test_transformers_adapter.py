"""The adapter ``transformers``: the library's own answers, its settings, variants, and what it refuses."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tiny_models
import torch
from adapter_contract import ask, plain_picture

import run_eval
from model_adapters import load_adapter
from model_adapters.contract import AdapterError, GenerationSettings, Request, Response, Turn
from model_adapters.omnilmm import fingerprint
from model_adapters.probe import TokenClock
from model_adapters.registry import adapter_class
from model_adapters.transformers_models.loading import clean_generation_config
from model_adapters.transformers_models.source import find_source

SEEING = ["llava", "idefics3", "qwen2_vl", "internvl", "gemma3", "minicpmv"]
LONG = GenerationSettings(max_new_tokens=12)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny checkpoints by kind, made when first asked for."""

    class Made(dict[str, Path]):
        def __missing__(self, kind: str) -> Path:
            self[kind] = tiny_models.build(kind, tmp_path_factory.mktemp("tiny") / kind)
            return self[kind]

    return Made()


def load(folder: Path, **options: Any) -> Any:
    return load_adapter("transformers", checkpoint=str(folder), device="cpu", dtype="float32", **options)


def questions(*settings: GenerationSettings, n: int = 5) -> list[Request]:
    texts = ["What is it?", "Is it red? yes", "x", "图片里有什么?", "Answer A. B. C. neither of them"]
    (chosen,) = settings or (LONG,)
    return [ask(f"q{i}", plain_picture(40 * i), texts[i % 5], generation=chosen) for i in range(n)]


def texts(responses: Any) -> dict[str, str]:
    found: dict[str, Response] = {response.request_id: response for response in responses}
    assert [r.failure for r in found.values() if r.failure] == []
    return {name: response.text for name, response in found.items()}


# -- the library's own answers


@pytest.mark.parametrize("kind", SEEING)
@pytest.mark.parametrize("beams", [1, 3])
def test_answers_are_those_of_the_library_one_by_one(folders: dict[str, Path], kind: str, beams: int) -> None:
    made = load(folders[kind], batch_size=4 * beams)
    asked = questions(replace(LONG, num_beams=beams), n=3)
    answers = texts(made.generate(asked))
    for request in asked:
        encoded, _ = made._encode([request])
        with torch.inference_mode():
            ids = made.model.generate(**encoded.inputs, max_new_tokens=12, num_beams=beams, do_sample=False)
        new = ids[0, encoded.inputs["input_ids"].shape[1] :]
        expected = made.prompter.tokenizer.decode(new, skip_special_tokens=True).strip()
        assert answers[request.request_id] == expected


def test_a_penalty_covers_what_was_generated_and_not_the_prompt(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"])
    request = ask("q", "yes no two three", generation=replace(LONG, repetition_penalty=1.7))
    encoded, _ = made._encode([request])
    ids, had = encoded.inputs["input_ids"], []
    with torch.inference_mode():
        for _ in range(12):
            logits = made.model(input_ids=torch.cat([ids, torch.tensor([had], dtype=torch.long)], dim=1)).logits[0, -1]
            for token in set(had):
                logits[token] = logits[token] / 1.7 if logits[token] > 0 else logits[token] * 1.7
            had.append(int(logits.argmax()))
    expected = made.prompter.tokenizer.decode(had, skip_special_tokens=True).strip()
    assert texts(made.generate([request]))["q"] == expected


def test_a_checkpoints_own_sampling_defaults_change_nothing(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"])
    made.model.generation_config.update(do_sample=True, temperature=9.0, repetition_penalty=3.0, num_beams=4)
    clean = clean_generation_config(made.model)
    assert clean.to_diff_dict().keys() <= {"bos_token_id", "eos_token_id", "pad_token_id", "transformers_version"}


# -- sampling


def test_sampled_answers_depend_on_seed_and_request_alone(folders: dict[str, Path]) -> None:
    made = load(folders["llava"])
    drawn = replace(LONG, do_sample=True, temperature=0.9, top_p=0.95, top_k=50, seed=1)
    asked = questions(drawn)
    together = texts(made.generate(asked))
    assert {k: v for request in asked for k, v in texts(made.generate([request])).items()} == together
    assert texts(made.generate(questions(replace(drawn, seed=2)))) != together
    assert texts(made.generate(questions())) != together


def test_one_token_to_choose_from_is_greedy(folders: dict[str, Path]) -> None:
    made = load(folders["llava"])
    greedy = texts(made.generate(questions()))
    assert texts(made.generate(questions(replace(LONG, do_sample=True, top_k=1)))) == greedy


def test_drawn_tokens_follow_the_models_probabilities(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"], batch_size=64)
    settings = GenerationSettings(max_new_tokens=1, do_sample=True, temperature=0.5)
    base = ask("q", "Is it red?", generation=settings)
    encoded, _ = made._encode([base])
    with torch.inference_mode():
        chances = (made.model(**encoded.inputs).logits[0, -1].double() / 0.5).softmax(-1)
    spelt = [made.prompter.tokenizer.decode([token], skip_special_tokens=True).strip() for token in range(len(chances))]
    text, n = spelt[int(chances.argmax())], 400
    got = texts(made.generate([replace(base, request_id=f"q{i}") for i in range(n)]))
    share = sum(one == text for one in got.values()) / n
    p = sum(float(chance) for chance, one in zip(chances, spelt, strict=True) if one == text)  # several may look alike
    assert abs(share - p) < 4 * math.sqrt(p * (1 - p) / n) + 0.02


# -- likelihood


@pytest.mark.parametrize("kind", [*SEEING, "qwen2"])
def test_choice_scores_are_the_log_probabilities_of_their_tokens(folders: dict[str, Path], kind: str) -> None:
    """Against one plain forward pass over prompt and continuation; right for models that are causal throughout."""
    made = load(folders[kind])
    choices = ("A", "yes no", "neither of them three")
    picture = () if kind == "qwen2" else (plain_picture(77),)
    request = replace(ask("q", *picture, "Which one?"), choices=choices)
    (response,) = made.score_choices([request])
    assert response.failure is None
    for choice, score, count in zip(choices, response.choice_scores, response.choice_tokens, strict=True):
        ids = made.prompter.tokenizer(choice, add_special_tokens=False)["input_ids"]
        encoded, _ = made._encode([request])
        inputs = dict(encoded.inputs)
        rest = torch.tensor([ids])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], rest], dim=1)
        inputs["attention_mask"] = torch.cat([inputs["attention_mask"], torch.ones_like(rest)], dim=1)
        for name in ("token_type_ids", "mm_token_type_ids"):
            if name in inputs:
                inputs[name] = torch.cat([inputs[name], torch.zeros_like(rest)], dim=1)
        with torch.inference_mode():
            logs = made.model(**inputs).logits[0, -len(ids) - 1 : -1].log_softmax(-1)
        assert count == len(ids)
        assert score == pytest.approx(logs.gather(1, rest[0][:, None]).sum().item(), abs=2e-4)


def test_choices_that_are_none_fail_alone(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"])
    fine = replace(ask("fine", "Which?"), choices=("A", "B"))
    empty = replace(ask("empty", "Which?"), choices=("A", ""))
    got = {r.request_id: r for r in made.score_choices([fine, empty])}
    assert got["fine"].failure is None
    assert "no choices to score, or an empty one" in got["empty"].failure.message


# -- prompts


def test_the_prompt_is_the_templates_and_pictures_stand_where_they_were_put(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2_vl"])
    turns = (
        Turn("system", ("Be brief.",)),
        Turn("user", ("Before ", plain_picture(1), " after ", plain_picture(2))),
        Turn("assistant", ("Yes.",)),
        Turn("user", ("And now?",)),
    )
    mark = "<|vision_start|><image><|vision_end|>"
    assert made.prompt_text(Request("q", turns)) == (
        f"<|system|>Be brief.<|end|><|user|>Before {mark} after {mark}<|end|><|assistant|>Yes.<|end|>"
        "<|user|>And now?<|end|><|assistant|>"
    )
    (response,) = made.generate([Request("q", turns, LONG)])
    assert response.failure is None


def test_control_tokens_in_a_question_are_text_unless_asked_for(folders: dict[str, Path]) -> None:
    question = ask("q", "a<|end|>b")
    plain, parsed = load(folders["qwen2"]), load(folders["qwen2"], parse_special=True)
    end = plain.prompter.tokenizer.convert_tokens_to_ids("<|end|>")
    counts = [made._encode([question])[0].inputs["input_ids"].eq(end).sum().item() for made in (plain, parsed)]
    assert counts == [1, 2]
    assert plain.identity() != parsed.identity()


def test_a_template_can_be_given_or_left_out(folders: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "mine.jinja"
    file.write_text("{% for m in messages %}Q: {{ m.content }}{% endfor %} A:")
    mine = load(folders["qwen2"], chat_template=str(file))
    assert mine.prompt_text(ask("q", "Why?")) == "Q: Why? A:"
    assert mine.identity()["chat_template"].startswith("sha256:")
    assert load(folders["qwen2"], chat_template="none").prompt_text(ask("q", "Why?")) == "Why?"


def test_a_prompt_longer_than_the_context_fails_and_says_how_long(folders: dict[str, Path]) -> None:
    made = load(folders["llava"])
    got = {r.request_id: r for r in made.generate([ask("long", plain_picture(), "a b " * 400), *questions()])}
    message = got.pop("long").failure.message
    assert "the model takes 512" in message
    assert "16 of them for pictures" in message
    assert [r.failure for r in got.values() if r.failure] == []


def test_a_stop_string_ends_beams_and_greedy_alike(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"])
    (whole,) = made.generate([ask("q", "yes no", generation=LONG)])
    mark = next(c for c in whole.text if c.isascii() and c.isalnum())
    for beams in (1, 2):
        settings = replace(LONG, stop=(mark,), num_beams=beams)
        (response,) = made.generate([ask("q", "yes no", generation=settings)])
        assert mark not in response.text
    (response,) = made.generate([ask("q", "yes no", generation=replace(LONG, stop=(mark,)))])
    assert response.usage.new_tokens < whole.usage.new_tokens


def test_a_batch_out_of_memory_is_halved_and_later_ones_are_as_small(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = load(folders["llava"], batch_size=5)
    expected, whole, sizes = texts(made.generate(questions())), made._generate_batch, []

    def small_device(batch: list[Request]) -> list[Response]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("no memory")
        return list(whole(batch))

    monkeypatch.setattr(made, "_generate_batch", small_device)
    assert texts(made.generate(questions())) == expected
    assert sizes == [5, 2, 2, 1]
    assert [(full.batch_size, full.error) for full in made.batching().full] == [(2, "OutOfMemoryError")]
    sizes.clear()
    assert texts(made.generate(questions())) == expected
    assert sizes == [2, 2, 1]


def test_stages_add_up_to_what_a_batch_took(folders: dict[str, Path]) -> None:
    made = load(folders["llava"], batch_size=8)
    responses = list(made.generate(questions()))
    parts = [t.image_ms + t.vision_ms + t.prefill_ms + t.decode_ms for t in (response.timing for response in responses)]
    (batch_ms,) = {response.timing.batch_ms for response in responses}
    assert 0 < sum(parts) <= batch_ms * 1.01
    assert all(response.timing.tpot_ms > 0 for response in responses if response.usage.new_tokens > 1)


# -- variants


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_number_formats_are_part_of_the_identity(folders: dict[str, Path], dtype: str) -> None:
    made = load_adapter("transformers", checkpoint=str(folders["llava"]), device="cpu", dtype=dtype)
    assert made.identity()["dtype"] == dtype
    assert len(texts(made.generate(questions()))) == 5


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_only_the_language_models_layers_are_quantised(folders: dict[str, Path], kind: str) -> None:
    made = load(folders["idefics3"], quantize=kind)
    changed = {n for n, p in made.model.named_parameters() if type(p.data) is not torch.Tensor}
    assert changed
    assert all(name.startswith("model.text_model.layers.") for name in changed)
    assert made.identity()["model"] == f"idefics3+{kind}"
    assert len(texts(made.generate(questions()))) == 5


def test_a_peft_adapter_is_merged(folders: dict[str, Path], tmp_path: Path) -> None:
    import peft

    plain = load(folders["llava"])
    before = {name: parameter.clone() for name, parameter in plain.model.named_parameters()}
    config = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj"])
    wrapped = peft.get_peft_model(load(folders["llava"]).model, config)
    with torch.no_grad():
        for name, parameter in wrapped.named_parameters():
            if "lora_" in name:
                parameter.copy_(torch.full_like(parameter, 0.1))
    wrapped.save_pretrained(tmp_path / "tuned")
    made = load(folders["llava"], lora=str(tmp_path / "tuned"))
    for name, parameter in made.model.named_parameters():
        added = 4 * 2 * 0.1 * 0.1 if "q_proj.weight" in name else 0.0  # scale * r * a * b
        assert torch.allclose(parameter, before[name] + added, atol=1e-6, rtol=0), name
    assert made.identity()["model"] == "llava+tuned"
    assert made.identity()["lora"]
    assert len(texts(made.generate(questions()))) == 5


def test_verifying_reads_the_checkpoint_again(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fingerprint, "REMEMBERED_ABOVE_BYTES", 0)
    copy = tmp_path / "copy"
    shutil.copytree(folders["qwen2"], copy)
    verify = adapter_class("transformers").verify_weights
    assert verify(checkpoint=str(copy), quantize="int8") == load(copy).identity()["weights"]
    file = next(copy.glob("*.safetensors"))
    stat, data = file.stat(), bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(AdapterError, match="are not what they were"):
        verify(checkpoint=str(copy))


def test_attention_can_be_chosen_and_gives_the_same_answers(folders: dict[str, Path]) -> None:
    eager, sdpa = (load(folders["llava"], attention=name) for name in ("eager", "sdpa"))
    assert (eager.identity()["attention"], sdpa.identity()["attention"]) == ("eager", "sdpa")
    assert texts(eager.generate(questions())) == texts(sdpa.generate(questions()))


def test_a_device_map_places_the_model(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"], device_map="cpu")
    assert len(texts(made.generate([ask("q", "yes")]))) == 1


def test_options_of_the_image_processor_change_pictures_and_identity(folders: dict[str, Path]) -> None:
    plain = load(folders["qwen2_vl"])
    small = load(folders["qwen2_vl"], processor={"size": {"shortest_edge": 256, "longest_edge": 512}})
    request = questions(n=1)[0]
    many, few = (made._encode([request])[0].image_tokens[0] for made in (plain, small))
    assert few < many
    assert plain.identity()["processor_options"] != small.identity()["processor_options"]


# -- remote code


CODE = """
from transformers import Qwen2Config, Qwen2ForCausalLM

class OwnConfig(Qwen2Config):
    model_type = "own_code"

class OwnForCausalLM(Qwen2ForCausalLM):
    config_class = OwnConfig
"""


@pytest.fixture
def own_code(folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A text model that brings its own code; the library copies that into a cache, here one of the test's own."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", list(sys.path))
    folder = tmp_path / "own"
    folder.mkdir()
    for file in folders["qwen2"].iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own_code", "architectures": ["OwnForCausalLM"]}
    config["auto_map"] = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnForCausalLM"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(CODE)
    return folder


def test_code_of_a_checkpoint_does_not_run_unless_asked_for(own_code: Path) -> None:
    with pytest.raises(AdapterError, match=r"brings its own code.*trust_remote_code=true"):
        load(own_code)


def test_code_that_may_run_is_noted_in_the_identity(own_code: Path) -> None:
    made = load(own_code, trust_remote_code=True)
    assert made.identity()["architecture"] == "OwnForCausalLM"
    assert len(texts(made.generate([ask("q", "yes")]))) == 1
    before = made.identity()["remote_code"]
    (own_code / "own.py").write_text(CODE + "# changed\n")
    assert find_source(str(own_code), None, trust_remote_code=True).remote_code != before


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "abc1234", "A" * 40])
def test_code_from_the_hub_needs_a_pinned_commit(revision: str | None) -> None:
    with pytest.raises(AdapterError, match="all 40 hexadecimal digits"):
        find_source("someone/model", revision, trust_remote_code=True)


@pytest.mark.parametrize("trusted", [False, True])
def test_a_hub_checkpoint_is_pinned_to_the_commit_that_was_found(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    commit = "0123456789abcdef" * 2 + "01234567"
    snapshot = tmp_path / commit
    shutil.copytree(folders["qwen2"], snapshot)
    asked: dict[str, Any] = {}

    def download(repository: str, **options: Any) -> str:
        asked.update(options, repository=repository)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    made = load_adapter(
        "transformers", checkpoint="owner/name", revision=commit, device="cpu", trust_remote_code=trusted
    )
    assert (asked["repository"], asked["revision"]) == ("owner/name", commit)
    assert ("*.py" in asked["allow_patterns"]) == trusted
    assert (made.identity()["model"], made.identity()["revision"]) == ("owner/name", commit)
    assert (made.identity()["remote_code"] is not None) == trusted


# -- bad input


@pytest.mark.parametrize("blind", [False, True])
def test_a_stop_begins_no_further_batch(folders: dict[str, Path], blind: bool) -> None:
    options: dict[str, Any] = {"checkpoint": str(folders["llava"]), "device": "cpu", "batch_size": 1}
    if blind:
        options["base"] = "transformers"
    adapter = load_adapter("blind" if blind else "transformers", **options)
    answers = adapter.generate(iter(questions(n=20)))
    assert next(answers).failure is None
    adapter.stop()
    assert list(answers) == []
    adapter.close()


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"attention": "sdpaa"}, ["attention='sdpaa'", "Did you mean 'sdpa'"]),
        ({"quantize": "int3"}, ["quantize='int3'", "int8", "bnb-nf4"]),
        ({"dtype": "float31"}, ["Unknown dtype", "float32"]),
        ({"device": "gpu"}, ["device", "cuda"]),
        ({"batch_size": 0}, ["batch_size is 0"]),
        ({"lora": "nowhere"}, ["nowhere holds no adapter_config.json"]),
        ({"chat_template": "nowhere.jinja"}, ["nowhere.jinja", "auto, none or a Jinja file"]),
        ({"revision": "main"}, ["is a folder and has no revision"]),
        ({"batch_size": "8"}, ["expected a whole number"]),
        ({"chekpoint": "x"}, ["Did you mean 'checkpoint'"]),
    ],
)
def test_options_that_mean_nothing_are_refused(
    folders: dict[str, Path], options: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(AdapterError) as refused:
        load_adapter("transformers", **({"checkpoint": str(folders["qwen2"]), "device": "cpu"} | options))
    assert [part for part in parts if part not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("options", "package", "line"),
    [
        ({"quantize": "bnb-nf4"}, "bitsandbytes", "pip install bitsandbytes"),
        ({"attention": "flash_attention_2"}, "flash_attn", "pip install flash-attn"),
        ({"lora": "x"}, "peft", "pip install 'omnilmm-eval[models]'"),
        ({"device_map": "auto"}, "accelerate", "pip install 'omnilmm-eval[models]'"),
    ],
)
def test_a_missing_package_is_named_with_the_line_that_installs_it(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], package: str, line: str
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == package else real(name, *rest))
    with pytest.raises(AdapterError) as refused:
        load(folders["qwen2"], **options)
    assert f"needs the package {package}" in str(refused.value)
    assert line in str(refused.value)


def cut(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def empty(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"")


def lost_shard(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    index = {"metadata": {}, "weight_map": {"lm_head.weight": "model-00002-of-00002.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def no_pickle_either(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"hello")


def config_of_a_deeper_model(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["num_hidden_layers"] = 5
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "cannot be loaded"),
        (empty, "cannot be loaded"),
        (lost_shard, "model-00002-of-00002"),
        (no_pickle_either, "cannot be loaded"),
        (config_of_a_deeper_model, r"lacks 27 of its model's tensors: .*layers\.2"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_weights_that_are_not_all_there_are_refused_and_never_random(
    folders: dict[str, Path], tmp_path: Path, damage: Any, told: str
) -> None:
    folder = Path(shutil.copytree(folders["llava"], tmp_path / "copy"))
    damage(folder)
    with pytest.raises(AdapterError, match=told):
        load(folder)


def test_an_adapter_of_another_model_is_refused_and_not_left_out(folders: dict[str, Path], tmp_path: Path) -> None:
    import peft
    from safetensors.torch import load_file, save_file

    config = peft.LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False)
    peft.get_peft_model(load(folders["llava"]).model, config).save_pretrained(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    tensors = load_file(file)
    assert load(folders["llava"], lora=str(tmp_path)).identity()["lora"]
    with pytest.raises(AdapterError, match="does not fit this model"):
        load(folders["qwen2"], lora=str(tmp_path))  # has layers of these names, elsewhere
    save_file({name.replace("layers.1.", "layers.9."): value for name, value in tensors.items()}, file)
    with pytest.raises(AdapterError, match=rf"{len(tensors) - 4} of its {len(tensors)} matrices"):
        load(folders["llava"], lora=str(tmp_path))
    file.write_bytes(b"")
    with pytest.raises(AdapterError, match="does not fit"):
        load(folders["llava"], lora=str(tmp_path))


def test_a_template_that_is_no_jinja_is_refused_and_one_that_wants_a_picture_is_not(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "bad.jinja").write_text("{% if %}")
    with pytest.raises(AdapterError, match=r"no Jinja .*line 1"):
        load(folders["llava"], chat_template=str(tmp_path / "bad.jinja"))
    wants = "{% if not messages[0].content[1] %}{{ raise_exception('no picture') }}{% endif %}<image> What?"
    (tmp_path / "wants.jinja").write_text(wants)
    adapter = load(folders["llava"], chat_template=str(tmp_path / "wants.jinja"))
    assert not adapter.capabilities.text_only
    assert len(texts(adapter.generate(questions()))) == 5


def test_a_checkpoint_that_is_nowhere_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(AdapterError, match="cannot be fetched"):
        load_adapter("transformers", checkpoint="nobody/nothing-here", device="cpu")
    with pytest.raises(AdapterError, match="no name of a hub repository"):
        load_adapter("transformers", checkpoint="no/such/folder", device="cpu")


def test_an_option_that_the_image_processor_does_not_know_is_refused(folders: dict[str, Path]) -> None:
    with pytest.raises(AdapterError, match=r"processor=\{sise: .*Did you mean 'size'"):
        load(folders["llava"], processor={"sise": 3})


def test_folders_that_hold_no_chat_model_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(AdapterError, match=r"config\.json cannot be read"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(AdapterError, match="neither an image-text-to-text nor a text generation"):
        load(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "nobody-knows"}')
    with pytest.raises(AdapterError, match="cannot read its config"):
        load(tmp_path)
    bare = tmp_path / "bare"
    bare.mkdir()
    for file in folders["qwen2"].iterdir():
        if file.name != "chat_template.jinja":
            (bare / file.name).write_bytes(file.read_bytes())
    with pytest.raises(AdapterError, match="has no chat template"):
        load(bare)


def test_a_processor_that_works_with_torchvision_only_says_so(folders: dict[str, Path], tmp_path: Path) -> None:
    for file in folders["llava"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "processor_config.json").write_text('{"processor_class": "PixtralProcessor"}')
    with pytest.raises(AdapterError, match="torchvision only"):
        load(tmp_path)


# -- profiling


def test_a_profiler_can_set_batch_and_length_and_hears_of_every_token(folders: dict[str, Path]) -> None:
    made = load(folders["qwen2"], batch_size=4)
    probe, clock = made.probe(), TokenClock()
    assert probe.listen(clock)
    assert probe.set_batch_size(2)
    assert probe.fixed_length(True)
    responses = list(made.generate([ask(f"q{i}", "yes no", generation=LONG) for i in range(3)]))
    assert {response.usage.new_tokens for response in responses} == {LONG.max_new_tokens}
    assert {response.timing.batch_size for response in responses} == {1, 2}
    assert {name: len(times) for name, times in clock.token_s.items()} == {f"q{i}": 12 for i in range(3)}


# -- the whole way


def test_a_run_from_the_command_line_is_scored_and_says_what_it_ran(folders: dict[str, Path], tmp_path: Path) -> None:
    place = ["--out", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache"), "--no-report", "--quiet"]
    model = ["--model", "transformers", "--checkpoint", str(folders["idefics3"]), "--device", "cpu"]
    assert run_eval.main(["run", "shapes_mc", *model, "-o", "batch_size=4", "--limit", "3", *place]) == 0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert manifest["identity"]["model"]["architecture"] == "Idefics3ForConditionalGeneration"
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["tasks"]["shapes_mc"]["n"] == 3


def test_a_text_model_is_refused_on_a_task_with_pictures(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = ["--out", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache"), "--no-report", "--quiet"]
    model = ["--model", "transformers", "--checkpoint", str(folders["qwen2"]), "--device", "cpu"]
    assert run_eval.main(["run", "shapes_mc", *model, "--limit", "3", *place]) == 2
    assert "takes text only" in capsys.readouterr().err
