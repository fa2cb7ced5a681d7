"""n-gram counts of many captions at once, as arrays; BLEU and CIDEr are sums over them.

A dictionary of tuples for each caption costs most of the time of the usual implementations. Here words become numbers,
an n-gram becomes one number, and counting is sorting.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
from numpy.typing import NDArray

MAX_ORDER = 4

Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GramCounts:
    """How often each n-gram of one order occurs in each caption; entries sorted by caption, then by n-gram.

    Attributes:
        caption: shape (entries,), index of the caption.
        gram: shape (entries,), number of the n-gram, 0 to ``n_grams - 1``.
        times: shape (entries,), at least 1.
        n_grams: how many different n-grams there are in all captions.
    """

    caption: Integers
    gram: Integers
    times: Integers
    n_grams: int

    def take(self, entries: NDArray[np.bool_] | slice) -> GramCounts:
        """Some of the entries."""
        return GramCounts(self.caption[entries], self.gram[entries], self.times[entries], self.n_grams)


class WordTable:
    """Captions as numbered words.

    Args:
        captions: the words of each caption.
    """

    def __init__(self, captions: Sequence[Sequence[str]]) -> None:
        numbers: defaultdict[str, int] = defaultdict(count().__next__)
        words = [numbers[word] for caption in captions for word in caption]
        self.lengths: Integers = np.array([len(caption) for caption in captions], dtype=np.int64)
        self._words: Integers = np.array(words, dtype=np.int64)
        self._n_words = max(1, len(numbers))
        self._caption: Integers = np.repeat(np.arange(len(captions)), self.lengths)

    def counts(self, order: int) -> GramCounts:
        """Counts of the n-grams of ``order`` words (1 to :data:`MAX_ORDER`)."""
        codes, n_codes = self._words, self._n_words
        for size in range(2, order + 1):
            if n_codes * self._n_words >= 2**63:  # the next step would overflow: number the codes in use anew
                seen, codes = np.unique(codes, return_inverse=True)
                n_codes = len(seen)
            codes = codes[: len(codes) - 1] * self._n_words + self._words[size - 1 :]
            n_codes *= self._n_words
        starts = len(codes)  # windows that begin in one caption and end in another are left out
        inside = self._caption[:starts] == self._caption[order - 1 :]
        seen, gram = np.unique(codes[inside], return_inverse=True)
        keys, times = np.unique(self._caption[:starts][inside] * max(1, len(seen)) + gram, return_counts=True)
        return GramCounts(keys // max(1, len(seen)), keys % max(1, len(seen)), times, len(seen))
