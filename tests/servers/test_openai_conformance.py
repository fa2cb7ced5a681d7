"""The adapter `openai` keeps the contract, at a scripted server and at ours."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar

import pytest
from adapter_contract import AdapterContract
from server_tools import ask, picture
from stub import Stub

from model_adapters import load_adapter
from model_adapters.contract import ImageRef, ModelAdapter, Request, Turn

QUESTIONS = ("What is it?", "Is it red? Answer yes or no.", "图片里有什么?", "x") * 3
KEY = "sk-test-0123456789-never-written"


def asked() -> list[Request]:
    pictures = [picture(colour) for colour in ("red", "green", "blue")]
    return [ask(text, pictures[i // 4], name=f"r{i}") for i, text in enumerate(QUESTIONS)]


class TestScriptedServer(AdapterContract):
    secrets: ClassVar[tuple[str, ...]] = (KEY,)

    @pytest.fixture(scope="class", params=[False, True], ids=["whole", "streamed"])
    @classmethod
    def build(
        cls, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Callable[[], ModelAdapter]]:
        file = tmp_path_factory.mktemp("key") / "key"
        file.write_text(KEY)
        stub = Stub()
        yield partial(load_adapter, "openai", base_url=stub.url, stream=request.param, api_key_file=str(file))
        stub.close()

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return asked()

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        broken = ImageRef("f" * 64, "broken.gif", lambda: b"GIF89a broken")
        return [
            Request("broken", (Turn("user", (broken, "What?")),)),
            ask("beams", num_beams=3),
            ask("penalty", repetition_penalty=1.2),
        ]


class TestOurServer(AdapterContract):
    @pytest.fixture(scope="class", params=[False, True], ids=["whole", "streamed"])
    @classmethod
    def build(cls, served: str, request: pytest.FixtureRequest) -> Callable[[], ModelAdapter]:
        return partial(load_adapter, "openai", base_url=served, stream=request.param)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return asked()

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        broken = ImageRef("f" * 64, "broken.png", lambda: b"\x89PNG\r\n\x1a\n broken")
        red = picture()
        return [Request("broken", (Turn("user", (broken, "What?")),)), ask("no picture"), ask("two", red, red)]
