"""What is known before a run: wrong options, keys and names, no server. And the key, which nobody gets to see."""

from __future__ import annotations

import json
import logging
import math
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from server_tools import PROJECT, ask, picture
from stub import Stub, answer, echo, refusal

import run_eval
from model_adapters import load_adapter
from model_adapters.contract import AdapterError, ImageRef, Request
from model_adapters.openai_api.images import data_url
from model_adapters.openai_api.options import checked_url
from model_adapters.openai_api.payload import body_of
from model_adapters.openai_api.retry import Outage, backoff_s, retry_after_s

Start = Callable[..., Stub]
KEY = "sk-live-6f1d2c3b4a-never-written"
URL = "http://127.0.0.1:9/v1"


def refused(match: str, **options: Any) -> str:
    with pytest.raises(AdapterError, match=match) as caught:
        load_adapter("openai", **options).close()
    return str(caught.value)


# -- options


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "base_url"),
        ({"base_url": "127.0.0.1:8000"}, "http"),
        ({"base_url": "ftp://127.0.0.1/v1"}, "http"),
        ({"base_url": "http://[1::/v1"}, "base_url"),
        ({"base_url": "http://127.0.0.1:999999/v1"}, "base_url"),
        ({"base_url": URL, "concurency": 3}, "Did you mean 'concurrency'"),
        ({"base_url": URL, "concurrency": "many"}, "concurrency.*whole number"),
        ({"base_url": URL, "concurrency": 0}, "concurrency.*1 to 4096"),
        ({"base_url": URL, "retries": -1}, "retries"),
        ({"base_url": URL, "timeout_s": 0}, "timeout_s"),
        ({"base_url": URL, "token_limit": "n_predict"}, "max_completion_tokens"),
        ({"base_url": URL, "choice_scoring": "guess"}, "server or first_token"),
        ({"base_url": URL, "image_detail": "best"}, "low, high or auto"),
        ({"base_url": URL, "price_in": 1.0}, "price_out"),
        ({"base_url": URL, "accepts": "topk"}, "Did you mean 'top_k'"),
        ({"base_url": URL, "extra_body": {"model": "x"}}, "does not set itself"),
        ({"base_url": URL, "extra_body": {"x": float("nan")}}, "no JSON"),
        ({"base_url": URL, "ca_file": "nowhere.pem"}, "ca_file"),
        ({"base_url": URL, "probe": "everything"}, "models, image, none"),
        ({"base_url": URL, "probe": False}, "model=NAME"),
        ({"base_url": URL, "api_key_env": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE.*not set"),
        ({"base_url": URL, "api_key_file": "no_such_file"}, "api_key_file cannot be read"),
        ({"base_url": URL, "api_key_file": "x", "api_key_env": "X"}, "one place"),
        ({"base_url": URL}, "No server answers at .*refused.*base_url"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_wrong_option_is_named_before_anything_is_sent(options: dict[str, Any], match: str) -> None:
    refused(match, **options)


@pytest.mark.parametrize("url", [f"http://me:{KEY}@127.0.0.1/v1", f"http://127.0.0.1/v1?key={KEY}"])
def test_a_key_in_the_url_is_refused_and_not_repeated(url: str) -> None:
    assert KEY not in refused("api_key_env or api_key_file", base_url=url)


def test_a_key_given_as_a_variables_name_is_not_repeated() -> None:
    assert KEY not in refused("not the key itself", base_url=URL, api_key_env=KEY)


@pytest.mark.parametrize("text", ["", "  \n", "two words", "two\nlines", "schlüssel"])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    message = refused("key", base_url=URL, api_key_file=str(tmp_path / "key"))
    assert not text.strip() or text.strip() not in message


def test_a_key_is_not_sent_in_the_clear_over_a_network(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(KEY)
    refused("not encrypted", base_url="http://192.0.2.1/v1", api_key_file=str(tmp_path / "key"), probe=False, model="m")


def test_a_slash_at_the_urls_end_changes_nothing() -> None:
    assert checked_url("https://host:8/v1/") == "https://host:8/v1"


# -- the probe


def test_a_wrong_key_is_told_before_the_run_and_tried_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    async def wrong(request: web.Request) -> web.Response:
        tries.append(request.headers["Authorization"])
        return refusal(401, f"Incorrect API key provided: {KEY}.")

    monkeypatch.setenv("SERVER_KEY", KEY)
    message = refused(
        "refused the key.*SERVER_KEY.*HTTP 401", base_url=start(models=wrong).url, api_key_env="SERVER_KEY"
    )
    assert tries == [f"Bearer {KEY}"]
    assert KEY not in message


def test_a_missing_key_is_told_before_the_run(start: Start) -> None:
    async def wanted(request: web.Request) -> web.Response:
        return refusal(401, "no key")

    refused("It wants one: give it by api_key_env", base_url=start(models=wanted).url)


def test_an_unknown_model_is_told_with_the_nearest_name(start: Start) -> None:
    stub = start(models=["qwen-vl", "smol-vlm"])
    refused("no model 'qwen-v1'. Did you mean 'qwen-vl'", base_url=stub.url, model="qwen-v1")
    refused("lists 2 models .*qwen-vl, smol-vlm.*model=NAME", base_url=stub.url)


def test_a_server_without_the_list_says_where_to_look(start: Start) -> None:
    stub = start()
    refused("base_url usually ends in /v1.*probe=false", base_url=stub.url.removesuffix("/v1") + "/api")


def test_a_text_model_is_told_by_the_picture_probe(start: Start) -> None:
    async def blind(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        return refusal(400, "this model does not support image input")

    stub = start(blind)
    refused("small picture.*HTTP 400.*image input.*text model", base_url=stub.url, probe="image")
    assert len(stub.bodies) == 1
    assert stub.bodies[0]["max_tokens"] == 1


def test_without_a_probe_nothing_is_sent_before_the_first_request(start: Start) -> None:
    async def never(request: web.Request) -> web.Response:
        raise AssertionError

    adapter = load_adapter("openai", base_url=start(models=never).url, model="m", probe=False)
    (response,) = adapter.generate([ask("hello")])
    assert response.text == "you asked: hello"
    adapter.close()


def test_the_command_line_says_it_in_one_paragraph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = [
        "run",
        "easyvqa",
        "--limit",
        "1",
        "--model",
        "openai",
        "-o",
        f"base_url={URL}",
        "--out",
        str(tmp_path / "r"),
    ]
    assert run_eval.main(arguments) == 2
    assert "error: No server answers" in capsys.readouterr().err


def test_the_identity_says_where_and_what(start: Start) -> None:
    card = {"id": "m", "created": 1, "owned_by": "vllm", "root": "/models/m", "max_model_len": 4096}
    stub = start(models=[card])
    adapter = load_adapter("openai", base_url=stub.url)
    identity = adapter.identity()
    adapter.close()
    assert identity["base_url"] == stub.url
    assert identity["model"] == "m"
    assert identity["served"] == {"id": "m", "owned_by": "vllm", "root": "/models/m", "max_model_len": 4096}


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 that no authority knows, and its key in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate can be made")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=stub"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "k"), "-out", str(tmp_path / "c.pem")]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    return tmp_path / "c.pem"


def test_certificates_are_verified_always(start: Start, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("k"))
    stub = start(ssl=context)
    refused("certificate is not trusted.*ca_file", base_url=stub.url)
    adapter = load_adapter("openai", base_url=stub.url, ca_file=str(certificate))
    (response,) = adapter.generate([ask("hello")])
    adapter.close()
    assert response.text == "you asked: hello"
    refused("certificate is not trusted", base_url=stub.url.replace("127.0.0.1", "localhost"), ca_file=str(certificate))


# -- what is sent


def body(request: Request, stub: Stub, **options: Any) -> dict[str, Any]:
    adapter = load_adapter("openai", base_url=stub.url, **options)
    list(adapter.generate([request]))
    adapter.close()
    return stub.bodies[-1]


def test_pictures_are_sent_in_their_original_bytes_and_their_place(start: Start) -> None:
    red, blue = picture("red", "JPEG"), picture("blue", "WEBP")
    request = ask("\x01 tricky \x00image", red, blue)
    content = body(request, start(), image_detail="low")["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "text"]
    assert content[0]["image_url"] == {"url": data_url(red).decode(), "detail": "low"}
    assert content[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert content[1]["image_url"]["url"].startswith("data:image/webp;base64,")
    assert content[2]["text"] == "\x01 tricky \x00image"


@pytest.mark.parametrize(("form", "mode"), [("BMP", "RGB"), ("TIFF", "CMYK"), ("GIF", "P")])
def test_other_formats_become_png_with_the_same_pixels(form: str, mode: str) -> None:
    ref = picture("red", form, mode) if mode != "CMYK" else picture((0, 255, 255, 0), form, mode)  # type: ignore[arg-type]
    url = data_url(ref)
    assert url.startswith(b"data:image/png;base64,iVBOR")
    again = ImageRef("0", "again", lambda: __import__("base64").b64decode(url.partition(b",")[2]))
    assert again.open().convert("RGB").tobytes() == ref.open().convert("RGB").tobytes()


def test_greedy_settings_and_sampling_are_spelt_as_the_protocol_has_them(start: Start) -> None:
    stub = start()
    greedy = body(ask("q", stop=("\n",)), stub)
    assert (greedy["temperature"], greedy["max_tokens"], greedy["stop"]) == (0.0, 8, ["\n"])
    assert not {"seed", "top_p", "top_k", "stream"} & set(greedy)
    drawn = ask("q", do_sample=True, temperature=0.7, top_p=0.9, top_k=5, seed=3)
    sent = body(drawn, stub, accepts="top_k", extra_body={"x": {"y": 1}})
    assert (sent["temperature"], sent["top_p"], sent["top_k"], sent["seed"], sent["x"]) == (0.7, 0.9, 5, 3, {"y": 1})


def test_max_completion_tokens_can_be_the_limits_name(start: Start) -> None:
    async def fine(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        return answer("x")

    sent = body(ask("q"), start(fine), token_limit="max_completion_tokens")
    assert sent["max_completion_tokens"] == 8
    assert "max_tokens" not in sent


@given(st.text(max_size=40), st.integers(0, 2))
def test_any_text_arrives_as_it_was(text: str, images: int) -> None:
    refs = [picture("red")] * images
    options = _options()
    try:
        sent = json.loads(body_of(ask(text, *refs), "m", options, ()))
    except AdapterError:
        assert "\x00image\x00" in text
        return
    content = sent["messages"][0]["content"]
    assert (content if isinstance(content, str) else content[-1]["text"]) == text


def _options() -> Any:
    from model_adapters.openai_api.options import ServerOptions

    return ServerOptions(URL, 1, 0, 1.0, 1.0, False, "max_tokens", "server", None, {}, (), None, None, None)


def test_choices_of_one_token_are_scored_from_the_first_tokens_log_probabilities(start: Start) -> None:
    async def offer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        top = [{"token": token, "logprob": math.log(p)} for token, p in (("A", 0.5), (" A", 0.25), ("B", 0.125))]
        choice = {
            "message": {"content": "A"},
            "logprobs": {"content": [{"top_logprobs": top}]},
            "finish_reason": "length",
        }
        return web.json_response({"choices": [choice]})

    stub = start(offer)
    adapter = load_adapter("openai", base_url=stub.url, choice_scoring="first_token", stream=True)
    asked = [
        Request("known", ask("q").turns, choices=("A", "B")),
        Request("unknown", ask("q").turns, choices=("A", "C")),
    ]
    got = {response.request_id: response for response in adapter.score_choices(asked)}
    adapter.close()
    assert got["known"].choice_scores == pytest.approx((math.log(0.75), math.log(0.125)))
    assert got["known"].choice_tokens == (1, 1)
    failure = got["unknown"].failure
    assert failure is not None
    assert "'C' is not among the 3 likeliest" in failure.message
    assert (stub.bodies[0]["max_tokens"], stub.bodies[0]["top_logprobs"], "stream" in stub.bodies[0]) == (1, 20, False)


@pytest.mark.parametrize("odd", [math.nan, None, "likely", [0.5]], ids=str)
def test_log_probabilities_that_are_no_numbers_make_no_score(start: Start, odd: Any) -> None:
    async def offer(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        top = [{"token": "A", "logprob": odd}, {"token": "B", "logprob": -1.0}]
        choice = {"message": {"content": "A"}, "logprobs": {"content": [{"top_logprobs": top}]}}
        return web.json_response({"choices": [choice]})

    adapter = load_adapter("openai", base_url=start(offer).url, choice_scoring="first_token", retries=0)
    (response,) = adapter.score_choices([Request("r", ask("q").turns, choices=("A", "B"))])
    adapter.close()
    assert response.choice_scores is None
    assert response.failure is not None
    assert "log-probabilities cannot be read" in response.failure.message


def test_a_server_without_log_probabilities_says_so(start: Start) -> None:
    adapter = load_adapter("openai", base_url=start().url, choice_scoring="first_token")
    (response,) = adapter.score_choices([Request("r", ask("q").turns, choices=("A", "B"))])
    adapter.close()
    assert response.failure is not None
    assert "top_logprobs" in response.failure.message


# -- waiting


@given(st.integers(0, 1000), st.integers(0, 2**32))
def test_waits_grow_are_spread_and_have_an_end(attempt: int, seed: int) -> None:
    wait_s = backoff_s(attempt, Random(seed))
    assert 0.25 * min(2 ** min(attempt, 7), 60) <= wait_s <= 30.0


def test_retry_after_is_read_as_seconds_milliseconds_or_a_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after_s({"Retry-After": "2.5"}) == 2.5
    assert retry_after_s({"retry-after-ms": "250", "Retry-After": "1"}) == 0.25
    assert retry_after_s({"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT"}, now) == 30.0
    assert retry_after_s({"Retry-After": "Thu, 01 Jan 2025 00:00:30 GMT"}, now) == 0.0
    for nothing in ({}, {"Retry-After": "soon"}, {"Retry-After": "-1"}, {"Retry-After": "nan"}):
        assert retry_after_s(nothing) is None


def test_an_outage_is_failures_in_a_row() -> None:
    outage = Outage(limit=3)
    assert not outage.failed("a", of_server=True)
    outage.answered()
    assert [outage.failed("b", of_server=True) for _ in range(3)] == [False, False, True]
    outage.answered()
    assert not any(outage.failed("c", of_server=False) for _ in range(99))


# -- the key


def test_a_key_is_found_nowhere_after_a_run(start: Start, tmp_path: Path) -> None:
    """Manifest, journal, results, report and both outputs of a real command, at a server that repeats the key."""

    async def tell_tale(request: web.Request, fields: dict[str, Any]) -> web.StreamResponse:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        return refusal(400, f"bad {key}") if len(stub.bodies) % 2 else answer(f"red {key}")

    stub = start(tell_tale)
    (tmp_path / "key").write_text(f"{KEY}\n")
    command = [sys.executable, "run_eval.py", "--debug", "run", "easyvqa", "--limit", "6", "--model", "openai"]
    command += ["-o", f"base_url={stub.url}", "-o", f"api_key_file={tmp_path / 'key'}", "--out", str(tmp_path / "run")]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 5, done.stderr  # half of the samples failed
    assert all(KEY in header["Authorization"] for header in stub.headers)
    assert KEY not in done.stdout + done.stderr
    files = [file for file in (tmp_path / "run").rglob("*") if file.is_file()]
    assert len(files) > 4
    assert [file for file in files if KEY.encode() in file.read_bytes()] == []
    assert "bad ***" in (tmp_path / "run" / "responses" / "easyvqa.jsonl").read_text()


def test_a_key_is_in_no_traceback_of_an_unforeseen_error(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> bytes:
        raise RuntimeError(f"unforeseen {KEY}")

    monkeypatch.setenv("SERVER_KEY", KEY)
    with caplog.at_level(logging.DEBUG):
        adapter = load_adapter("openai", base_url=start(echo).url, api_key_env="SERVER_KEY")
        (response,) = adapter.generate([ask("q", ImageRef("0" * 64, "x.png", broken))])
        adapter.close()
    assert response.failure is not None
    assert "unforeseen ***" in response.failure.message
    assert "RuntimeError" in response.failure.traceback
    assert KEY not in repr(response) + caplog.text + repr(vars(adapter))


def test_what_a_run_cost_and_how_fast_tokens_came_stands_in_its_results(start: Start, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = ["run", "easyvqa", "--limit", "6", "--quiet", "--model", "openai", "-o", f"base_url={start().url}"]
    options = ["-o", "price_in=0.15", "-o", "price_out=0.6", "-o", "stream=true"]
    assert run_eval.main([*command, *options, "--out", str(out)]) == 0
    efficiency = json.loads((out / "results.json").read_text())["tasks"]["easyvqa"]["efficiency"]
    answers = [json.loads(line) for line in (out / "responses" / "easyvqa.jsonl").read_text().splitlines()]
    tokens = sum(a["usage"]["new_tokens"] for a in answers)
    assert efficiency["cost"] == pytest.approx((6 * 10 * 0.15 + tokens * 0.6) / 1e6, abs=1e-8)
    assert efficiency["ttft_ms"]["p50"] > 0
    assert efficiency["tpot_ms"]["mean"] > 0
    assert "Cost" in (out / "report.html").read_text()
