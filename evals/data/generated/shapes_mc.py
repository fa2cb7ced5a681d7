"""shapes_mc: four options about a scene, as MMBench asks.

Text alone must not help: in every category the right answer is drawn uniformly, the wrong options are drawn from the
same values, and each letter is right equally often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from evals.data.generated.language import CHOICE_INSTRUCTION, LETTERS, QUARTER_NAMES, Language, pair_name, word_for
from evals.data.generated.rows import GeneratedRow, JsonValue, encode_png, is_chinese, row_rng
from evals.data.generated.scenes import (
    COLOR_NAMES,
    KINDS,
    QUARTERS,
    Scene,
    Shape,
    draw_scene,
    random_pair,
    random_scene,
)

CATEGORIES: tuple[str, ...] = ("color", "shape", "position", "object", "count", "color_count")
_COUNTS = [str(count) for count in range(1, QUARTERS + 1)]
_QUESTIONS: dict[Language, dict[str, str]] = {
    "en": {
        "color": "What color is the {kind}?",
        "shape": "What shape is {color}?",
        "position": "Where is the {pair}?",
        "object": "What is at the {quarter}?",
        "count": "How many shapes are there?",
        "color_count": "How many {color} shapes are there?",
    },
    "zh": {
        "color": "{kind}是什么颜色？",
        "shape": "{color}的是什么形状？",
        "position": "{pair}在哪里？",
        "object": "{quarter}是什么？",
        "count": "图中有几个图形？",
        "color_count": "图中有几个{color}图形？",
    },
}


def rows(seed: int, count: int) -> Iterator[GeneratedRow]:
    """Yield ``count`` rows; row ``i`` depends on the seed and ``i`` only."""
    for index in range(count):
        rng = row_rng("shapes_mc", seed, index)
        category = CATEGORIES[index % len(CATEGORIES)]
        position = index // len(CATEGORIES) % len(LETTERS)
        scene, target = draw_scene_for(rng, category)
        fields = choice_fields(rng, scene, target, category, "zh" if is_chinese(index) else "en", position)
        yield GeneratedRow(f"shapes_mc-{seed}-{index:06d}", encode_png(draw_scene(scene)), fields)


def draw_scene_for(rng: Random, category: str) -> tuple[Scene, Shape]:
    """Draw a scene about which a question of this category has one answer, and the shape to ask about.

    Whatever the answer is (colour, kind, quarter or number), it is uniform over its values.
    """
    target = random_pair(rng)
    color, kind = target
    others = rng.randrange(QUARTERS)
    if category == "color":
        pairs = list(_stream(rng, others, lambda pair: pair[1] != kind))
    elif category == "shape":
        pairs = list(_stream(rng, others, lambda pair: pair[0] != color))
    elif category == "position":
        pairs = list(_stream(rng, others, lambda pair: pair != target))
    elif category == "color_count":
        same = [(color, rng.choice(KINDS)) for _ in range(others)]
        more = rng.randint(0, QUARTERS - 1 - others)
        pairs = same + list(_stream(rng, more, lambda pair: pair[0] != color))
    else:
        pairs = [random_pair(rng) for _ in range(others)]
    scene = random_scene(rng, [target, *pairs])
    return scene, next(shape for shape in scene.shapes if shape.pair == target)


def targets(scene: Scene, category: str) -> list[Shape]:
    """List the shapes of a scene about which a question of this category has one answer."""
    shapes = scene.shapes
    if category == "color":
        return [one for one in shapes if sum(other.kind == one.kind for other in shapes) == 1]
    if category == "shape":
        return [one for one in shapes if sum(other.color == one.color for other in shapes) == 1]
    if category == "position":
        return [one for one in shapes if scene.pairs.count(one.pair) == 1]
    return list(shapes)


def choice_fields(
    rng: Random, scene: Scene, target: Shape, category: str, language: Language, position: int
) -> dict[str, JsonValue]:
    """Ask about a shape of a scene.

    Args:
        rng: random stream for the wrong options.
        scene: the scene.
        target: one of ``targets(scene, category)``.
        category: one of ``CATEGORIES``.
        language: of question and options.
        position: 0 to 3, the letter under which the right option stands.

    Returns:
        The row's fields.
    """
    right, *wrong = _options(rng, scene, target, category, language)
    rng.shuffle(wrong)
    choices = [*wrong[:position], right, *wrong[position:]]
    question = _QUESTIONS[language][category].format(
        color=word_for(target.color, language),
        kind=word_for(target.kind, language),
        pair=pair_name(target.pair, language),
        quarter=QUARTER_NAMES[language][target.quarter],
    )
    return {
        "question": question,
        "choices": list(choices),
        **dict(zip(LETTERS, choices, strict=True)),
        "answer": LETTERS[position],
        "answer_text": right,
        "instruction": CHOICE_INSTRUCTION[language],
        "category": category,
        "language": language,
    }


def _options(rng: Random, scene: Scene, target: Shape, category: str, language: Language) -> list[str]:
    """Return the right option and three wrong ones."""
    if category == "color":
        return [word_for(value, language) for value in _with_wrong(rng, target.color, COLOR_NAMES)]
    if category == "shape":
        return [word_for(value, language) for value in _with_wrong(rng, target.kind, KINDS)]
    if category == "position":
        names = QUARTER_NAMES[language]
        return _with_wrong(rng, names[target.quarter], names)
    if category == "count":
        return _with_wrong(rng, str(len(scene.shapes)), _COUNTS)
    if category == "color_count":
        return _with_wrong(rng, str(sum(shape.color == target.color for shape in scene.shapes)), _COUNTS)
    # The other shapes of the scene come first among the wrong options: to see what is there is not enough.
    pairs = list(dict.fromkeys([target.pair, *scene.pairs]))
    while len(pairs) < len(LETTERS):
        pairs = list(dict.fromkeys([*pairs, random_pair(rng)]))
    return [pair_name(pair, language) for pair in pairs]


def _stream(rng: Random, count: int, keep: Callable[[tuple[str, str]], bool]) -> Iterator[tuple[str, str]]:
    """Yield ``count`` pairs for which ``keep`` holds."""
    while count:
        pair = random_pair(rng)
        if keep(pair):
            count -= 1
            yield pair


def _with_wrong(rng: Random, right: str, values: Sequence[str]) -> list[str]:
    """Return the right value and three others of the same list."""
    return [right, *rng.sample([value for value in values if value != right], 3)]
