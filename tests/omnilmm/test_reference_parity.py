"""Equal to the original code: on its tokenizer's ids, and on a small checkpoint that it has computed in fp32."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from model_adapters.omnilmm.config import OmniLMMConfig
from model_adapters.omnilmm.decoding import decode
from model_adapters.omnilmm.layout import OmniLMMLayout
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.prompt import PromptBuilder
from model_adapters.omnilmm.reading import prefill
from model_adapters.omnilmm.tokenizer import load_tokenizer

FEATURES_WITHIN = 2e-5
LOGITS_WITHIN = 1e-4


@cache
def released_tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


@pytest.fixture(scope="module")
def released(shared: Path) -> Path:
    return shared / "reference" / "omnilmm-3b"


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference" / "omnilmm_ref_a"


@pytest.fixture(scope="module")
def model(reference: Path) -> OmniLMM:
    return OmniLMM.from_checkpoint(reference / "checkpoint", dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def cases(reference: Path) -> list[dict[str, Any]]:
    return json.loads((reference / "cases.json").read_text(encoding="utf-8"))["cases"]


@pytest.fixture(scope="module")
def expected(reference: Path) -> dict[str, torch.Tensor]:
    return load_file(reference / "expected.safetensors")


def test_every_golden_text_gets_the_ids_of_the_original_tokenizer(released: Path) -> None:
    golden = json.loads((released / "golden.json").read_text(encoding="utf-8"))
    tokenizer = released_tokenizer(released)
    wrong = [item["text"] for item in golden["texts"] if tokenizer.encode_text(item["text"]) != item["ids"]]
    assert len(golden["texts"]) == 298
    assert wrong == []


def test_every_golden_prompt_gets_the_ids_of_the_original_chat(released: Path) -> None:
    golden = json.loads((released / "golden.json").read_text(encoding="utf-8"))
    builder = PromptBuilder(released_tokenizer(released), query_num=64)
    for item in golden["prompts"]:
        prompt = builder.build([{"role": "user", "content": item["question"]}], with_image=True)
        assert list(prompt.ids) == item["prompt_ids"], item["question"]
        assert prompt.ids[prompt.image_slot - 1] == 101


def test_layout_has_the_released_names_and_size(released: Path) -> None:
    index = json.loads((released / "model.safetensors.index.json").read_text())
    shapes = OmniLMMLayout(OmniLMMConfig.from_json(released)).shapes()
    assert set(shapes) == set(index["weight_map"])
    assert sum(2 * torch.Size(shape).numel() for shape in shapes.values()) == index["metadata"]["total_size"]


def test_vision_tower_and_resampler_equal_the_original(
    model: OmniLMM, reference: Path, cases: list[dict[str, Any]], expected: dict[str, torch.Tensor]
) -> None:
    compared = 0
    for case in cases:
        if f"{case['id']}.vision" not in expected:
            continue
        with torch.inference_mode():
            patches = model.vpm(model.pixels([Image.open(reference / case["image"])]))
            visual = model.resampler(patches)
        torch.testing.assert_close(patches[0, ::37], expected[f"{case['id']}.vision"], rtol=0, atol=FEATURES_WITHIN)
        torch.testing.assert_close(visual[0], expected[f"{case['id']}.resampler"], rtol=0, atol=FEATURES_WITHIN)
        compared += 1
    assert compared == 8


def test_last_logits_equal_the_original(
    model: OmniLMM, reference: Path, cases: list[dict[str, Any]], expected: dict[str, torch.Tensor]
) -> None:
    for case in cases:
        if f"{case['id']}.logits_last" in expected:
            logits = model.next_token_logits(Image.open(reference / case["image"]), case["messages"])
            torch.testing.assert_close(logits, expected[f"{case['id']}.logits_last"], rtol=0, atol=LOGITS_WITHIN)


def test_every_generation_gives_the_original_ids_and_text(
    model: OmniLMM, reference: Path, cases: list[dict[str, Any]]
) -> None:
    """Greedy, greedy with repetition penalty, three beams; one and several turns."""
    settings = set()
    assert any(len(case["messages"]) > 1 for case in cases)
    for case in cases:
        image = Image.open(reference / case["image"])
        if "prompt_ids" in case:
            assert model.prompt_ids(case["messages"]) == case["prompt_ids"]
        for name, wanted in case["generations"].items():
            ids = model.generate_ids(image, case["messages"], **wanted["generation"])
            assert ids == wanted["token_ids"], (case["id"], name)
            assert model.tokenizer.decode_answer(ids) == wanted["text"], (case["id"], name)
            settings.add(name)
    assert settings == {"greedy", "greedy_rp1.2", "beam3_rp1.2"}


@pytest.mark.parametrize("share", [True, False])
def test_all_cases_in_one_batch_give_the_original_greedy_ids(
    model: OmniLMM, reference: Path, cases: list[dict[str, Any]], share: bool
) -> None:
    """Prompts of unequal length over different images, with and without a shared prefix."""
    cases = [case for case in cases if "greedy" in case["generations"]]
    features = model.encode_images([Image.open(reference / case["image"]) for case in cases])
    prompts = [model.prompt(case["messages"]) for case in cases]
    rows = [Row(prompt.ids, i, prompt.image_slot) for i, prompt in enumerate(prompts)]
    assert len({len(row.ids) for row in rows}) > 3
    with torch.inference_mode():
        read = prefill(model.llm, rows, features, share=share)
        answers = decode(model.llm, read, max_new_tokens=[20] * len(rows), eos_id=2, bos_id=1)
    assert [answer.ids for answer in answers] == [case["generations"]["greedy"]["token_ids"] for case in cases]


def test_text_model_equals_the_original(reference: Path) -> None:
    folder = reference / "minicpm_text"
    model = MiniCPM.from_checkpoint(folder, dtype="float32", device="cpu")
    expected = load_file(folder / "expected.safetensors")
    assert model.llm.is_tied
    for case in json.loads((folder / "cases.json").read_text(encoding="utf-8")):
        question = case["prompt"].removeprefix("<用户>").removesuffix("<AI>")
        messages = [{"role": "user", "content": question}]
        assert model.prompt_ids(messages) == case["prompt_ids"]
        logits = model.next_token_logits(messages)
        torch.testing.assert_close(logits, expected[f"{case['id']}.logits_last"], rtol=0, atol=LOGITS_WITHIN)
        assert model.generate_ids(messages, max_new_tokens=len(case["greedy"])) == case["greedy"]
