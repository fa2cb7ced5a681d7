"""Our server: what it answers, what it refuses, and that an evaluation through it is the evaluation without it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_tools import PROJECT, ask, picture, serving

import run_eval
from model_adapters import load_adapter
from model_adapters.contract import ModelAdapter, Request, Response
from model_adapters.null import NullAdapter
from model_adapters.serving.batcher import Batcher, Ticket
from model_adapters.serving.errors import ProtocolError
from model_adapters.serving.reading import READ, read_chat

RED = "data:image/png;base64," + b64encode(picture("red").read()).decode()


def call(
    url: str, path: str, body: Any = None, *, method: str | None = None, **headers: str
) -> tuple[int, dict[str, Any] | str]:
    """Status and JSON (or text) of one HTTP request."""
    place = urlsplit(url)
    connection = HTTPConnection(place.hostname or "", place.port, timeout=60)
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    sent = {"Content-Type": "application/json"} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method or ("GET" if body is None else "POST"), place.path + path, data, sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    is_json = answer.headers.get_content_type() == "application/json"
    return answer.status, json.loads(text) if is_json else text


def chat(text: str = "What colour is it?", image: str | None = RED, **more: Any) -> dict[str, Any]:
    parts = [{"type": "image_url", "image_url": {"url": image}}] if image else []
    content = [*parts, {"type": "text", "text": text}]
    return {"model": "small-final", "messages": [{"role": "user", "content": content}], "max_tokens": 8, **more}


def events(text: str) -> Iterator[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return map(json.loads, lines[:-1])


def test_the_model_is_listed_with_what_it_is_and_can(served: str) -> None:
    status, listed = call(served, "/models")
    assert isinstance(listed, dict)
    (card,) = listed["data"]
    assert (status, card["id"], card["capabilities"]["max_images"]) == (200, "small-final", 1)
    assert len(card["identity"]["weights"]) == 64
    assert call(served, "/models/small-final") == (200, card)
    assert call(served, "/models/other")[0] == 404


def test_a_stream_gives_the_same_answer_piece_by_piece(served: str) -> None:
    _, whole = call(served, "/chat/completions", chat("Describe the picture."))
    assert isinstance(whole, dict)
    status, stream = call(
        served, "/chat/completions", chat("Describe the picture.", stream=True, stream_options={"include_usage": True})
    )
    assert isinstance(stream, str)
    chunks = list(events(stream))
    pieces = [choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]]
    assert status == 200
    assert "".join(pieces) == whole["choices"][0]["message"]["content"] != ""
    assert sum(map(bool, pieces)) > 1
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"]
    assert chunks[-1]["usage"] == whole["usage"]
    assert whole["usage"]["completion_tokens"] >= sum(map(bool, pieces))


BAD = [
    (b"{", 400, "no JSON"),
    (b"[1]", 400, "JSON object"),
    (b"\xff\xfe", 400, "no JSON"),
    (chat() | {"model": "gpt-4"}, 404, "small-final"),
    (chat() | {"messages": []}, 400, "at least one message"),
    (chat() | {"messages": [{"role": "robot", "content": "x"}]}, 400, "user, assistant"),
    (chat() | {"messages": [{"role": "user", "content": 3}]}, 400, "list of parts"),
    (chat() | {"messages": [{"role": "user", "content": [{"type": "audio"}]}]}, 400, "content[0]"),
    (chat(image="http://127.0.0.1/x.png"), 400, "does not fetch"),
    (chat(image="https://example.org/x.png"), 400, "does not fetch"),
    (chat(image="file:///etc/passwd"), 400, "does not fetch"),
    (chat(image="data:text/html;base64,eA=="), 400, "data:image"),
    (chat(image="data:image/png;base64,@@@"), 400, "no base64"),
    (chat(image="data:image/png;base64,aGVsbG8="), 400, "content[0]"),
    (chat(image=None), 400, "text_only"),
    (chat(temperature=-1), 400, "temperature"),
    (chat(temperature="hot"), 400, "temperature"),
    (chat(max_tokens=0), 400, "max_tokens"),
    (chat(max_tokens=True), 400, "max_tokens"),
    (chat(max_tokens=10**9), 400, "max_tokens"),
    (chat(n=2), 400, "n other than 1"),
    (chat(tools=[{}]), 400, "tools"),
    (chat(response_format={"type": "json_object"}), 400, "response_format"),
    (chat(stop=[""]), 400, "stop"),
    (chat(temprature=1), 400, "Did you mean 'temperature'"),
    (chat(score_choices=[]), 400, "score_choices"),
    (chat(score_choices=["red", "\ud83d"]), 400, "no character"),
    (chat("why \ud83d?"), 400, "ud83d"),
    (chat(num_beams=10**6), 400, "num_beams"),
    (chat(num_beams=0), 400, "num_beams"),
    (chat(repetition_penalty=float("inf")), 400, "repetition_penalty"),
    (chat(temperature=float("nan")), 400, "temperature"),
    (chat(max_tokens=8.0), 400, "a whole number"),
    (chat(stop=0), 400, "stop"),
    (chat("x " * 5000), 400, "tokens"),
    (chat() | {"messages": [{"role": "system", "content": "x"}, *chat()["messages"]]}, 400, "system"),
]


@pytest.mark.parametrize(
    ("body", "status", "told"), BAD, ids=[f"{i}-{told[:12]}" for i, (_, _, told) in enumerate(BAD)]
)
def test_what_it_cannot_do_it_refuses_and_says_why(served: str, body: Any, status: int, told: str) -> None:
    got, error = call(served, "/chat/completions", body)
    assert isinstance(error, dict)
    assert got == status
    assert told in error["error"]["message"]
    assert error["error"]["type"] == "invalid_request_error"
    if isinstance(body, dict):
        assert call(served, "/chat/completions", body | {"stream": True})[0] == status


def test_other_paths_methods_and_types_are_errors_in_json(served: str) -> None:
    assert call(served, "/nothing")[0] == 404
    assert call(served, "/chat/completions", method="DELETE")[0] == 405
    status, error = call(served, "/chat/completions", b"{}", Content_Type="text/plain")
    assert isinstance(error, dict)
    assert (status, "application/json" in error["error"]["message"]) == (415, True)


def test_sampled_answers_follow_the_seed(served: str) -> None:
    def text_of(body: dict[str, Any]) -> str:
        answer = call(served, "/chat/completions", body)[1]
        if isinstance(answer, dict):
            return str(answer["choices"][0]["message"]["content"])
        return "".join(c["delta"].get("content", "") for chunk in events(answer) for c in chunk["choices"])

    def drawn(seed: int) -> Any:
        body = chat("Describe the picture.", temperature=1.5, seed=seed)
        with ThreadPoolExecutor(4) as pool:  # one request several times at once: never in one batch
            texts = set(pool.map(text_of, [body, body, body | {"stream": True}, body | {"stream": True}]))
        assert len(texts) == 1
        return texts.pop()

    assert len({drawn(seed) for seed in range(6)}) > 1


PART = ["run", "demo", "--sample", "8", "--no-report", "--quiet"]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of all demo tasks, answered in this process."""
    run = tmp_path_factory.mktemp("local") / "run"
    assert run_eval.main([*PART, "--checkpoint", "small-final", "--out", str(run)]) == 0
    return run


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_evaluation_through_the_server_has_the_same_answers(
    served: str, local: Path, tmp_path: Path, stream: bool
) -> None:
    """Greedy answers, a circular task, captions, and their scores."""
    server = ["--model", "openai", "-o", f"base_url={served}", "-o", f"stream={str(stream).lower()}"]
    run = tmp_path / "served"
    assert run_eval.main([*PART, *server, "--out", str(run)]) == 0
    assert _answers(run) == _answers(local)
    ours, theirs = (json.loads((path / "results.json").read_text())["tasks"] for path in (run, local))
    assert {task: ours[task]["statistics"] for task in ours} == {task: theirs[task]["statistics"] for task in theirs}
    one, other = (json.loads((path / "manifest.json").read_text())["identity"]["model"] for path in (run, local))
    assert one["weights"] == other["weights"]


def _answers(run: Path) -> dict[str, tuple[str, str]]:
    lines = [line for file in sorted((run / "responses").glob("*.jsonl")) for line in file.read_text().splitlines()]
    found = {f"{line['sample']}/{line['id']}": (line["text"], line["finish"]) for line in map(json.loads, lines)}
    assert len(found) > 40
    return found


def test_choices_are_scored_as_in_the_process(served: str) -> None:
    request = Request("r", ask("Which colour?", picture("green")).turns, choices=("red", "green", "a very long one"))
    remote, local = load_adapter("openai", base_url=served), load_adapter("omnilmm", checkpoint="small-final")
    (theirs,), (ours,) = remote.score_choices([request]), local.score_choices([request])
    assert theirs.choice_scores == pytest.approx(ours.choice_scores, abs=1e-3)
    assert theirs.choice_tokens == ours.choice_tokens
    assert remote.capabilities.choice_scoring
    remote.close()
    local.close()


def test_a_key_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("secret-of-this-server")
    with serving("--model", "null", "--name", "nil", "--api-key-file", str(tmp_path / "key")) as (_, url):
        assert call(url, "/models")[0] == 401
        assert call(url, "/models", Authorization="Bearer wrong")[0] == 401
        assert call(url, "/models", Authorization="Bearer secret-of-this-server")[0] == 200
        adapter = load_adapter("openai", base_url=url, api_key_file=str(tmp_path / "key"))
        assert [r.text for r in adapter.generate([ask("x")])] == ["A"]
        adapter.close()


def test_a_body_that_is_too_large_is_refused() -> None:
    with serving("--model", "null", "--max-body-mib", "0.1") as (_, url):
        body = chat("x" * 200_000, image=None) | {"model": "null"}
        status, error = call(url, "/chat/completions", body)
        assert isinstance(error, dict)
        assert (status, error["error"]["code"]) == (413, "body_too_large")
        assert call(url, "/chat/completions", chat(image=None) | {"model": "null"})[0] == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "term"])
def test_it_ends_when_told_and_answers_what_it_has_taken(number: signal.Signals) -> None:
    with serving("--model", "null", "--window-ms", "3000") as (process, url), ThreadPoolExecutor(1) as pool:
        answer = pool.submit(call, url, "/chat/completions", chat(image=None) | {"model": "null"})
        time.sleep(1.0)  # it waits in the batching window now
        process.send_signal(number)
        assert answer.result()[0] == 200
        assert process.wait(20) == 0
        with pytest.raises(ConnectionError):
            call(url, "/models")


def test_a_port_in_use_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "run_eval.py", "serve", "--model", "null", "--port", port]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f"error: Cannot listen on 127.0.0.1:{port}" in done.stderr


def test_clients_that_leave_do_not_disturb_the_others() -> None:
    with serving("--model", "null", "--window-ms", "200") as (_, url):
        place = urlsplit(url)
        body = json.dumps(chat(image=None) | {"model": "null"}).encode()
        for _ in range(5):
            with socket.create_connection((place.hostname or "", place.port or 0)) as leaving:
                head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
                leaving.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
        assert call(url, "/chat/completions", body)[0] == 200


FIELDS = [*sorted(READ), "tools", "logit_bias", "stream_options", "role", "content", "type", "text", "image_url", "url"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.sampled_from(["user", RED])
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5)
)


@given(DOCUMENTS, st.booleans())
def test_any_json_is_a_request_or_an_error_for_the_client(document: Any, usual: bool) -> None:
    """Never an exception of another kind, which would be answered as a fault of the server."""
    if usual and isinstance(document, dict):
        document = {"messages": [{"role": "user", "content": "?"}], **document, "model": "m"}
    refused = None
    try:
        read = read_chat(json.dumps(document).encode(), "m")
        "".join(turn.text for turn in read.request.turns).encode()  # raises where half a character got through
    except ProtocolError as error:
        refused = error
    assert refused is None or (400 <= refused.status < 500 and str(refused))


# -- batching


class Slow(NullAdapter):
    """Takes its time, and keeps the batches that it was given."""

    def __init__(self, fail: Callable[[Request], bool] = lambda request: False) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self._fail = fail

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        batch = list(requests)
        self.batches.append([request.request_id for request in batch])
        time.sleep(0.05)
        if any(self._fail(request) for request in batch):
            raise RuntimeError("the model broke")
        yield from super().generate(batch)


def put_all(adapter: ModelAdapter, names: list[str], **limits: Any) -> dict[str, list[Response]]:
    got: dict[str, list[Response]] = {}
    batcher = Batcher(adapter, **{"max_batch": 8, "window_s": 30.0, "max_waiting": 100, **limits})
    for name in names:
        assert batcher.put(Ticket(ask(name), lambda r: got.setdefault(r.request_id, []).append(r)))
    batcher.close()
    return got


def test_requests_that_arrive_together_are_answered_together() -> None:
    adapter = Slow()
    got = put_all(adapter, [f"q{i}" for i in range(20)])
    assert all(len(responses) == 1 and responses[0].text == "A" for responses in got.values())
    assert [len(batch) for batch in adapter.batches] == [8, 8, 4]


def test_requests_of_one_id_never_share_a_batch() -> None:
    adapter = Slow()
    got = put_all(adapter, ["same", "same", "other", "same"])
    assert len(got["same"]) == 3
    assert all(len(set(batch)) == len(batch) for batch in adapter.batches)


def test_a_batch_that_breaks_fails_and_the_next_one_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    adapter = Slow(lambda request: request.request_id == "bad")
    got = put_all(adapter, ["bad", "one", "two"], max_batch=2)
    assert [response.failure is None for (response,) in (got["bad"], got["one"], got["two"])] == [False, False, True]
    assert "the model broke" in capsys.readouterr().err


def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    adapter, got = Slow(), []
    batcher = Batcher(adapter, max_batch=1, window_s=0.0, max_waiting=100)
    tickets = [Ticket(ask(f"q{i}"), got.append) for i in range(5)]
    for ticket in tickets:
        ticket.abandoned = ticket is not tickets[0] and ticket is not tickets[4]
        batcher.put(ticket)
    batcher.close()
    assert [response.request_id for response in got] == ["q0", "q4"]
    assert adapter.batches == [["q0"], ["q4"]]


def test_more_than_may_wait_is_refused() -> None:
    batcher = Batcher(Slow(), max_batch=1, window_s=0.0, max_waiting=2)
    taken = [batcher.put(Ticket(ask(f"q{i}"), lambda _: None)) for i in range(10)]
    assert not all(taken)
    batcher.close()


def test_an_adapter_that_cannot_tell_an_answer_as_it_grows_streams_it_whole() -> None:
    told: list[str | Response] = []
    batcher = Batcher(Slow(), max_batch=2, window_s=30.0, max_waiting=2)
    batcher.put(Ticket(ask("heard"), told.append, told.append))
    batcher.put(Ticket(ask("unheard"), lambda _: None))
    batcher.close()
    piece, response = told
    assert isinstance(response, Response)
    assert (piece, response.request_id, response.text) == ("A", "heard", "A")
