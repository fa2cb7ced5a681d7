"""The adapter ``transformers`` keeps the contract with seven architectures that see, and one that reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
import tiny_models
from adapter_contract import AdapterContract, ask, bytes_ref, plain_picture

from model_adapters import load_adapter
from model_adapters.contract import ModelAdapter, Request

QUESTIONS = ["What is it?", "Is it red? Answer yes or no.", "图片里有什么?", "x", "Which one, A or B?"]


class Local(AdapterContract):
    """One tiny model of the kind that a subclass names."""

    __test__ = False
    kind: ClassVar[str]
    template: ClassVar[str] = "auto"

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], ModelAdapter]:
        folder = tiny_models.build(cls.kind, tmp_path_factory.mktemp("models") / cls.kind)
        options = {"device": "cpu", "batch_size": 4, "chat_template": cls.template}
        return lambda: load_adapter("transformers", checkpoint=str(folder), **options)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        shades = (20, 90, 230)
        asked = [ask(f"r{i}", plain_picture(shades[i % 3]), q) for i, q in enumerate(QUESTIONS * 2)]
        return [*asked, ask("two", plain_picture(1), plain_picture(255), "Which is darker?")]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        long = ask("long", plain_picture(), "far too long " * 400)
        return [ask("broken", bytes_ref(b"\x89PNG broken", "broken.png"), "What?"), long]


class TestLlava(Local):
    __test__ = True
    kind = "llava"


class TestIdefics3(Local):
    __test__ = True
    kind = "idefics3"


class TestQwen2VL(Local):
    __test__ = True
    kind = "qwen2_vl"


class TestInternVL(Local):
    __test__ = True
    kind = "internvl"


class TestGemma3(Local):
    __test__ = True
    kind = "gemma3"


class TestMiniCPMV(Local):
    __test__ = True
    kind = "minicpmv"


class TestPaliGemma(Local):
    __test__ = True
    kind = "paligemma"
    template = "none"


class TestQwen2(Local):
    __test__ = True
    kind = "qwen2"

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        return [ask(f"r{i}", question) for i, question in enumerate(QUESTIONS * 2)]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        return [ask("seen", plain_picture(), "What?"), ask("long", "far too long " * 400)]
