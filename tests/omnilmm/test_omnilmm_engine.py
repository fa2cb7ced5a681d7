"""The batch engine and its adapters: the answers of one-by-one in any company, and failures that stay alone."""

import copy
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from model_adapters import load_adapter
from model_adapters.contract import (
    AdapterError,
    GenerationSettings,
    ImageRef,
    ModelAdapter,
    Request,
    Response,
    Turn,
)
from model_adapters.omnilmm.features import FeatureStore

QUESTIONS = ["What is it?", "Is there a red circle? Answer yes or no.", "图片里有什么?", "x", "A. red\nB. blue", "no"]


def ref(data: bytes, name: str = "picture") -> ImageRef:
    return ImageRef(hashlib.sha256(data).hexdigest(), name, lambda: data)


def encoded(image: Image.Image) -> ImageRef:
    file = io.BytesIO()
    image.save(file, "PNG")
    return ref(file.getvalue())


@pytest.fixture(scope="module")
def refs(pictures: list[Image.Image]) -> list[ImageRef]:
    return [encoded(picture) for picture in pictures]


@pytest.fixture(scope="module")
def adapter(tiny_checkpoint: Path) -> Iterator[ModelAdapter]:
    made = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=8)
    yield made
    made.close()


@pytest.fixture(scope="module")
def one_by_one(tiny_checkpoint: Path) -> ModelAdapter:
    return load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", mode="plain")


def questions(refs: list[ImageRef], generation: GenerationSettings, n: int = 20) -> list[Request]:
    """Five questions a picture, of unequal lengths."""
    return [
        Request(f"r{i}", (Turn("user", (refs[i // 5 % 4], QUESTIONS[i * 7 % 6])),), generation, ("A", "red", "yes, no"))
        for i in range(n)
    ]


def answers(adapter: ModelAdapter, requests: list[Request]) -> dict[str, Response]:
    responses = list(adapter.generate(iter(requests)))
    assert sorted(r.request_id for r in responses) == sorted(r.request_id for r in requests)
    return {response.request_id: response for response in responses}


@pytest.mark.parametrize(
    "generation",
    [
        GenerationSettings(max_new_tokens=9),
        GenerationSettings(max_new_tokens=9, repetition_penalty=1.3),
        GenerationSettings(max_new_tokens=5, num_beams=3, repetition_penalty=1.2),
        GenerationSettings(max_new_tokens=9, do_sample=True, temperature=0.8, top_p=0.9, top_k=30, seed=3),
    ],
    ids=["greedy", "penalty", "beams", "sampling"],
)
def test_batches_with_shared_prefixes_answer_as_one_by_one(
    adapter: ModelAdapter, one_by_one: ModelAdapter, refs: list[ImageRef], generation: GenerationSettings
) -> None:
    requests = questions(refs, generation)
    batched, alone = answers(adapter, requests), answers(one_by_one, requests)
    assert {k: (r.text, r.usage, r.finish) for k, r in batched.items()} == {
        k: (r.text, r.usage, r.finish) for k, r in alone.items()
    }
    assert {r.timing.batch_size for r in alone.values()} == {1}


def test_choices_score_as_one_by_one_and_as_the_model_says(
    adapter: ModelAdapter, one_by_one: ModelAdapter, refs: list[ImageRef]
) -> None:
    requests = questions(refs, GenerationSettings(), 7)
    batched = {r.request_id: r for r in adapter.score_choices(requests)}
    alone = {r.request_id: r for r in one_by_one.score_choices(requests)}
    for name, response in batched.items():
        assert response.choice_scores == pytest.approx(alone[name].choice_scores, abs=1e-5)
        assert response.choice_tokens == alone[name].choice_tokens
    # By hand: the choice's ids after the prompt, one full forward pass.
    model = adapter.model  # type: ignore[attr-defined]
    prompt = model.prompt([{"role": "user", "content": requests[0].turns[0].text}])
    choice = model.tokenizer.encode_text("yes, no")
    ids = torch.tensor([[*prompt.ids, *choice]])
    with torch.inference_mode():
        features = model.encode_images([refs[0].open()])
        logits = model.llm(inputs_embeds=model.splice(ids, features, prompt.image_slot)).logits[0].log_softmax(-1)
    steps = range(len(prompt.ids) - 1, ids.shape[1] - 1)
    expected = sum(logits[step, token].item() for step, token in zip(steps, choice, strict=True))
    assert batched["r0"].choice_scores[2] == pytest.approx(expected, abs=1e-4)
    assert batched["r0"].choice_tokens[2] == len(choice) > 1


def test_failing_requests_fail_alone(adapter: ModelAdapter, refs: list[ImageRef]) -> None:
    def unreadable() -> bytes:
        raise FileNotFoundError("gone.png")

    good = questions(refs, GenerationSettings(max_new_tokens=3), 9)
    truncated = ref(refs[1].read()[:200], "cut.png")
    bad = {
        "corrupt": (Turn("user", (ref(b"no image", "bad.png"), "What?")),),
        "truncated": (Turn("user", (truncated, "What?")),),
        "absent": (Turn("user", (ImageRef("0" * 64, "gone.png", unreadable), "What?")),),
        "two": (Turn("user", (refs[0], refs[1], "What?")),),
        "none": (Turn("user", ("What?",)),),
        "late": (Turn("user", ("Hi",)), Turn("assistant", ("Yes?",)), Turn("user", (refs[0], "What?"))),
        "system": (Turn("system", ("Be brief.",)), Turn("user", (refs[0], "What?"))),
        "long": (Turn("user", (refs[0], "why " * 3000)),),
    }
    requests = good[:4] + [Request(name, turns, good[0].generation) for name, turns in bad.items()] + good[4:]
    requests.append(Request("settings", good[0].turns, GenerationSettings(max_new_tokens=0)))
    got = answers(adapter, requests)
    alone = answers(adapter, good)
    failed = {name: response.failure for name, response in got.items() if response.failure}
    assert set(failed) == {*bad, "settings"}
    assert all(got[name].text == response.text for name, response in alone.items())
    assert all(got[name].finish == "error" for name in failed)
    assert failed["corrupt"].type == "UnidentifiedImageError"
    assert "bad.png" in failed["corrupt"].message
    assert "Traceback" in failed["corrupt"].traceback
    assert failed["absent"].type == "FileNotFoundError"
    assert "takes one" in failed["two"].message
    assert "text_only=true" in failed["none"].message
    assert "no system prompt" in failed["system"].message
    assert "the model takes 2048" in failed["long"].message
    assert "max_new_tokens" in failed["settings"].message


def test_a_batch_out_of_memory_is_halved(
    adapter: ModelAdapter, refs: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    from model_adapters.omnilmm import engine

    whole, sizes = engine.prefill, []

    def small_device(llm: Any, rows: Any, features: Any, **options: Any) -> Any:
        sizes.append(len(rows))
        if len(rows) > 3:
            raise torch.OutOfMemoryError("no memory")
        return whole(llm, rows, features, **options)

    requests = questions(refs, GenerationSettings(max_new_tokens=3), 8)
    expected = {name: response.text for name, response in answers(adapter, requests).items()}
    monkeypatch.setattr(engine, "prefill", small_device)
    own = adapter.engine  # type: ignore[attr-defined]
    monkeypatch.setattr(own, "_size", copy.deepcopy(own._size))  # the next test finds it as it was
    assert {name: response.text for name, response in answers(adapter, requests).items()} == expected
    assert sizes == [8, 4, 2, 2, 2, 2]  # what was planned before is cut, too
    said = adapter.batching()
    assert (said.size, [(full.batch_size, full.error) for full in said.full]) == (
        2,
        [(4, "OutOfMemoryError"), (2, "OutOfMemoryError")],
    )
    sizes.clear()
    assert {name: response.text for name, response in answers(adapter, requests).items()} == expected
    assert sizes == [2, 2, 2, 2]  # later batches are as small from the start


def test_pictures_are_encoded_once_and_only_the_first_question_pays(
    tiny_checkpoint: Path, refs: list[ImageRef], monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=3)
    encoded_at_once: list[int] = []
    model = fresh.model  # type: ignore[attr-defined]
    features = model.image_features
    monkeypatch.setattr(model, "image_features", lambda pixels: encoded_at_once.append(len(pixels)) or features(pixels))
    requests = questions(refs, GenerationSettings(max_new_tokens=2))
    got = answers(fresh, requests)
    assert sum(encoded_at_once) == 4
    paid = [name for name, response in got.items() if response.timing.vision_ms]
    assert len(paid) == 4
    assert all(response.timing.image_ms == 0.0 for name, response in got.items() if name not in paid)
    for response in got.values():
        timing = response.timing
        assert timing.prefill_ms > 0
        assert timing.decode_ms > 0
        assert timing.ttft_ms <= timing.batch_ms
        assert (timing.tpot_ms is None) == (response.usage.new_tokens < 2)
        assert response.usage.image_tokens == 9


def test_reference_mode_decodes_as_the_original_whatever_is_asked(
    tiny_checkpoint: Path, adapter: ModelAdapter, refs: list[ImageRef]
) -> None:
    original = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", mode="reference")
    requests = questions(refs, GenerationSettings(max_new_tokens=5), 4)
    model = original.model  # type: ignore[attr-defined]
    for request in requests:
        messages = [{"role": "user", "content": request.turns[0].text}]
        ids = model.generate_ids(request.images[0].open(), messages, max_new_tokens=5)  # the original's defaults
        (response,) = original.generate([request])
        assert response.text == model.tokenizer.decode_answer(ids)
        assert response.timing.batch_size == 1
    assert {key for key, value in original.identity().items() if adapter.identity()[key] != value} == {
        "original_decoding"
    }
    sampled = questions(refs, GenerationSettings(max_new_tokens=5, do_sample=True), 2)
    assert not any(response.failure for response in original.generate(sampled))


def test_stop_strings_cut_the_answer(adapter: ModelAdapter, refs: list[ImageRef]) -> None:
    whole = answers(adapter, questions(refs, GenerationSettings(max_new_tokens=12)))
    name, text = next((name, r.text) for name, r in whole.items() if len(r.text) > 4 and "�" not in r.text[:4])
    stop = text[2:4]
    cut = answers(adapter, questions(refs, GenerationSettings(max_new_tokens=12, stop=(stop,))))[name]
    assert cut.text == text[: text.index(stop)].strip()
    assert cut.finish == "stop"
    assert cut.usage.new_tokens < whole[name].usage.new_tokens


def test_requests_are_pulled_a_few_batches_at_a_time(adapter: ModelAdapter, refs: list[ImageRef]) -> None:
    pulled = 0

    def endless() -> Iterator[Request]:
        nonlocal pulled
        while True:
            pulled += 1
            yield Request(f"r{pulled}", (Turn("user", (refs[0], "What?")),), GenerationSettings(max_new_tokens=1))

    stream = adapter.generate(endless())
    for _ in range(5):
        next(stream)
    assert pulled <= 4 * 8
    stream.close()


def test_several_turns_and_prompt_text(adapter: ModelAdapter, refs: list[ImageRef]) -> None:
    turns = (Turn("user", (refs[0], "What?")), Turn("assistant", ("red",)), Turn("user", ("Sure?",)))
    request = Request("m", turns, GenerationSettings(max_new_tokens=4))
    assert adapter.prompt_text(request) == "<用户><image>\nWhat?<AI>red<用户>Sure?<AI>"
    model = adapter.model  # type: ignore[attr-defined]
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    ids = model.generate_ids(refs[0].open(), messages, max_new_tokens=4, num_beams=1, repetition_penalty=1.0)
    assert answers(adapter, [request])["m"].text == model.tokenizer.decode_answer(ids)


def test_identity_names_everything_that_can_change_an_answer(tiny_checkpoint: Path) -> None:
    plain = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu").identity()
    other = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=2, apply_exif=True)
    differing = {key for key, value in other.identity().items() if plain[key] != value}
    assert differing == {"apply_exif"}
    assert plain["dtype"] == "float32"
    assert plain["parameters"] == sum(p.numel() for p in other.model.parameters())  # type: ignore[attr-defined]
    assert len(plain["weights"]) == len(plain["config"]) == len(plain["tokenizer"]) == 64
    assert other.memory_mib()["weights_mib"] == pytest.approx(plain["parameters"] * 4 / 2**20)


def test_text_only_requests_are_answered_where_allowed(tiny_checkpoint: Path, refs: list[ImageRef]) -> None:
    free = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", text_only=True)
    mixed = [Request("t", (Turn("user", ("What?",)),)), *questions(refs, GenerationSettings(), 3)]
    got = answers(free, mixed)
    assert got["t"].failure is None
    assert got["t"].usage.image_tokens == 0
    assert got["t"].timing.vision_ms is None


def test_text_adapter_answers_and_refuses_images(tiny_text_checkpoint: Path, refs: list[ImageRef]) -> None:
    text = load_adapter("minicpm", checkpoint=str(tiny_text_checkpoint), device="cpu")
    requests = [Request(f"t{i}", (Turn("user", (q,)),), choices=("A", "no no")) for i, q in enumerate(QUESTIONS)]
    slow = load_adapter("minicpm", checkpoint=str(tiny_text_checkpoint), device="cpu", mode="plain")
    assert {k: r.text for k, r in answers(text, requests).items()} == {
        k: r.text for k, r in answers(slow, requests).items()
    }
    scored = {r.request_id: r.choice_scores for r in text.score_choices(requests)}
    for response in slow.score_choices(requests):
        assert scored[response.request_id] == pytest.approx(response.choice_scores, abs=1e-5)
    refused = answers(text, questions(refs, GenerationSettings(), 1))["r0"]
    assert "text model" in refused.failure.message
    assert text.capabilities.max_images == 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "cuda:9"}, "CUDA devices"),
        ({"device": "tpu0"}, "Unknown device|not supported"),
        ({"dtype": "int4"}, "Unknown dtype 'int4'"),
        ({"mode": "turbo"}, "Unknown mode 'turbo'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batchsize": 4}, "Did you mean 'batch_size'"),
        ({"checkpoint": "small-fnal"}, "no checkpoint 'small-fnal'"),
    ],
)
def test_options_that_cannot_be_met_are_refused(tiny_checkpoint: Path, options: dict[str, Any], says: str) -> None:
    with pytest.raises(AdapterError, match=says):
        load_adapter("omnilmm", **{"checkpoint": str(tiny_checkpoint), "device": "cpu", **options})


def test_feature_store_keeps_the_latest_within_its_budget() -> None:
    store = FeatureStore(budget_mib=3 * 400 / 2**20)
    for name in "abc":
        store.put(name, torch.full((100,), float(ord(name))))
    assert store.get("a") is not None
    store.put("d", torch.zeros(100))
    assert store.get("b") is None
    assert store.get("a") is not None
    assert len(store) == 3
    store.put("huge", torch.zeros(10_000))
    assert store.get("huge") is None
    store.clear()
    assert len(store) == 0


def test_bf16_answers_too(tiny_checkpoint: Path, refs: list[ImageRef]) -> None:
    half = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", dtype="bf16")
    assert half.identity()["dtype"] == "bfloat16"
    assert not any(r.failure for r in answers(half, questions(refs, GenerationSettings(max_new_tokens=3))).values())


def test_a_stop_lets_the_batch_in_flight_be_the_last(tiny_checkpoint: Path, refs: list[ImageRef]) -> None:
    """As when a run is interrupted: what was computed is handed out, the other requests stay unanswered."""
    made = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=2)
    asked = questions(refs, GenerationSettings(max_new_tokens=2), n=8)
    answers: list[Response] = []
    for response in made.generate(asked):
        answers.append(response)
        made.stop()
    made.close()
    assert len(answers) == 2
    assert all(response.failure is None for response in answers)
