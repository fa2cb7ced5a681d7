"""Scenes and words as pictures: what the fields say is what is drawn."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.data.generated import scenes, shapes_mc, shapes_presence, words

SEEDS = st.integers(0, 10_000)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_every_shape_stays_in_its_quarter_and_shows_its_colour(seed: int) -> None:
    scene = scenes.random_scene(Random(seed))
    pixels = np.asarray(scenes.draw_scene(scene)).astype(int)
    quarters = {shape.quarter for shape in scene.shapes}
    assert len(quarters) == len(scene.shapes)
    for quarter in range(scenes.QUARTERS):
        row, column = divmod(quarter, 2)
        tile = pixels[row * 32 : row * 32 + 32, column * 32 : column * 32 + 32]
        painted = (tile != scene.ground).any(-1)
        assert painted.any() == (quarter in quarters)
    for shape in scene.shapes:
        x, y = (int(value) for value in shape.center_px)
        assert tuple(pixels[y, x]) == shape.fill


@given(SEEDS, st.sampled_from(shapes_mc.CATEGORIES))
@settings(max_examples=60, deadline=None)
def test_a_scene_drawn_for_a_category_has_one_answer(seed: int, category: str) -> None:
    scene, target = shapes_mc.draw_scene_for(Random(seed), category)
    assert target in shapes_mc.targets(scene, category)


@given(SEEDS)
@settings(max_examples=40, deadline=None)
def test_presence_answers_are_true(seed: int) -> None:
    scene, questions = shapes_presence.make_scene(Random(seed))
    colors = {color for color, _ in scene.pairs}
    kinds = {kind for _, kind in scene.pairs}
    assert len(questions) == len({pair for _, pair, answer in questions if answer == "yes"}) + 3
    for category, (color, kind), answer in questions:
        assert ((color, kind) in scene.pairs) == (answer == "yes")
        if answer == "no" and category == "adversarial":
            assert color in colors
            assert kind in kinds
        if answer == "no" and category == "popular":
            assert (color in colors) != (kind in kinds)


@given(SEEDS, st.sampled_from(words.WORD_LENGTHS), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_word_is_on_both_sides(seed: int, length: int, held_out: bool, is_code: bool) -> None:
    text = (words.random_code if is_code else words.random_word)(Random(seed), length, held_out)
    assert len(text) == length
    assert words.is_held_out(text) == held_out


def test_one_word_in_five_is_held_out() -> None:
    rng = Random(5)
    share = np.mean([words.is_held_out("".join(rng.choices(words.CHARACTERS, k=5))) for _ in range(5000)])
    assert share == pytest.approx(words.HELD_OUT_SHARE, abs=0.02)


@given(SEEDS)
@settings(max_examples=60, deadline=None)
def test_words_fit_into_the_picture(seed: int) -> None:
    rng = Random(seed)
    text = words.random_code(rng, rng.choice(words.WORD_LENGTHS), held_out=True)
    style = words.random_style(rng, text)
    pixels = np.asarray(words.draw_word(rng, text, style))
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    assert (border == style.paper).all()
    assert (pixels != style.paper).any()
