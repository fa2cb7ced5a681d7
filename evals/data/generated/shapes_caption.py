"""shapes_caption: say what is in the picture, in reading order.

The canonical caption names the shapes from the top left to the bottom right. The references are that caption and the
same shapes in other orders, so that a right caption in another order is not worthless to CIDEr or BLEU.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, permutations
from random import Random

from evals.data.generated.language import CAPTION_QUESTION, Language, enumerate_pairs
from evals.data.generated.rows import GeneratedRow, JsonValue, encode_png, is_chinese, row_rng
from evals.data.generated.scenes import QUARTERS, Scene, draw_scene, random_pair, random_scene

MAX_REFERENCES = 5  # as many as COCO has


def rows(seed: int, count: int) -> Iterator[GeneratedRow]:
    """Yield ``count`` rows, with one to four shapes in turn."""
    for index in range(count):
        rng = row_rng("shapes_caption", seed, index)
        pairs = [random_pair(rng) for _ in range(1 + index % QUARTERS)]
        scene = random_scene(rng, pairs)
        fields = caption_fields(scene, rng, "zh" if is_chinese(index) else "en")
        yield GeneratedRow(f"shapes_caption-{seed}-{index:06d}", encode_png(draw_scene(scene)), fields)


def caption_fields(scene: Scene, rng: Random, language: Language) -> dict[str, JsonValue]:
    """Return the row's fields: the canonical caption is the answer and the first reference."""
    canonical = enumerate_pairs(list(scene.pairs), language)
    orders = list(permutations(scene.pairs))[1:]
    rng.shuffle(orders)
    other = (enumerate_pairs(list(order), language) for order in orders)
    references = list(dict.fromkeys([canonical, *islice(other, MAX_REFERENCES - 1)]))
    return {
        "question": CAPTION_QUESTION[language],
        "answer": canonical,
        "references": list(references),
        "instruction": "",
        "category": f"{len(scene.shapes)} shapes" if len(scene.shapes) > 1 else "1 shape",
        "language": language,
    }
