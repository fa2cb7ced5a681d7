"""Another's server for real: `transformers serve` with a tiny LLaVA, asked by the adapter `openai`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from server_tools import ask, picture
from tiny_llava import make_tiny_llava

from model_adapters import load_adapter
from model_adapters.contract import AdapterError

pytestmark = pytest.mark.slow
STARTS_WITHIN_S = 300
COLOURS = ("red", "green", "blue")
QUESTION = "what colour is it ?"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_tiny_llava(folder)
    return folder


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("hub")
    (home / "hub").mkdir()
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    port = free_port()
    program = Path(sys.executable).with_name("transformers")
    command = [str(program), "serve", str(model), "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + STARTS_WITHIN_S
        while True:
            assert process.poll() is None, (
                "transformers serve ended; are its packages installed (requirements-dev.txt)?"
            )
            assert time.monotonic() < deadline, f"transformers serve did not start within {STARTS_WITHIN_S} s"
            try:
                urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except (URLError, OSError):
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def direct(model: Path) -> dict[str, str]:
    """The same questions put to the same weights in this process."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor, llava = AutoProcessor.from_pretrained(model), AutoModelForImageTextToText.from_pretrained(model)
    answers = {}
    for colour in COLOURS:
        content = [{"type": "image", "image": picture(colour).open()}, {"type": "text", "text": QUESTION}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        ids = llava.generate(**inputs, do_sample=False, max_new_tokens=8)[0, inputs["input_ids"].shape[1] :]
        answers[colour] = processor.decode(ids, skip_special_tokens=True)
    assert len(set(answers.values())) > 1
    return answers


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_answers_about_pictures_are_those_of_the_model_itself(
    url: str, model: Path, direct: dict[str, str], stream: bool
) -> None:
    adapter = load_adapter("openai", base_url=url, model=str(model), probe=False, stream=stream)
    responses = {r.request_id: r for r in adapter.generate(ask(QUESTION, picture(c), name=c) for c in COLOURS)}
    adapter.close()
    assert {name: r.text for name, r in responses.items()} == direct
    for response in responses.values():
        assert response.usage.prompt_tokens is not None
        assert response.usage.new_tokens is not None
        assert (response.timing.ttft_ms is not None) == stream


def test_a_model_that_it_does_not_list_is_told_with_the_way_out(url: str, model: Path) -> None:
    with pytest.raises(AdapterError, match="probe=false"):
        load_adapter("openai", base_url=url, model=str(model))
