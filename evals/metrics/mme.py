"""MME: two yes/no questions on each image; a category's score is accuracy plus the share of images with both right."""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import DataError
from evals.extract.mme import mme
from evals.metrics.answers import all_right, compare, group_rows, read_answers, single_references
from evals.metrics.base import Metric, Scores, Statistic, mean_statistic
from evals.metrics.formulas import MME_COLUMNS, MME_MAX_PER_CATEGORY
from evals.metrics.rows import check_rows

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR"
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
CATEGORIES = PERCEPTION + COGNITION
QUESTIONS_PER_IMAGE = 2


@dataclass(frozen=True, slots=True)
class _Image:
    """One image's questions in one category: how many were asked and answered rightly, and whether both were right."""

    row: int
    category: str
    questions: int
    right: float
    both_right: float | None


class Mme(Metric):
    """MME scores on their own scale: 0 to 200 a category, 0 to 2000 perception, 0 to 800 cognition.

    A category's score is 100 times (accuracy over questions + accuracy+ over images), where accuracy+ counts an
    image only if both its questions are right. Totals are sums over the categories that are present. An image of
    which a question failed (or was not asked) has no accuracy+ unless the other answer is wrong.

    Numbers: ``total`` (the headline), ``perception``, ``cognition``, ``accuracy``, ``accuracy_plus`` (both over
    everything), then each category's score under its name.

    Columns: ``category`` (one of the 14 official names) and ``group`` (the image); ``extracted`` optionally
    replaces the official reading.
    """

    name = "mme"
    headline = "total"
    needs = "corpus"
    columns = ("category", "group")
    optional_columns = ("extracted",)
    source = "MME eval_tool/calculation.py"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """1 for the right answer to a question, 0 for the wrong or an unreadable one, None for a failed request."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        labels = single_references(self, references, ("yes", "no"))
        answers = read_answers(predictions, columns, lambda reply: mme(reply)[0])
        right = [
            answer is not None and answer.strip().lower() == label
            for answer, label in zip(answers, labels, strict=True)
        ]
        return compare(predictions, answers, right)

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """Totals, overall accuracies and the score of each category that is present."""
        scores = self.score_samples(predictions, references, **columns)
        images = self._images(scores, columns)
        present = [name for name in CATEGORIES if any(image.category == name for image in images)]
        totals = [("total", CATEGORIES), ("perception", PERCEPTION), ("cognition", COGNITION)]
        return [
            *(_score(name, images, tuple(c for c in part if c in present)) for name, part in totals),
            mean_statistic("accuracy", scores),
            mean_statistic("accuracy_plus", [image.both_right for image in images], [image.row for image in images]),
            *(_score(name, images, (name,)) for name in present),
        ]

    def _images(self, scores: Scores, columns: Mapping[str, Sequence[Any]]) -> list[_Image]:
        """Rows gathered by category and image."""
        self._check_categories(columns["category"])
        keys = list(zip(columns["category"], columns["group"], strict=True))
        return [self._image(key, rows, scores) for key, rows in group_rows(keys).items()]

    def _image(self, key: tuple[str, Hashable], rows: list[int], scores: Scores) -> _Image:
        category, image = key
        if len(rows) > QUESTIONS_PER_IMAGE:
            raise DataError(
                f"Metric {self.name!r}: image {image!r} of category {category!r} has {len(rows)} questions "
                f"(rows {rows[0]} to {rows[-1]}), expected {QUESTIONS_PER_IMAGE}. "
                "Look for duplicated rows, or name the groups by image."
            )
        known = [score for row in rows if (score := scores[row]) is not None]
        both = all_right(scores, rows)
        if both == 1.0 and len(rows) < QUESTIONS_PER_IMAGE:
            both = None
        return _Image(rows[0], category, len(known), sum(known), both)

    def _check_categories(self, names: Sequence[Any]) -> None:
        for row, name in enumerate(names):
            if name not in CATEGORIES:
                by_lower = {known.lower(): known for known in CATEGORIES}
                near = difflib.get_close_matches(str(name).lower(), by_lower, n=1)
                hint = f" Did you mean {by_lower[near[0]]!r}?" if near else ""
                raise DataError(
                    f"Metric {self.name!r}, row {row}: {name!r} is no MME category.{hint} "
                    f"Known: {', '.join(CATEGORIES)}."
                )


def _score(name: str, images: Sequence[_Image], categories: Sequence[str]) -> Statistic:
    """The summed score of some categories, over the images in them."""
    kept = [image for image in images if image.category in categories]
    vectors: NDArray[np.float64] = np.zeros((len(kept), MME_COLUMNS * len(categories)))
    for unit, image in enumerate(kept):
        start = MME_COLUMNS * categories.index(image.category)
        known = image.both_right is not None
        vectors[unit, start : start + MME_COLUMNS] = (
            image.right, image.questions, image.both_right if known else 0.0, float(known)
        )  # fmt: skip
    nominal = {"total": len(CATEGORIES), "perception": len(PERCEPTION), "cognition": len(COGNITION)}.get(name, 1)
    return Statistic(
        name, tuple(image.row for image in kept), vectors, combine="mme", scale=(0.0, MME_MAX_PER_CATEGORY * nominal)
    )
