"""What every model adapter promises, as tests to inherit.

    class TestMine(AdapterContract):
        @pytest.fixture(scope="class")
        @classmethod
        def adapter(cls) -> ModelAdapter: ...

        @pytest.fixture(scope="class")
        @classmethod
        def requests(cls) -> list[Request]: ...   # ten or more that the adapter can answer, greedy

Override ``unanswerable`` with requests that must fail (where there are any).
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator

import numpy as np
import pytest

from model_adapters.contract import AdapterError, ModelAdapter, Request, Response

IDENTITY_KEYS = {"adapter", "adapter_version", "model", "weights", "dtype", "parameters"}


class AdapterContract:
    """Inherit, and provide ``adapter`` and ``requests``."""

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        """Requests that this adapter must fail; none unless overridden."""
        return []

    def test_identity_is_plain_json_and_complete(self, adapter: ModelAdapter) -> None:
        identity = dict(adapter.identity())
        assert set(identity) >= IDENTITY_KEYS
        assert json.loads(json.dumps(identity)) == identity
        assert dict(adapter.identity()) == identity

    def test_each_request_comes_back_exactly_once(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        responses = list(adapter.generate(iter(requests)))
        assert sorted(r.request_id for r in responses) == sorted(r.request_id for r in requests)
        assert all(isinstance(response, Response) and response.failure is None for response in responses)

    def test_no_requests_give_no_responses(self, adapter: ModelAdapter) -> None:
        assert list(adapter.generate(iter([]))) == []

    def test_greedy_answers_do_not_depend_on_company_or_order(
        self, adapter: ModelAdapter, requests: list[Request]
    ) -> None:
        together = {r.request_id: r.text for r in adapter.generate(iter(requests))}
        turned = {r.request_id: r.text for r in adapter.generate(iter(requests[::-1]))}
        alone = {r.request_id: r.text for request in requests[:4] for r in adapter.generate(iter([request]))}
        assert turned == together
        assert alone == {name: together[name] for name in alone}

    def test_failing_requests_fail_alone(
        self, adapter: ModelAdapter, requests: list[Request], unanswerable: list[Request]
    ) -> None:
        fine = {r.request_id: r.text for r in adapter.generate(iter(requests))}
        mixed = [*requests[:3], *unanswerable, *requests[3:]]
        got = {r.request_id: r for r in adapter.generate(iter(mixed))}
        assert {name: got[name].text for name in fine} == fine
        for request in unanswerable:
            response = got[request.request_id]
            assert response.finish == "error"
            assert response.failure is not None
            assert response.failure.message
            assert response.failure.type

    def test_requests_are_pulled_lazily(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        pulled = 0

        def endless() -> Iterator[Request]:
            nonlocal pulled
            while pulled < 100_000:
                pulled += 1
                yield requests[pulled % len(requests)]

        stream = adapter.generate(endless())
        next(iter(stream))
        assert pulled < 5_000

    def test_global_random_state_is_left_alone(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        before = random.getstate(), np.random.get_state()[1].tolist()
        list(adapter.generate(iter(requests[:2])))
        assert (random.getstate(), np.random.get_state()[1].tolist()) == before

    def test_times_are_known_or_null_and_never_negative(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        for response in adapter.generate(iter(requests)):
            timing = response.timing
            times = (timing.image_ms, timing.vision_ms, timing.prefill_ms, timing.decode_ms, timing.batch_ms)
            assert all(t is None or t >= 0 for t in times)
            if adapter.capabilities.stage_timing:
                assert timing.batch_ms is not None
                assert timing.batch_size is not None

    def test_choices_are_scored_where_announced(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        from dataclasses import replace

        asked = [replace(request, choices=("A", "B", "neither of them")) for request in requests[:4]]
        if not adapter.capabilities.choice_scoring:
            with pytest.raises(AdapterError, match="likelihood"):
                list(adapter.score_choices(iter(asked)))
            return
        responses = list(adapter.score_choices(iter(asked)))
        assert {r.request_id for r in responses} == {r.request_id for r in asked}
        for response in responses:
            assert response.choice_scores is not None
            assert len(response.choice_scores) == 3
            assert all(score <= 0 for score in response.choice_scores)

    def test_prompt_text_shows_the_question(self, adapter: ModelAdapter, requests: list[Request]) -> None:
        assert requests[0].turns[-1].text in adapter.prompt_text(requests[0])

    def test_memory_is_in_numbers_or_null(self, adapter: ModelAdapter) -> None:
        assert all(value is None or value >= 0 for value in adapter.memory_mib().values())
