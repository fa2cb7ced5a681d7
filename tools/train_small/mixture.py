"""Stage 2 data: pictures with several questions each, half of them words, half easy-VQA and generated scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import easy_vqa
import numpy as np
from PIL import Image

from evals.data.generated import language, scenes, shapes_caption, shapes_mc, shapes_presence, words, words_ocr
from tools.train_small import patches

EASY_VQA_SHARE = 0.4  # of the pictures that are not words
CHINESE_SHARE = 0.2
QUESTIONS_PER_EASY_IMAGE = 5
OPEN_SHARE = 0.7  # of four-option questions are asked without options, too: the answer first, its letter later
LATE_OPEN_SHARE = 0.5
CAPTION_SHARE = 0.5
LATE_CAPTION_SHARE = 0.2
LATE = 0.55  # from this part of the training on, four-option questions, which are learnt last, come more often
LATE_CATEGORY_WEIGHTS = {"position": 3, "color_count": 3, "object": 6, "color": 1, "shape": 0.5, "count": 0.5}
OPEN_INSTRUCTION: dict[language.Language, str] = {"en": language.ONE_WORD_INSTRUCTION, "zh": "请回答。"}
LENGTH_CURRICULUM = 0.3  # words grow from one character to six over this part of the training
LENGTH_WEIGHTS = {1: 1, 2: 1, 3: 3, 4: 4, 5: 5, 6: 6}
_MAX_SHIFT_PX = 6


@dataclass(frozen=True, slots=True)
class Example:
    """A picture and what is asked about it.

    Attributes:
        pixels: (64, 64, 3) uint8.
        questions: prompts and answers.
        patch_labels: (64,) int64, or None where the classes are not those of stage 1.
    """

    pixels: np.ndarray
    questions: list[tuple[str, str]]
    patch_labels: np.ndarray | None


def word_example(rng: Random, progress: float) -> Example:
    """Draw a picture of a training word; ``progress`` from 0 to 1 lets the words grow."""
    longest = min(6, 1 + int(6 * progress / LENGTH_CURRICULUM))
    lengths = [length for length in LENGTH_WEIGHTS if length <= longest and (longest < 6 or length >= 2)]
    length = rng.choices(lengths, [LENGTH_WEIGHTS[length] for length in lengths])[0]
    if length < words.WORD_LENGTHS[0]:  # shorter than any test word: nothing is held out
        text = "".join(rng.choice(words.CHARACTERS) for _ in range(length))
    else:
        maker = words.random_code if rng.random() < words_ocr.CODE_SHARE else words.random_word
        text = maker(rng, length, held_out=False)
    style = words.random_style(rng, text)
    origin = words.random_place(rng, text, style)
    fields = words_ocr.word_fields(text, _language(rng))
    pixels = np.asarray(words.paint_word(text, style, origin))
    return Example(pixels, [_asked(language.QUESTION_TEMPLATE, fields)], patches.word_labels(text, style, origin))


def scene_example(rng: Random, progress: float) -> Example:
    """Draw a scene with four-option questions, open ones, presence questions and, at times, a caption."""
    is_late = progress >= LATE
    if rng.random() < 0.3:
        scene, presence = shapes_presence.make_scene(rng)
        category = _category(rng, is_late)
        target = None
    else:
        category = _category(rng, is_late)
        scene, target = shapes_mc.draw_scene_for(rng, category)
        presence = _presence_questions(rng, scene)
    asked = [
        _asked(language.QUESTION_TEMPLATE, shapes_presence.question_fields(*question, _language(rng)))
        for question in rng.sample(presence, 1 if is_late else 2)
    ]
    more = [(_category(rng, is_late), None) for _ in range(2 if is_late else 1)]
    for choice_category, choice_target in [(category, target), *more]:
        candidates = [choice_target] if choice_target else shapes_mc.targets(scene, choice_category)
        if candidates:
            position = rng.randrange(len(language.LETTERS))
            fields = shapes_mc.choice_fields(
                rng, scene, rng.choice(candidates), choice_category, _language(rng), position
            )
            asked.append(_asked(language.CHOICE_TEMPLATE, fields))
            if rng.random() < (LATE_OPEN_SHARE if is_late else OPEN_SHARE):
                asked.append(_without_options(fields))
    if rng.random() < (LATE_CAPTION_SHARE if is_late else CAPTION_SHARE):
        fields = shapes_caption.caption_fields(scene, rng, _language(rng))
        asked.append(_asked(language.CAPTION_TEMPLATE, fields))
    return Example(np.asarray(scenes.draw_scene(scene)), asked, patches.scene_labels(scene))


def _category(rng: Random, is_late: bool) -> str:
    weights = [LATE_CATEGORY_WEIGHTS[category] if is_late else 1 for category in shapes_mc.CATEGORIES]
    return rng.choices(shapes_mc.CATEGORIES, weights)[0]


def _without_options(fields: dict[str, Any]) -> tuple[str, str]:
    instruction = OPEN_INSTRUCTION[fields["language"]]
    prompt = language.QUESTION_TEMPLATE.format(question=fields["question"], instruction=instruction)
    return prompt, str(fields["answer_text"])


def _presence_questions(rng: Random, scene: scenes.Scene) -> list[tuple[str, tuple[str, str], str]]:
    """Ask for one present and for one absent pair of a random possible category."""
    pairs = list(dict.fromkeys(scene.pairs))
    absent = [(category, shapes_presence.absent_pairs(pairs, category)) for category in shapes_presence.CATEGORIES]
    category, candidates = rng.choice([(category, found) for category, found in absent if found])
    return [(category, rng.choice(pairs), "yes"), (category, rng.choice(candidates), "no")]


def easy_example(rng: Random) -> Example:
    """Draw a training picture of easy-VQA, mirrored and shifted at random, with some of its questions."""
    pixels, asked = rng.choice(_easy_training_set())
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if rng.random() < 0.5:
        pixels = pixels[::-1]
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    ground = picture.getpixel((0, 0))
    shifted = Image.new("RGB", picture.size, ground)
    shifted.paste(picture, (rng.randint(-_MAX_SHIFT_PX, _MAX_SHIFT_PX), rng.randint(-_MAX_SHIFT_PX, _MAX_SHIFT_PX)))
    questions = rng.sample(asked, min(QUESTIONS_PER_EASY_IMAGE, len(asked)))
    template = language.QUESTION_TEMPLATE
    texts = [
        (template.format(question=question, instruction=language.ONE_WORD_INSTRUCTION), answer)
        for question, answer in questions
    ]
    return Example(np.asarray(shifted), texts, None)


@cache
def _easy_training_set() -> Sequence[tuple[np.ndarray, list[tuple[str, str]]]]:
    paths = easy_vqa.get_train_image_paths()
    asked: dict[int, list[tuple[str, str]]] = {}
    for question, answer, image_id in zip(*easy_vqa.get_train_questions(), strict=True):
        asked.setdefault(image_id, []).append((question, answer))
    return [
        (np.asarray(Image.open(Path(paths[image_id])).convert("RGB")), asked[image_id]) for image_id in sorted(asked)
    ]


def _language(rng: Random) -> language.Language:
    return "zh" if rng.random() < CHINESE_SHARE else "en"


def _asked(template: str, fields: dict[str, Any]) -> tuple[str, str]:
    return template.format_map(fields), str(fields["answer"])
