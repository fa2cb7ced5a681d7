"""Specialists read what is printed, keep the adapter contract, and say what to install where they are missing."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec

import pytest
from adapter_contract import AdapterContract, ask, bytes_ref, picture_ref
from PIL import Image, ImageDraw, ImageFont

from model_adapters import load_adapter
from model_adapters.contract import AdapterError, ImageRef, ModelAdapter, Request
from model_adapters.specialists.reading import in_lines

needs_rapidocr = pytest.mark.skipif(
    not (find_spec("rapidocr") and find_spec("onnxruntime")), reason="rapidocr is not installed (requirements-dev.txt)"
)
needs_tesseract = pytest.mark.skipif(
    shutil.which("tesseract") is None, reason="the program tesseract is not installed (apt-get install tesseract-ocr)"
)
WORDS = ("TOTAL 12.80", "Invoice 4471", "OPEN DAILY", "Platform 9", "hello world")


def printed(*lines: str, size: int = 28) -> ImageRef:
    """Black lines on white."""
    image = Image.new("RGB", (360, 20 + 50 * len(lines)), "white")
    font = ImageFont.load_default(size)
    for i, line in enumerate(lines):
        ImageDraw.Draw(image).text((20, 10 + 50 * i), line, fill="black", font=font)
    return picture_ref(image, f"{lines[0]}.png")


class ReaderContract(AdapterContract):
    honours_stop = False
    options: dict[str, object]
    name: str

    @pytest.fixture(scope="class")
    @classmethod
    def build(cls) -> Callable[[], ModelAdapter]:
        return lambda: load_adapter(cls.name, **cls.options)

    @pytest.fixture(scope="class")
    @classmethod
    def requests(cls) -> list[Request]:
        pictures = [printed(words) for words in WORDS]
        return [ask(f"r{i}", pictures[i // 2], ("What does it say?", "Read it.")[i % 2]) for i in range(10)]

    @pytest.fixture(scope="class")
    @classmethod
    def unanswerable(cls) -> list[Request]:
        return [ask("broken", bytes_ref(b"\x89PNG broken", "broken.png"), "?"), ask("blind", "?")]

    def test_it_reads_what_is_printed(self, adapter: ModelAdapter) -> None:
        (answer,) = adapter.generate([ask("a", printed("TOTAL 12.80", "Invoice 4471"), "?")])
        assert answer.text.replace("\n", " ").lower() == "total 12.80 invoice 4471"

    def test_a_blank_page_has_no_text(self, adapter: ModelAdapter) -> None:
        (answer,) = adapter.generate([ask("a", picture_ref(Image.new("RGB", (200, 100), "white")), "?")])
        assert (answer.text, answer.failure) == ("", None)


@needs_rapidocr
class TestRapidOcr(ReaderContract):
    name = "rapidocr"
    options = {"detect": False, "threads": 1}  # noqa: RUF012 - read only; looking for lines takes a second a picture

    def test_it_reads_what_is_printed(self, adapter: ModelAdapter) -> None:
        (answer,) = adapter.generate([ask("a", printed("Invoice"), "?")])
        assert answer.text == "Invoice"


@needs_tesseract
class TestTesseract(ReaderContract):
    name = "tesseract"
    options = {}  # noqa: RUF012 - read only


@needs_rapidocr
def test_lines_are_found_and_read_in_order() -> None:
    adapter = load_adapter("rapidocr", threads=1)
    (answer,) = adapter.generate([ask("a", printed("TOTAL 12.80", "Invoice 4471"), "?")])
    assert answer.text.replace("\n", " ").lower() == "total 12.80 invoice 4471"
    adapter.close()


@needs_tesseract
def test_languages_and_modes_are_checked_before_the_run() -> None:
    with pytest.raises(AdapterError, match=r"no language 'xyz'; it has .*eng"):
        load_adapter("tesseract", language="eng+xyz")
    with pytest.raises(AdapterError, match="0 to 13"):
        load_adapter("tesseract", psm=99)
    with pytest.raises(AdapterError, match="1 or more"):
        load_adapter("tesseract", scale=0.5)


def test_what_is_missing_is_named_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(AdapterError, match=r"pip install 'omnilmm-eval\[rapidocr\]'"):
        load_adapter("rapidocr")
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AdapterError, match="apt-get install tesseract-ocr"):
        load_adapter("tesseract")


def test_pieces_of_text_come_in_reading_order() -> None:
    pieces = [((200, 12, 260, 30), "9.00"), ((10, 50, 90, 70), "Thanks"), ((10, 10, 80, 30), "Total:")]
    assert in_lines(pieces) == "Total: 9.00\nThanks"
    assert in_lines([]) == ""
