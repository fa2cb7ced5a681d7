"""Servers that fail in every way: what is tried again, what is not, and what the record says."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from aiohttp import web
from server_tools import ask, picture
from stub import Stub, answer, delta, echo, question_of, refusal, send_events

from model_adapters import load_adapter
from model_adapters.contract import AdapterError, ModelAdapter, Request, Response
from model_adapters.openai_api import retry

Start = Callable[..., Stub]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Back-off in milliseconds: these tests are about what is tried again, not about waiting."""
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.002)
    monkeypatch.setattr(retry, "LONGEST_STEP_S", 0.05)


@pytest.fixture
def connect() -> Iterator[Callable[..., ModelAdapter]]:
    made: list[ModelAdapter] = []

    def load(stub: Stub, **options: Any) -> ModelAdapter:
        made.append(load_adapter("openai", base_url=stub.url, **options))
        return made[-1]

    yield load
    for adapter in made:
        adapter.close()


def answers(adapter: ModelAdapter, requests: list[Request]) -> dict[str, Response]:
    return {response.request_id: response for response in adapter.generate(iter(requests))}


def failing_first(times: int, fail: Callable[[web.Request], Any]) -> Any:
    """Each question fails so many times before it is answered."""
    seen: dict[str, int] = {}

    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        question = question_of(body)
        seen[question] = seen.get(question, 0) + 1
        return await (fail(request) if seen[question] <= times else echo(request, body))

    return behave


async def status_503(_: web.Request) -> web.StreamResponse:
    return refusal(503, "loading")


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def reset_in_body(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"choices": [{"mess')
    return await reset(request)


async def reset_in_stream(request: web.Request) -> web.StreamResponse:
    await send_events(request, delta("a wrong "), delta("begin"))
    return await reset(request)


async def stream_without_end(request: web.Request) -> web.StreamResponse:
    return await send_events(request, delta("half an ans"))


async def error_in_stream(request: web.Request) -> web.StreamResponse:
    return await send_events(request, delta("half"), '{"error": {"message": "out of memory"}}')


async def half_json(_: web.Request) -> web.StreamResponse:
    return web.Response(body=b'{"choices": [{"message": {"content": "ye', content_type="application/json")


async def a_page(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>Bad gateway</html>", content_type="text/html")


async def no_choices(_: web.Request) -> web.StreamResponse:
    return web.json_response({"choices": []})


async def content_is_a_number(_: web.Request) -> web.StreamResponse:
    return web.json_response({"choices": [{"message": {"content": 3}, "finish_reason": "stop"}]})


async def brackets_without_end(_: web.Request) -> web.StreamResponse:
    return web.Response(text="[" * 100_000, content_type="application/json")


PASSING = [status_503, reset, reset_in_body, half_json, a_page, no_choices, content_is_a_number, brackets_without_end]
PASSING_STREAMED = [status_503, reset, reset_in_stream, stream_without_end, error_in_stream]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: fault.__name__)
def test_what_passes_is_tried_again(start: Start, connect: Callable[..., ModelAdapter], fault: Any) -> None:
    adapter = connect(start(failing_first(2, fault)))
    got = answers(adapter, [ask("one"), ask("two", picture())])
    assert {name: r.text for name, r in got.items()} == {"one": "you asked: one", "two": "you asked: two"}


@pytest.mark.parametrize("fault", PASSING_STREAMED, ids=lambda fault: fault.__name__)
def test_a_broken_stream_is_asked_again_from_its_beginning(
    start: Start, connect: Callable[..., ModelAdapter], fault: Any
) -> None:
    adapter = connect(start(failing_first(2, fault)), stream=True)
    assert answers(adapter, [ask("one")])["one"].text == "you asked: one"


@pytest.mark.parametrize("fault", [*PASSING, *PASSING_STREAMED[2:]], ids=lambda fault: fault.__name__)
def test_what_does_not_pass_is_a_failure_that_says_so(
    start: Start, connect: Callable[..., ModelAdapter], fault: Any
) -> None:
    stub = start(failing_first(99, fault))
    adapter = connect(stub, retries=2)
    response = answers(adapter, [ask("one")])["one"]
    assert response.finish == "error"
    assert response.failure is not None
    assert response.failure.type == "ServerFailed"
    assert response.failure.message.endswith("Given up after 3 tries.")
    assert len(stub.bodies) == 3


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_request_is_not_asked_again(start: Start, connect: Callable[..., ModelAdapter], status: int) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return refusal(status, "context length exceeded") if question_of(body) == "long" else await echo(request, body)

    stub = start(behave)
    got = answers(connect(stub), [ask("long"), ask("short")])
    assert got["short"].failure is None
    assert got["long"].failure is not None
    assert got["long"].failure.type == "RequestRefused"
    assert f"HTTP {status}: context length exceeded" in got["long"].failure.message
    assert len(stub.bodies) == 2


def test_a_storm_of_429_is_sat_out_as_the_server_says(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    opened = time.monotonic() + 0.4

    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        left_s = opened - time.monotonic()
        return (
            await echo(request, body) if left_s <= 0 else refusal(429, "slow down", **{"Retry-After": f"{left_s:.3f}"})
        )

    stub = start(behave)
    got = answers(connect(stub, concurrency=8), [ask(f"q{i}") for i in range(40)])
    assert [r.failure for r in got.values() if r.failure] == []
    assert len(stub.bodies) <= 40 + 2 * 8  # the first ones, and perhaps one more try of each


def test_a_pause_that_is_too_long_fails_at_once_and_says_how_long(
    start: Start, connect: Callable[..., ModelAdapter]
) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return refusal(429, "quota used up", **{"Retry-After": "86400"})

    stub = start(behave)
    failure = answers(connect(stub), [ask("one")])["one"].failure
    assert failure is not None
    assert "quota used up" in failure.message
    assert "86400 s" in failure.message
    assert len(stub.bodies) == 1


def test_a_slow_answer_is_given_up_and_does_not_hold_up_others(
    start: Start, connect: Callable[..., ModelAdapter]
) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if question_of(body) == "slow":
            await asyncio.sleep(30)
        return await echo(request, body)

    adapter = connect(start(behave), timeout_s=2.0, retries=0)
    got = answers(adapter, [ask("slow"), *[ask(f"q{i}") for i in range(5)]])
    failure = got.pop("slow").failure
    assert failure is not None
    assert "within 2 s" in failure.message
    assert all(response.failure is None for response in got.values())


def test_a_server_that_dies_and_returns_costs_no_answer(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    first = start()
    adapter = connect(first, concurrency=4, retries=100)
    stream = adapter.generate(ask(f"q{i}") for i in range(60))
    got = [next(stream) for _ in range(10)]
    first.close()
    second = start(port=first.port)
    got += list(stream)
    assert sorted(r.request_id for r in got) == sorted(f"q{i}" for i in range(60))
    assert [r.failure for r in got if r.failure] == []
    assert len(second.bodies) >= 46


def test_a_server_that_is_gone_ends_the_run_and_not_each_request(
    start: Start, connect: Callable[..., ModelAdapter]
) -> None:
    stub = start()
    adapter = connect(stub, concurrency=4, retries=1)
    stream = adapter.generate(ask(f"q{i}") for i in range(10_000))
    next(stream)
    stub.close()
    failed: list[Response] = []
    with pytest.raises(AdapterError, match=r"32 requests in a row.*same command continues"):
        failed.extend(stream)
    assert len(failed) < 100


def test_a_key_that_is_revoked_ends_the_run(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    stub = start()
    adapter = connect(stub, concurrency=4)
    stream = adapter.generate(ask(f"q{i}") for i in range(10_000))
    next(stream)

    async def revoked(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return refusal(401, "key revoked")

    stub.behave = revoked
    with pytest.raises(AdapterError, match="HTTP 401: key revoked"):
        list(stream)
    assert len(stub.bodies) < 100


def test_bad_samples_among_good_ones_end_no_run(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await echo(request, body) if question_of(body) == "q0" else refusal(400, "no")

    adapter = connect(start(behave), concurrency=1)
    got = answers(adapter, [ask(f"q{i}") for i in range(100)])
    assert sum(response.failure is not None for response in got.values()) == 99


def test_a_server_that_refuses_every_request_is_given_up(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return refusal(400, "this model does not support images")

    stub = start(behave)
    with pytest.raises(AdapterError, match="does not support images"):
        list(connect(stub, concurrency=4).generate(ask(f"q{i}", picture()) for i in range(1000)))
    assert len(stub.bodies) < 50


def test_no_more_requests_are_out_than_allowed(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.005)
        return await echo(request, body)

    stub = start(behave)
    answers(connect(stub, concurrency=3), [ask(f"q{i}") for i in range(30)])
    assert 2 <= stub.most_at_once <= 3


def test_a_stop_awaits_what_is_out_and_sends_nothing_more(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        return await echo(request, body)

    stub = start(behave)
    adapter = connect(stub, concurrency=4)
    stream = adapter.generate(ask(f"q{i}") for i in range(1000))
    got = [next(stream)]
    adapter.stop()
    got += list(stream)
    assert all(response.failure is None for response in got)
    assert len(got) == len(stub.bodies) <= 8


def test_a_stop_does_not_wait_for_pauses(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return refusal(429, "later", **{"Retry-After": "100"})

    stub = start(behave)
    adapter = connect(stub, concurrency=2)
    begin = time.monotonic()

    def requests() -> Iterator[Request]:
        yield ask("one")
        while not stub.bodies:
            time.sleep(0.01)
        adapter.stop()

    assert list(adapter.generate(requests())) == []
    assert time.monotonic() - begin < 50


def test_a_caller_that_leaves_takes_its_requests_along(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(30 if question_of(body) == "slow" else 0)
        return await echo(request, body)

    stub = start(behave)
    adapter = connect(stub, concurrency=2)
    stream = adapter.generate(iter([ask("slow"), ask("quick")]))
    assert next(stream).text == "you asked: quick"
    stream.close()
    assert answers(adapter, [ask("again")])["again"].text == "you asked: again"


def test_streams_tell_the_first_token_and_the_gaps(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await asyncio.sleep(0.05)
        stream = await send_events(request, delta(""), delta("one "), delta("two "))
        await asyncio.sleep(0.1)
        usage = '{"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}'
        for event in (delta("three"), delta(None, "length"), usage, "[DONE]"):
            await stream.write(f"data: {event}\r\n\r\n".encode())
        return stream

    response = answers(connect(start(behave), stream=True, price_in=1.0, price_out=10.0), [ask("x")])["x"]
    timing = response.timing
    assert (response.text, response.finish, response.usage.new_tokens) == ("one two three", "length", 3)
    assert response.usage.cost == pytest.approx((7 + 30) / 1e6)
    assert timing.ttft_ms is not None
    assert timing.tpot_ms is not None
    assert timing.longest_gap_ms is not None
    assert timing.batch_ms is not None
    assert 50 <= timing.ttft_ms <= timing.batch_ms
    assert 20 <= timing.longest_gap_ms <= 2 * timing.tpot_ms + 1  # a busy client reads late, which narrows a gap


def test_a_server_that_does_not_stream_is_read_all_the_same(start: Start, connect: Callable[..., ModelAdapter]) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return answer("whole")

    response = answers(connect(start(behave), stream=True), [ask("x")])["x"]
    assert (response.text, response.timing.ttft_ms) == ("whole", None)


ODD_STREAMS = {
    "an_error_that_is_null": [json.dumps({"error": None, **json.loads(delta("a cat", "stop"))})],
    "usage_without_choices": [delta("a cat", "stop"), '{"usage": {"completion_tokens": 2}}'],
    "choices_that_are_null": [delta("a cat", "stop"), '{"usage": {"completion_tokens": 2}, "choices": null}'],
    "parts_with_reasoning": [
        json.dumps({"choices": [{"delta": {"content": [{"type": "thinking", "thinking": "a dog?"}]}}]}),
        json.dumps({"choices": [{"delta": {"content": [{"type": "text", "text": "a cat"}]}, "finish_reason": "stop"}]}),
    ],
}


@pytest.mark.parametrize("events", ODD_STREAMS.values(), ids=ODD_STREAMS)
def test_what_servers_put_around_an_answer_does_not_harm_it(
    start: Start, connect: Callable[..., ModelAdapter], events: list[str]
) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return await send_events(request, *events, "[DONE]")

    response = answers(connect(start(behave), stream=True, retries=0), [ask("one")])["one"]
    assert (response.failure, response.text, response.finish) == (None, "a cat", "stop")


@pytest.mark.parametrize("cut", [1, 2, 3, 5, 7])
def test_a_character_that_is_cut_in_the_network_or_in_its_json_arrives_whole(
    start: Start, connect: Callable[..., ModelAdapter], cut: int
) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        if not body.get("stream"):
            return answer("\ud83d 猫")  # half a character, which no file could hold
        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await stream.prepare(request)
        event = json.dumps({"choices": [{"delta": {"content": "你好😀"}}]}, ensure_ascii=False)
        halves = (delta("\ud83d"), delta("\ude00", "stop"))  # json.dumps spells them as escapes
        data = "".join(f"data: {text}\r\n\r\n" for text in (event, *halves, "[DONE]")).encode()
        for begin in range(0, len(data), cut):
            await stream.write(data[begin : begin + cut])
        return stream

    stub = start(behave)
    assert answers(connect(stub, stream=True, retries=0), [ask("one")])["one"].text == "你好😀😀"
    assert answers(connect(stub, retries=0), [ask("one")])["one"].text == "\ufffd 猫"


@pytest.mark.parametrize("details", [[], "none", 3, {"image_tokens": "many"}])
def test_a_usage_block_that_is_odd_costs_no_answer(
    start: Start, connect: Callable[..., ModelAdapter], details: Any
) -> None:
    async def behave(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return answer("a cat", usage={"prompt_tokens": "7", "completion_tokens": 2, "prompt_tokens_details": details})

    response = answers(connect(start(behave), retries=0), [ask("one", picture())])["one"]
    assert (response.failure, response.text, response.usage.new_tokens) == (None, "a cat", 2)
    assert (response.usage.prompt_tokens, response.usage.image_tokens) == (None, None)
