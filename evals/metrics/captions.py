"""What the caption metrics share: tokenising a set once, and counting n-grams of answers and references together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evals.errors import SpecError
from evals.metrics.base import Metric
from evals.metrics.ngrams import WordTable
from evals.metrics.ptb import tokenize
from evals.metrics.rows import check_rows


def _as_is(caption: str) -> str:
    return caption


TOKENIZERS: dict[str, Callable[[str], str]] = {"ptb": tokenize, "none": _as_is}


@dataclass(frozen=True)
class CaptionSet:
    """A set's captions, tokenised (tokens separated by spaces).

    Attributes:
        predictions: one a row; None for a failed request.
        references: the accepted captions of each row, at least one each.
    """

    predictions: tuple[str | None, ...]
    references: tuple[tuple[str, ...], ...]

    @property
    def answered(self) -> tuple[int, ...]:
        """Rows that have an answer."""
        return tuple(row for row, prediction in enumerate(self.predictions) if prediction is not None)

    @cached_property
    def words(self) -> WordTable:
        """All captions by their words: first one prediction for each row (empty if failed), then all references."""
        captions = [(prediction or "").split() for prediction in self.predictions]
        return WordTable(captions + [reference.split() for accepted in self.references for reference in accepted])

    @cached_property
    def reference_rows(self) -> NDArray[np.int64]:
        """Shape (references,): the row that each reference belongs to."""
        return np.repeat(np.arange(len(self.references)), [len(accepted) for accepted in self.references])


class CaptionMetric(Metric):
    """A metric of generated captions.

    Args:
        tokenizer: ``ptb`` as the COCO caption evaluation has it; ``none`` compares captions as they are, split at white
            space (what some suites report; another number).
    """

    def __init__(self, tokenizer: str = "ptb") -> None:
        if tokenizer not in TOKENIZERS:
            raise SpecError(f"Metric {self.name!r}: unknown tokenizer {tokenizer!r}. Known: {', '.join(TOKENIZERS)}.")
        self.tokenizer = tokenizer

    def caption_set(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], columns: dict[str, Sequence[Any]]
    ) -> CaptionSet:
        """The rows, checked and tokenised."""
        self.check(predictions, references, columns)
        check_rows(self.name, predictions, references)
        split = TOKENIZERS[self.tokenizer]
        return CaptionSet(
            tuple(None if prediction is None else split(prediction) for prediction in predictions),
            tuple(tuple([split(reference) for reference in accepted]) for accepted in references),
        )
