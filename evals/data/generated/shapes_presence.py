"""shapes_presence: is a thing there, yes or no, six questions on each picture, as POPE asks.

Half of the answers are yes, in every category. What is absent is drawn as POPE does, translated to shapes: ``random``
any absent pair of colour and kind; ``popular`` a pair of which either the colour or the kind is in the picture;
``adversarial`` a pair whose colour and kind are both there, on different shapes.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from evals.data.generated.language import YES_NO_INSTRUCTION, Language, pair_name
from evals.data.generated.rows import GeneratedRow, JsonValue, encode_png, is_chinese, row_rng
from evals.data.generated.scenes import COLOR_NAMES, KINDS, Scene, draw_scene, random_pair, random_scene

CATEGORIES: tuple[str, ...] = ("random", "popular", "adversarial")
QUESTIONS_PER_IMAGE = 2 * len(CATEGORIES)


def rows(seed: int, count: int) -> Iterator[GeneratedRow]:
    """Yield ``count`` rows; six rows in turn share a picture and its ``image_id``."""
    for first in range(0, count, QUESTIONS_PER_IMAGE):
        image_number = first // QUESTIONS_PER_IMAGE
        rng = row_rng("shapes_presence", seed, image_number)
        scene, questions = make_scene(rng)
        picture = encode_png(draw_scene(scene))
        for index, (category, pair, answer) in enumerate(questions[: count - first], start=first):
            fields = question_fields(category, pair, answer, "zh" if is_chinese(index) else "en")
            fields["image_id"] = f"shapes_presence-{seed}-image-{image_number:06d}"
            yield GeneratedRow(f"shapes_presence-{seed}-{index:06d}", picture, fields)


def make_scene(rng: Random) -> tuple[Scene, list[tuple[str, tuple[str, str], str]]]:
    """Draw a scene of three or four different shapes and six questions.

    Returns:
        The scene and (category, pair asked for, ``yes`` or ``no``), in random order.
    """
    while True:
        pairs = list({random_pair(rng): None for _ in range(rng.randint(3, 4))})
        absent = {category: absent_pairs(pairs, category) for category in CATEGORIES}
        if len(pairs) >= len(CATEGORIES) and all(absent.values()):
            break
    present = rng.sample(pairs, len(CATEGORIES))
    questions = [(category, pair, "yes") for category, pair in zip(CATEGORIES, present, strict=True)]
    questions += [(category, rng.choice(absent[category]), "no") for category in CATEGORIES]
    rng.shuffle(questions)
    return random_scene(rng, pairs), questions


def absent_pairs(pairs: list[tuple[str, str]], category: str) -> list[tuple[str, str]]:
    """List the absent pairs that a category may ask for, given the pairs that are there."""
    colors = {color for color, _ in pairs}
    kinds = {kind for _, kind in pairs}
    wanted = {"random": (0, 1, 2), "popular": (1,), "adversarial": (2,)}[category]
    return [
        (color, kind)
        for color in COLOR_NAMES
        for kind in KINDS
        if (color, kind) not in pairs and (color in colors) + (kind in kinds) in wanted
    ]


def question_fields(category: str, pair: tuple[str, str], answer: str, language: Language) -> dict[str, JsonValue]:
    """Put a question into words."""
    name = pair_name(pair, language)
    return {
        "question": f"Is there a {name} in the picture?" if language == "en" else f"图中有{name}吗？",
        "answer": answer,
        "instruction": YES_NO_INSTRUCTION[language],
        "category": category,
        "language": language,
    }
