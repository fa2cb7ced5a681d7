"""easyvqa: the official test split of easy-VQA (Victor Zhou, 2019), read from its own package.

Nothing is generated here: the pictures are the files as published, and the seed is not used.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from evals.data.generated.language import ONE_WORD_INSTRUCTION
from evals.data.generated.rows import GeneratedRow

TEST_QUESTIONS = 9_673


def rows(seed: int, count: int) -> Iterator[GeneratedRow]:
    """Yield the first ``count`` of the 9,673 test questions, in the published order."""
    del seed
    import easy_vqa

    questions, answers, image_ids = easy_vqa.get_test_questions()
    paths = easy_vqa.get_test_image_paths()
    pictures: dict[int, bytes] = {}
    for index, (question, answer, image_id) in enumerate(zip(questions, answers, image_ids, strict=True)):
        if index >= count:
            return
        if image_id not in pictures:
            pictures[image_id] = Path(paths[image_id]).read_bytes()
        yield GeneratedRow(
            f"easyvqa-test-{index:06d}",
            pictures[image_id],
            {
                "question": question,
                "answer": answer,
                "instruction": ONE_WORD_INSTRUCTION,
                "category": question_category(question, answer),
                "language": "en",
                "image_id": f"easyvqa-test-image-{image_id}",
            },
        )


def question_category(question: str, answer: str) -> str:
    """Sort a question by what its answer is about: ``yes/no``, ``shape`` or ``color``."""
    if answer in ("yes", "no"):
        return "yes/no"
    return "color" if "color" in question else "shape"
