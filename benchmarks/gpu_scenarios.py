"""What the GPU report asks: scenarios with prompts of a stated length, and endless distinct pictures for them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model_adapters.contract import GenerationSettings, ImageRef, Request, Turn
from model_adapters.omnilmm.modeling import OmniLMM


@dataclass(frozen=True)
class Scenario:
    """What is asked, and how.

    Attributes:
        prompt_tokens: of a request, the picture's 64 and all marks among them.
        new_tokens: of each answer; the end token is ignored.
        questions: on one picture.
        shared_tokens: of the prompt, how many begin all questions on a picture, the picture's among them.
        batch: rows at a time.
        by_likelihood: one-letter choices from one pass.
        is_original: the original way instead.
    """

    name: str
    prompt_tokens: int
    new_tokens: int
    batch: int
    questions: int = 1
    shared_tokens: int = 0
    by_likelihood: bool = False
    is_original: bool = False


# Lengths as in the computed limits: 64 for the picture, and 60, 120 or 25 more; a circular question shares 109.
SCENARIOS = (
    Scenario("short answer, batch 1", 124, 3, 1),
    Scenario("decode, batch 1 (TPOT)", 124, 64, 1),
    Scenario("short answer, batch 64", 124, 3, 64),
    Scenario("letter by likelihood, batch 64", 184, 1, 64, by_likelihood=True),
    Scenario("caption of 30 tokens, batch 64", 89, 30, 64),
    Scenario("OCR of 100 tokens, batch 64", 89, 100, 64),
    Scenario("18 questions on one picture", 94, 2, 252, questions=18, shared_tokens=69),
    Scenario("circular, 4 rotations", 189, 1, 256, questions=4, shared_tokens=109),
    Scenario("original way, short answer", 124, 3, 1, is_original=True),
    Scenario("original way, caption of 30 tokens", 89, 30, 1, is_original=True),
    Scenario("original way, OCR of 100 tokens", 89, 100, 1, is_original=True),
)


class Square:
    """A decoded picture of the model's own size, for machines without Pillow."""

    mode = "RGB"

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels
        self.size = pixels.shape[:2]

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self._pixels


@dataclass(frozen=True, slots=True)
class NoisePicture(ImageRef):
    """Noise, another for each number; made when it is opened, as a file would be decoded then."""

    number: int = 0
    side: int = 448

    def open(self) -> Any:
        rng = np.random.default_rng(self.number)
        blocks = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        return Square(blocks.repeat(self.side // 8, axis=0).repeat(self.side // 8, axis=1))


def pictures(side: int, seed: int) -> Iterator[ImageRef]:
    """Endless distinct pictures."""
    for number in itertools.count(seed * 10_000_000):
        name = hashlib.sha256(str(number).encode()).hexdigest()
        yield NoisePicture(name, f"noise {number}", bytes, number, side)


def requests(scenario: Scenario, model: OmniLMM, seed: int) -> Iterator[Request]:
    """Endless requests of a scenario."""
    settings = GenerationSettings(max_new_tokens=scenario.new_tokens)
    texts = list(_texts(scenario, model))
    choices = ("A", "B", "C", "D") if scenario.by_likelihood else ()
    for number, picture in enumerate(pictures(model.config.image_size, seed)):
        for k, text in enumerate(texts):
            yield Request(f"{number}#{k}", (Turn("user", (picture, text)),), settings, choices)


def _texts(scenario: Scenario, model: OmniLMM) -> Iterator[str]:
    """The questions on a picture: a common stem where more than the picture is shared, then each in its own words."""
    after = len(model.tokenizer.encode_text("<AI>"))  # marks behind the text
    picture_tokens = _length(model, "") - after
    stem = ""
    if scenario.shared_tokens > picture_tokens:
        stem = _filled(model, "stem", scenario.shared_tokens + after)
    for k in range(scenario.questions):
        yield _filled(model, f"{stem} {k}", scenario.prompt_tokens)


def _filled(model: OmniLMM, text: str, tokens: int) -> str:
    """A text that goes on until its prompt has so many tokens; the last word may have more than one."""
    words = itertools.cycle(["red", "circle", "blue", "what", "is", "left", "of", "it"])
    while _length(model, text) < tokens:
        text += f" {next(words)}"
    return text


def _length(model: OmniLMM, text: str) -> int:
    return len(model.prompt([{"role": "user", "content": text}]).ids)


def small_scenarios() -> list[Scenario]:
    """The same with small numbers, for a small model on a CPU."""
    return [
        replace(
            scenario,
            prompt_tokens=48 if scenario.shared_tokens else 40,
            shared_tokens=38 if scenario.shared_tokens else 0,
            new_tokens=min(6, scenario.new_tokens),
            batch=min(8, scenario.batch),
            questions=min(4, scenario.questions),
        )
        for scenario in SCENARIOS
    ]
