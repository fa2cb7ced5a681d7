"""Exact match after named normalisations, and GQA's accuracy, which is exact match after none."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache

from evals.errors import SpecError, did_you_mean
from evals.metrics.rows import SampleMetric

_ARTICLES = re.compile(r"\b(?:a|an|the)\b", re.IGNORECASE)


def _strip(text: str) -> str:
    return text.strip()


def _collapse(text: str) -> str:
    """White space of any kind to single spaces, ends trimmed."""
    return " ".join(text.split())


def _alnum(text: str) -> str:
    """Letters, marks and digits of any script; nothing else."""
    return "".join([character for character in text if unicodedata.category(character)[0] in "LMN"])


def _punctuation(text: str) -> str:
    """Without Unicode punctuation."""
    return "".join([character for character in text if unicodedata.category(character)[0] != "P"])


def _articles(text: str) -> str:
    """Without the words a, an and the."""
    return _collapse(_ARTICLES.sub(" ", text))


def _nfkc(text: str) -> str:
    """Unicode compatibility form: full-width letters become plain ones, ligatures are taken apart."""
    return unicodedata.normalize("NFKC", text)


NORMALISATIONS: dict[str, Callable[[str], str]] = {
    "none": str,
    "strip": _strip,
    "lower": str.lower,
    "casefold": str.casefold,
    "collapse": _collapse,
    "alnum": _alnum,
    "punctuation": _punctuation,
    "articles": _articles,
    "nfkc": _nfkc,
}


class ExactMatch(SampleMetric):
    """1 where the prediction equals a reference after the same normalisation of both, else 0.

    Args:
        normalise: names in :data:`NORMALISATIONS`, applied in the order given; ``none`` compares as is.
    """

    name = "exact_match"
    headline = "exact_match"
    source = "equality; each normalisation is described in evals/metrics/exact.py"

    def __init__(self, normalise: str | Sequence[str] = "none") -> None:
        names = [normalise] if isinstance(normalise, str) else list(normalise)
        for name in names:
            if name not in NORMALISATIONS:
                hint = did_you_mean(str(name), NORMALISATIONS)
                raise SpecError(
                    f"Metric {self.name!r}: unknown normalisation {name!r}.{hint} Known: {', '.join(NORMALISATIONS)}."
                )
        self._steps = [NORMALISATIONS[name] for name in names]
        self.normalise = lru_cache(maxsize=2**12)(self._apply)

    def _apply(self, text: str) -> str:
        for step in self._steps:
            text = step(text)
        return text

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """1 if any reference equals the prediction, else 0."""
        wanted = self._apply(prediction)
        return float(any(self.normalise(reference) == wanted for reference in references))


class Gqa(ExactMatch):
    """GQA's accuracy: the answer's string is the reference, character for character."""

    name = "gqa"
    headline = "gqa"
    optional_columns = ("structural_type", "semantic_type")
    source = "GQA eval.py (Hudson and Manning 2019): predicted == gold"

    def __init__(self) -> None:
        super().__init__("none")
