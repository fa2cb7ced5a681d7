"""What every model adapter promises, as tests to inherit.

    class TestMine(AdapterContract):
        @pytest.fixture(scope="class")
        @classmethod
        def build(cls) -> Callable[[], ModelAdapter]: ...   # makes a fresh adapter, always the same one

        @pytest.fixture(scope="class")
        @classmethod
        def requests(cls) -> list[Request]: ...             # ten or more that the adapter can answer, greedy

That is all that most adapters need. What else can be said of one:

    unanswerable      (fixture) requests that must fail, each with a message; none unless overridden
    adapter           (fixture) the one that most tests share; ``build()`` unless overridden
    looks_at_images   False for an adapter that answers without opening a picture
    honours_stop      False for an adapter whose answers are not generated text (a specialist's reading)
    same_answers      share of greedy answers that must be equal at any batch size and order; 1.0 is all
    choice_tolerance  how far a choice's log-likelihood may differ between batch sizes, in nats
    secrets           strings that no identity, record, failure or log line may hold (API keys)

Requests that the suite itself makes are short: a picture, a question, four new tokens.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import logging
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from model_adapters.contract import (
    AdapterError,
    GenerationSettings,
    ImageRef,
    ModelAdapter,
    Request,
    Response,
    Turn,
)

IDENTITY_KEYS = {"adapter", "adapter_version", "model", "weights", "dtype", "device", "parameters"}
GREEDY = GenerationSettings(max_new_tokens=4)
HUSH = "hush-5ec2e7-do-not-write-me-down"
ENVIRONMENT_KEYS = ("HF_TOKEN", "OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY")
TEXTS = {
    "chinese": "图片里有什么?",
    "arabic": "ما هذا؟",
    "emoji": "What is 👩🏽‍🚀 doing? 🇫🇷",
    "combining": "Is this a cafe\u0301? \u202eright to left\u202c",
    "control": "a\tb\nc\u0000d\u200b",
    "one_word": "x" * 200,
    "empty": "",
    "half_character": "What is \ud83d this?",  # JSON can spell it, and it is no character
    "control_tokens": "<image></s><unk><|im_end|><|endoftext|><end_of_turn> What is it?",
}


def picture_ref(image: Image.Image, name: str = "picture.png") -> ImageRef:
    """A picture as the harness hands it over."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return bytes_ref(file.getvalue(), name)


def bytes_ref(data: bytes, name: str) -> ImageRef:
    """Any bytes in the place of a picture."""
    return ImageRef(hashlib.sha256(data).hexdigest(), name, lambda: data)


def ask(name: str, *content: str | ImageRef, generation: GenerationSettings = GREEDY) -> Request:
    """A request of one user turn."""
    return Request(name, (Turn("user", content),), generation)


def odd_pictures() -> dict[str, Image.Image]:
    """Pictures of every mode and of sizes that nobody expects."""
    deep = Image.fromarray((np.arange(48 * 32, dtype=np.uint16) * 40).reshape(32, 48))
    return {
        "one_pixel": Image.new("RGB", (1, 1), (9, 90, 200)),
        "huge": Image.new("RGB", (4000, 3000), (200, 30, 30)),
        "wide": Image.new("RGB", (600, 4), (0, 0, 255)),
        "grey": Image.new("L", (20, 90), 120),
        "sixteen_bits": deep,
        "palette": Image.new("RGB", (31, 17), (0, 128, 0)).convert("P"),
        "transparent": Image.new("RGBA", (40, 40), (255, 0, 0, 0)),
        "black_and_white": Image.new("1", (33, 33), 1),
        "cmyk": Image.new("RGB", (24, 24), (1, 2, 3)).convert("CMYK").convert("RGB"),
    }


def plain_picture(shade: int = 90) -> ImageRef:
    """An ordinary small picture."""
    return picture_ref(Image.new("RGB", (64, 48), (shade, 120, 30)))


def live_tensor_bytes() -> int:
    """Bytes of the torch tensors made since ``gc.freeze()``; 0 where torch was never imported."""
    if "torch" not in sys.modules:
        return 0
    tensor = sys.modules["torch"].Tensor
    gc.collect()
    storages = {}
    for item in gc.get_objects():
        if issubclass(type(item), tensor):
            try:
                storage = item.untyped_storage()
                storages[storage.data_ptr()] = storage.nbytes()
            except (RuntimeError, NotImplementedError):
                continue  # a tensor without storage of its own
    return sum(storages.values())


def by_id(responses: Iterator[Response] | Any) -> dict[str, Response]:
    """Responses by request id; an id that comes twice is an error."""
    found: dict[str, Response] = {}
    for response in responses:
        assert response.request_id not in found, f"{response.request_id} came back twice"
        found[response.request_id] = response
    return found


class AdapterContract:
    """Inherit, and provide ``build`` and ``requests``."""

    looks_at_images: ClassVar[bool] = True
    honours_stop: ClassVar[bool] = True
    same_answers: ClassVar[float] = 1.0
    choice_tolerance: ClassVar[float] = 1e-3
    secrets: ClassVar[tuple[str, ...]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Callable[[], ModelAdapter]:
        """Makes a fresh adapter, always the same one."""
        raise NotImplementedError(f"{cls.__name__} must provide the fixture `build`: see tests/adapter_contract.py.")

    @pytest.fixture(scope="class")
    @classmethod
    def adapter(cls, build: Callable[[], ModelAdapter]) -> Iterator[ModelAdapter]:
        """The adapter that most tests share."""
        made = build()
        yield made
        made.close()

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        """Requests that this adapter must fail; none unless overridden."""
        return []

    def picture_content(self, adapter: ModelAdapter) -> tuple[ImageRef, ...]:
        """One picture for adapters that take any, else nothing."""
        return () if adapter.capabilities.max_images == 0 else (plain_picture(),)

    # -- identity

    def test_identity_is_plain_json_and_complete(self, adapter: ModelAdapter) -> None:
        identity = dict(adapter.identity())
        assert set(identity) >= IDENTITY_KEYS
        assert json.loads(json.dumps(identity, allow_nan=False)) == identity
        assert dict(adapter.identity()) == identity

    def test_another_instance_has_the_same_identity_and_answers(
        self, adapter: ModelAdapter, build: Callable[[], ModelAdapter], requests: list[Request]
    ) -> None:
        other = build()
        try:
            assert dict(other.identity()) == dict(adapter.identity())
            ours = {name: r.text for name, r in by_id(adapter.generate(iter(requests[:4]))).items()}
            assert {name: r.text for name, r in by_id(other.generate(iter(requests[:4]))).items()} == ours
        finally:
            other.close()

    # -- answers

    def test_each_request_comes_back_exactly_once(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        responses = list(adapter.generate(iter(requests)))
        assert sorted(r.request_id for r in responses) == sorted(r.request_id for r in requests)
        assert [r.failure for r in responses if r.failure is not None] == []
        assert all(isinstance(response, Response) for response in responses)

    def test_no_requests_give_no_responses(self, adapter: ModelAdapter) -> None:
        assert list(adapter.generate(iter([]))) == []

    def test_greedy_answers_do_not_depend_on_company_or_order(
        self, adapter: ModelAdapter, requests: list[Request]
    ) -> None:
        together = {r.request_id: r.text for r in adapter.generate(iter(requests))}
        turned = {r.request_id: r.text for r in adapter.generate(iter(requests[::-1]))}
        alone = {r.request_id: r.text for request in requests[:4] for r in adapter.generate(iter([request]))}
        equal = [turned[name] == text for name, text in together.items()]
        equal += [text == together[name] for name, text in alone.items()]
        assert sum(equal) >= self.same_answers * len(equal)

    def test_the_same_question_gets_the_same_answer_twice(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        first = {r.request_id: r.text for r in adapter.generate(iter(requests))}
        assert {r.request_id: r.text for r in adapter.generate(iter(requests))} == first

    def test_responses_can_be_written_as_json_lines(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        for response in adapter.generate(iter(requests[:3])):
            record = asdict(response)
            assert json.loads(json.dumps(record, allow_nan=False))["request_id"] == response.request_id

    def test_answers_end_before_a_stop_string(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        answers = by_id(adapter.generate(iter(requests)))
        for request in requests:
            text = answers[request.request_id].text
            mark = next((c for c in reversed(text) if c.isascii() and c.isalnum()), None)
            if mark is not None and self.honours_stop:
                stopping = replace(request, generation=replace(request.generation, stop=("never", mark)))
                (response,) = adapter.generate(iter([stopping]))
                assert mark not in response.text
                assert response.finish == "stop"
                assert text.startswith(response.text)
                return

    def test_token_counts_are_plausible_or_null(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        asked = {request.request_id: request for request in requests}
        for response in adapter.generate(iter(requests)):
            request, usage = asked[response.request_id], response.usage
            assert usage.new_tokens is None or 0 <= usage.new_tokens <= request.generation.max_new_tokens
            assert usage.prompt_tokens is None or usage.prompt_tokens > 0
            if usage.image_tokens is not None:
                assert (usage.image_tokens > 0) == (bool(request.images) and self.looks_at_images)
                assert usage.prompt_tokens is None or usage.image_tokens < usage.prompt_tokens
            if usage.new_tokens is not None and response.finish == "length":
                assert usage.new_tokens == request.generation.max_new_tokens

    # -- odd requests

    def test_odd_pictures_are_answered_or_fail_with_a_message(self, adapter: ModelAdapter) -> None:
        if adapter.capabilities.max_images == 0:
            (response,) = adapter.generate(iter([ask("seen", plain_picture(), "What is it?")]))
            assert response.failure is not None
            return
        pictures = odd_pictures()
        asked = [ask(name, picture_ref(image, name), "What is it?") for name, image in pictures.items()]
        got = by_id(adapter.generate(iter(asked)))
        assert set(got) == set(pictures)
        for response in got.values():
            assert response.failure is None or response.failure.message
        for usual in ("grey", "palette", "transparent", "huge"):
            assert got[usual].failure is None, f"{usual}: {got[usual].failure}"

    def test_broken_pictures_fail_alone_and_say_which(self, adapter: ModelAdapter) -> None:
        if adapter.capabilities.max_images == 0 or not self.looks_at_images:
            return  # nothing opens a picture
        broken = {"empty.png": b"", "cut.png": b"\x89PNG\r\n\x1a\n\x00\x00", "text.jpg": b"not a picture"}
        asked = [ask(name, bytes_ref(data, name), "What is it?") for name, data in broken.items()]
        got = by_id(adapter.generate(iter([*asked, ask("fine", plain_picture(), "What is it?")])))
        assert got["fine"].failure is None
        for name in broken:
            failure = got[name].failure
            assert got[name].finish == "error"
            assert failure is not None
            assert failure.message.count(name) == 1
            assert " at 0x" not in failure.message  # an address would make each run's record another one

    def test_a_request_without_a_picture_is_answered_where_announced(self, adapter: ModelAdapter) -> None:
        (response,) = adapter.generate(iter([ask("blind", "Is water wet?")]))
        if adapter.capabilities.text_only:
            assert response.failure is None
        else:
            assert response.failure is not None
            assert response.failure.message

    def test_several_pictures_are_answered_where_announced(self, adapter: ModelAdapter) -> None:
        most = adapter.capabilities.max_images
        pair = ask("pair", plain_picture(10), plain_picture(200), "What changed?")
        (response,) = adapter.generate(iter([pair]))
        if most is None or most >= 2:
            assert response.failure is None, response.failure
        else:
            assert response.failure is not None
            assert response.failure.message

    def test_any_text_is_answered_or_fails_with_a_message(self, adapter: ModelAdapter) -> None:
        picture = self.picture_content(adapter)
        asked = [ask(name, *picture, text) for name, text in TEXTS.items()]
        got = by_id(adapter.generate(iter(asked)))
        assert set(got) == set(TEXTS)
        for name in ("chinese", "arabic", "emoji", "combining"):
            assert got[name].failure is None, f"{name}: {got[name].failure}"
        for response in got.values():
            assert response.failure is None or response.failure.message
        half = got["half_character"].failure
        assert half is None or "no character" in half.message

    def test_failing_requests_fail_alone(
        self, adapter: ModelAdapter, requests: list[Request], unanswerable: list[Request]
    ) -> None:
        fine = {r.request_id: r.text for r in adapter.generate(iter(requests))}
        mixed = [*requests[:3], *unanswerable, *requests[3:]]
        got = by_id(adapter.generate(iter(mixed)))
        equal = [got[name].text == text and got[name].failure is None for name, text in fine.items()]
        assert sum(equal) >= self.same_answers * len(equal)
        for request in unanswerable:
            response = got[request.request_id]
            assert response.finish == "error"
            assert response.failure is not None
            assert response.failure.message
            assert response.failure.type

    # -- likelihood

    def test_choices_are_scored_where_announced(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        asked = [replace(request, choices=("A", "B", "neither of them")) for request in requests[:4]]
        if not adapter.capabilities.choice_scoring:
            with pytest.raises(AdapterError, match="likelihood"):
                list(adapter.score_choices(iter(asked)))
            return
        together = by_id(adapter.score_choices(iter(asked)))
        assert set(together) == {request.request_id for request in asked}
        for request in asked:
            response = together[request.request_id]
            assert response.failure is None
            assert response.choice_scores is not None
            assert response.choice_tokens is not None
            assert len(response.choice_scores) == len(response.choice_tokens) == 3
            assert all(score <= 0 for score in response.choice_scores)
            assert all(tokens >= 1 for tokens in response.choice_tokens)
            (alone,) = adapter.score_choices(iter([request]))
            assert alone.choice_scores == pytest.approx(response.choice_scores, abs=self.choice_tolerance)

    # -- manners

    def test_requests_are_pulled_lazily(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        pulled = 0

        def endless() -> Iterator[Request]:
            nonlocal pulled
            while pulled < 100_000:
                pulled += 1
                yield replace(requests[pulled % len(requests)], request_id=f"again{pulled}")

        stream = adapter.generate(endless())
        next(iter(stream))
        assert pulled < 5_000
        close = getattr(stream, "close", None)
        if close is not None:
            close()

    def test_global_random_state_is_left_alone(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        def state() -> tuple[Any, ...]:
            torch = sys.modules.get("torch")
            drawn = torch.get_rng_state().tolist() if torch else None
            return random.getstate(), np.random.get_state()[1].tolist(), drawn

        before = state()
        list(adapter.generate(iter(requests[:2])))
        assert state() == before

    def test_times_are_known_or_null_and_never_negative(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        for response in adapter.generate(iter(requests)):
            timing = response.timing
            times = (timing.image_ms, timing.vision_ms, timing.prefill_ms, timing.decode_ms, timing.batch_ms)
            assert all(t is None or t >= 0 for t in times)
            assert timing.ttft_ms is None or timing.batch_ms is None or timing.ttft_ms <= timing.batch_ms
            if adapter.capabilities.stage_timing:
                assert timing.batch_ms is not None
                assert timing.batch_size is not None
            if adapter.capabilities.streaming:
                assert timing.ttft_ms is not None

    def test_prompt_text_shows_the_question(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        assert requests[0].turns[-1].text in adapter.prompt_text(requests[0])

    def test_memory_is_in_numbers_or_null(self, adapter: ModelAdapter) -> None:
        assert all(value is None or value >= 0 for value in adapter.memory_mib().values())

    def test_closing_frees_weights_and_threads(
        self, build: Callable[[], ModelAdapter], requests: list[Request]
    ) -> None:
        threads = set(threading.enumerate())
        gc.collect()
        gc.freeze()  # only what is new is looked at
        try:
            made = build()
            list(made.generate(iter(requests[:2])))
            held = live_tensor_bytes()
            made.close()
            assert live_tensor_bytes() <= 0.1 * held + 4096
        finally:
            gc.unfreeze()
        deadline = time.monotonic() + 10
        while (left := set(threading.enumerate()) - threads) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert left == set()

    def test_no_secret_gets_into_identity_records_or_logs(
        self,
        build: Callable[[], ModelAdapter],
        requests: list[Request],
        unanswerable: list[Request],
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        for key in ENVIRONMENT_KEYS:
            monkeypatch.setenv(key, HUSH)
        with caplog.at_level(logging.DEBUG):
            made = build()
            try:
                responses = list(made.generate(iter([*requests[:2], *unanswerable])))
                written = [json.dumps(dict(made.identity())), made.prompt_text(requests[0]), repr(responses)]
            finally:
                made.close()
        written += [caplog.text, *capfd.readouterr()]
        for secret in (HUSH, *self.secrets):
            assert not [text for text in written if secret in text]
