"""Answers that are told while they grow."""

from __future__ import annotations

from pathlib import Path

import pytest
from adapter_contract import picture_ref
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from model_adapters import load_adapter
from model_adapters.contract import GenerationSettings, Request, Response, Turn
from model_adapters.omnilmm.following import Follower, settled

TEXT = st.text(alphabet="ab \n\ufffdé", max_size=12)
STOPS = st.lists(st.text(alphabet="ab \n", min_size=1, max_size=3), max_size=2)


def cut(text: str, stop: list[str]) -> str:
    """What an engine makes of a whole text."""
    at = min((text.find(end) for end in stop if end in text), default=len(text))
    return text[:at].strip()


@given(TEXT, STOPS)
def test_pieces_joined_are_the_answer_wherever_it_ends(text: str, stop: list[str]) -> None:
    pieces: list[str] = []
    follower = Follower(lambda _, piece: pieces.append(piece))
    for end in range(1, len(text) + 1):
        follower.grown("r", text[:end], stop)
    follower.finished(Response("r", cut(text, stop)))
    assert "".join(pieces) == cut(text, stop)
    assert all(pieces)


def test_what_may_still_change_is_held_back() -> None:
    assert settled("yes \ufffd\ufffd", []) == "yes"
    assert settled("one. Que", ["Question:"]) == "one."
    assert settled("one Question: two", ["Question:"]) == "one"
    assert settled("one Quest", ["halt"]) == "one Quest"


def test_a_batch_tried_again_tells_nothing_twice() -> None:
    heard: list[tuple[str, str]] = []
    follower = Follower(lambda name, piece: heard.append((name, piece)))
    for text in ("one", "one two", "one", "one two", "one two three"):
        follower.grown("r", text, [])
    assert heard == [("r", "one"), ("r", " two"), ("r", " three")]


@pytest.mark.parametrize(
    "settings", [{}, {"num_beams": 2}, {"do_sample": True, "seed": 7}, {"stop": ("a", "e")}], ids=str
)
def test_a_model_tells_its_answers_while_it_makes_them(tiny_checkpoint: Path, settings: dict[str, object]) -> None:
    adapter = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", batch_size=2)
    image = picture_ref(Image.new("RGB", (40, 40), "red"))
    generation = GenerationSettings(max_new_tokens=12, **settings)
    requests = [Request(f"r{i}", (Turn("user", (image, "ab" * i)),), generation) for i in range(5)]
    pieces: dict[str, list[str]] = {}
    told = {
        r.request_id: r.text
        for r in adapter.stream(requests, lambda name, text: pieces.setdefault(name, []).append(text))
    }
    assert told == {r.request_id: r.text for r in adapter.generate(requests)}
    assert {name: "".join(parts) for name, parts in pieces.items()} == {
        name: text for name, text in told.items() if text
    }
    if not settings:
        assert max(map(len, pieces.values())) > 3
    adapter.close()


def test_an_answer_ends_before_its_stop_string_wherever_its_blanks_are(tiny_checkpoint: Path) -> None:
    """A stop string may begin or end with a blank, at which the answer itself is stripped."""
    adapter = load_adapter("omnilmm", checkpoint=str(tiny_checkpoint), device="cpu", dtype="float32")
    image = picture_ref(Image.new("RGB", (40, 40), "red"))
    raw: dict[str, str] = {}
    decode = adapter.model.tokenizer.decode_generated
    for i in range(6):
        turn = {"role": "user", "content": "ab" * i}
        raw["ab" * i] = decode(
            adapter.model.generate_ids(image.open(), [turn], max_new_tokens=12, num_beams=1, repetition_penalty=1.0)
        )
    asked = [
        Request(f"{text}-{at}", (Turn("user", (image, text)),), GenerationSettings(12, stop=(whole[at : at + 2],)))
        for text, whole in raw.items()
        for at in range(len(whole) - 1)
        if "\ufffd" not in whole[at : at + 2]
    ]
    heard = dict.fromkeys((request.request_id for request in asked), "")

    def hear(name: str, piece: str) -> None:
        heard[name] += piece

    got = {response.request_id: response.text for response in adapter.stream(asked, hear)}
    wanted = {r.request_id: cut(raw[r.turns[0].text], list(r.generation.stop)) for r in asked}
    assert any(stop[0] == " " or stop[1] == " " for r in asked for stop in r.generation.stop)
    assert got == heard == wanted
    adapter.close()
