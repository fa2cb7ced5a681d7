"""Data sets made on first use from a seed, the same on every machine, and easy-VQA from its package.

    from evals.data.generated import generate
    for row in generate("shapes_mc", seed=2024, count=1000):
        row.row_id, row.image_bytes, row.fields["question"]

Every picture is 64 × 64 px, RGB, PNG. Fields of every row: ``question``, ``answer``, ``category``, ``language``
(``en``; in every fifth row ``zh``, except in easyvqa), and ``instruction`` (empty for captions). Further fields, and
the prompt that the small model was trained with (the constants are in ``evals.data.generated.language``):

* ``shapes_mc``: ``choices`` (list), ``A``, ``B``, ``C``, ``D``, ``answer_text``; ``answer`` is the letter.
  Prompt ``{question}\\nA. {A}\\nB. {B}\\nC. {C}\\nD. {D}\\n{instruction}``.
* ``shapes_presence``: ``image_id`` (six questions share a picture). Prompt ``{question}\\n{instruction}``.
* ``words_ocr``: ``kind`` (``word``, ``code``), ``face``. Prompt ``{question}\\n{instruction}``.
* ``shapes_caption``: ``references`` (the first is the answer). Prompt ``{question}``.
* ``easyvqa``: ``image_id``. Prompt ``{question}\\n{instruction}``.

Random numbers come from :class:`random.Random`, whose streams Python keeps stable; pictures from Pillow and from the
DejaVu fonts in matplotlib's wheel. Pixels of rendered words depend on the FreeType that Pillow's wheel brings.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from evals.data.generated.rows import GeneratedRow
from evals.errors import DataError, did_you_mean

GENERATORS: dict[str, str] = {
    "easyvqa": "evals.data.generated.easyvqa.rows",
    "shapes_caption": "evals.data.generated.shapes_caption.rows",
    "shapes_mc": "evals.data.generated.shapes_mc.rows",
    "shapes_presence": "evals.data.generated.shapes_presence.rows",
    "words_ocr": "evals.data.generated.words_ocr.rows",
}

__all__ = ["GENERATORS", "GeneratedRow", "generate"]


def generate(name: str, seed: int, count: int) -> Iterator[GeneratedRow]:
    """Yield the first rows of a generated data set.

    Args:
        name: a key of ``GENERATORS``.
        seed: recorded with every result. Row ``i`` depends on the seed and ``i`` only: a smaller ``count`` is a prefix.
        count: number of rows (easyvqa ends at its 9,673 test questions).

    Raises:
        DataError: there is no generator of that name.
    """
    if name not in GENERATORS:
        hint = did_you_mean(name, GENERATORS)
        raise DataError(f"There is no generated data set {name!r}.{hint} Known: {', '.join(GENERATORS)}.")
    module, _, function = GENERATORS[name].rpartition(".")
    rows: Iterator[GeneratedRow] = getattr(importlib.import_module(module), function)(seed, count)
    return rows
