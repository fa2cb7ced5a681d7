"""What is measured: scenarios named for what users do, fixed shapes, and the questions of a task as they come.

A workload gives numbered requests without end. Equal numbers give equal requests, so two sides of a comparison are
asked the same; within a pass no picture comes twice unless the scenario says that it is asked about more than once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from evals.errors import SpecError, did_you_mean
from evals.perf.pictures import PictureBook
from model_adapters.contract import GenerationSettings, Request, Turn

WORDS = ("what is the colour of this small shape near left side and how many other things does picture show").split()  # noqa: SIM905 - a sentence reads better than a list
LETTERS = ("A", "B", "C", "D")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way of using a model.

    Attributes:
        about: what a user does, in a sentence.
        width, height: of each picture in pixels; 0 for none.
        prompt_words: length of the question (about one token a word).
        new_tokens: generated a request, exactly that many where the adapter can.
        protocol: ``generate``, or ``likelihood`` over four letters.
        questions: on one picture, in a row. rotations: requests that make one sample.
    """

    name: str
    about: str
    width: int = 640
    height: int = 480
    prompt_words: int = 12
    new_tokens: int = 1
    protocol: str = "generate"
    questions: int = 1
    rotations: int = 1

    @property
    def shares(self) -> bool:
        """Whether questions share a picture."""
        return self.questions > 1 or self.rotations > 1


SCENARIOS = {
    s.name: s
    for s in (
        Scenario("short-answer", "a question on a picture, answered in three tokens", prompt_words=20, new_tokens=3),
        Scenario(
            "letter-likelihood",
            "multiple choice: the likelihood of four letters, nothing is generated",
            prompt_words=100,
            protocol="likelihood",
        ),
        Scenario("caption", "a sentence about a picture, 30 tokens", prompt_words=8, new_tokens=30),
        Scenario("ocr", "the text in a picture, 100 tokens", prompt_words=8, new_tokens=100),
        Scenario(
            "many-questions-one-image",
            "eighteen yes/no questions on each picture, two tokens each",
            prompt_words=16,
            new_tokens=2,
            questions=18,
        ),
        Scenario(
            "circular",
            "multiple choice asked in four rotations of its options, two tokens each; all four are one sample",
            prompt_words=90,
            new_tokens=2,
            rotations=4,
        ),
    )
}
SHAPE_SIDES, SHAPE_TOKENS, SHAPE_WORDS = (224, 448, 1024), (1, 32, 128), 64


def shapes() -> tuple[Scenario, ...]:
    """Fixed shapes: three picture sizes, 64 words of prompt, 1, 32 and 128 new tokens."""
    return tuple(
        Scenario(
            f"shape-{side}px-{tokens}tok",
            f"{side} × {side} pixels, {SHAPE_WORDS} words, {tokens} new tokens",
            width=side,
            height=side,
            prompt_words=SHAPE_WORDS,
            new_tokens=tokens,
        )
        for side in SHAPE_SIDES
        for tokens in SHAPE_TOKENS
    )


def find_scenarios(names: Sequence[str]) -> tuple[Scenario, ...]:
    """Scenarios by name; ``shapes`` stands for all fixed shapes, ``all`` for all named ones.

    Raises:
        SpecError: an unknown name, with the nearest known one.
    """
    known = SCENARIOS | {shape.name: shape for shape in shapes()}
    found: dict[str, Scenario] = {}
    for name in names:
        group = {"shapes": shapes(), "all": tuple(SCENARIOS.values())}.get(name)
        if group is None and name not in known:
            hint = did_you_mean(name, [*known, "shapes", "all"])
            raise SpecError(f"Unknown scenario {name!r}.{hint} Known: {', '.join([*SCENARIOS, 'shapes', 'all'])}.")
        found |= {s.name: s for s in group or (known[name],)}
    return tuple(found.values())


class Workload(Protocol):
    """Numbered requests.

    Attributes:
        name: for people and for pairing; limit: distinct requests there are, None for endless ones.
    """

    @property
    def name(self) -> str: ...
    @property
    def protocol(self) -> str: ...
    @property
    def new_tokens(self) -> int: ...
    @property
    def shares(self) -> bool: ...
    @property
    def limit(self) -> int | None: ...
    def request(self, number: int) -> tuple[str, Request]:
        """The sample's id and the request of this number."""
        ...


@dataclass(frozen=True)
class Synthetic:
    """A scenario's requests. ``with_images`` is false for a text model; ``num_beams`` is for all of them."""

    scenario: Scenario
    num_beams: int = 1
    with_images: bool = True

    @property
    def name(self) -> str:
        return self.scenario.name

    @property
    def protocol(self) -> str:
        return self.scenario.protocol

    @property
    def new_tokens(self) -> int:
        return 0 if self.protocol == "likelihood" else self.scenario.new_tokens

    @property
    def shares(self) -> bool:
        return self.scenario.shares

    @property
    def limit(self) -> int | None:
        return None

    @cached_property
    def _book(self) -> PictureBook:
        return PictureBook(self.scenario.width, self.scenario.height)

    def request(self, number: int) -> tuple[str, Request]:
        """The sample's id and the request of this number."""
        s = self.scenario
        sample, rotation = divmod(number, s.rotations)
        words = _question(sample, s.prompt_words)
        if s.rotations > 1:
            options = ["red circle", "blue square", "green star", "yellow ring"]
            turned = options[rotation:] + options[:rotation]
            listed = "\n".join(f"{letter}. {o}" for letter, o in zip(LETTERS, turned, strict=True))
            words = f"{words}\n{listed}\nAnswer with the letter."
        with_image = self.with_images and s.width
        content = (self._book.picture(sample // s.questions), words) if with_image else (words,)
        settings = GenerationSettings(max_new_tokens=max(1, s.new_tokens), num_beams=self.num_beams)
        choices = LETTERS if s.protocol == "likelihood" else ()
        return f"s{sample}", Request(f"q{number}", (Turn("user", content),), settings, choices)


@dataclass(frozen=True)
class Natural:
    """The questions of a task in the plan's order, again and again.

    Args:
        name: the task's; asked: (sample id, request) pairs; protocol: the task's.
    """

    name: str
    asked: tuple[tuple[str, Request], ...]
    protocol: str
    new_tokens: int = 0
    shares: bool = True  # tasks may ask twice about a picture; work by formula is not taken for granted

    @property
    def limit(self) -> int | None:
        return len(self.asked)

    def request(self, number: int) -> tuple[str, Request]:
        """The request of this number; its id tells rounds apart."""
        from dataclasses import replace

        rounds, index = divmod(number, len(self.asked))
        sample, request = self.asked[index]
        return f"{sample}@{rounds}", replace(request, request_id=f"{request.request_id}@{rounds}")


def _question(number: int, words: int) -> str:
    """A question of so many words, another one for each number."""
    chosen = [WORDS[(number * 7 + i * 5 + (number >> (i % 8)) % 3) % len(WORDS)] for i in range(max(1, words - 1))]
    return f"{' '.join(chosen).capitalize()} {number % 100}?"
