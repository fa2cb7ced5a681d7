"""The built-in adapters keep the contract."""

from collections.abc import Callable
from pathlib import Path

import pytest
from adapter_contract import AdapterContract, picture_ref
from PIL import Image

from model_adapters import load_adapter
from model_adapters.contract import GenerationSettings, ImageRef, ModelAdapter, Request, Turn

GREEDY = GenerationSettings(max_new_tokens=4)
QUESTIONS = ("What is it?", "Is it red? Answer yes or no.", "图片里有什么?", "x") * 3


class TestOmniLMM(AdapterContract):
    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, tiny_checkpoint: Path) -> Callable[[], ModelAdapter]:
        return lambda: load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=5)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls, pictures: list[Image.Image]) -> list[Request]:
        refs = [picture_ref(picture) for picture in pictures[:3]]
        return [
            Request(f"r{i}", (Turn("user", (refs[i // 4], question)),), GREEDY) for i, question in enumerate(QUESTIONS)
        ]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        broken = ImageRef("f" * 64, "broken.png", lambda: b"\x89PNG broken")
        return [
            Request("broken", (Turn("user", (broken, "What?")),), GREEDY),
            Request("blind", (Turn("user", ("?",)),)),
        ]


class TestMiniCPM(AdapterContract):
    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, tiny_text_checkpoint: Path) -> Callable[[], ModelAdapter]:
        return lambda: load_adapter("minicpm", checkpoint=str(tiny_text_checkpoint), device="cpu", batch_size=5)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return [Request(f"r{i}", (Turn("user", (question,)),), GREEDY) for i, question in enumerate(QUESTIONS)]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        picture = ImageRef("0" * 64, "picture.png", lambda: b"")
        return [
            Request("image", (Turn("user", (picture, "What?")),)),
            Request("long", (Turn("user", ("a b " * 4000,)),)),
        ]


class TestNull(AdapterContract):
    looks_at_images = False

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Callable[[], ModelAdapter]:
        return lambda: load_adapter("null")

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return [Request(f"r{i}", (Turn("user", (question,)),), GREEDY) for i, question in enumerate(QUESTIONS)]
