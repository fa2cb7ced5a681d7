"""METEOR and SPICE of captions, through pycocoevalcap and Java where both are there; null with the reason where not.

Both are Java programs with large data files, so they are used as they are. Nothing is downloaded: SPICE needs the
Stanford models beside its program, and is null until someone has put them there.
"""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evals.metrics.base import Scores, Statistic, mean_statistic
from evals.metrics.captions import CaptionMetric

SPICE_MODELS = "stanford-corenlp-3.6.0-models.jar"


class _JavaCaptionMetric(CaptionMetric):
    """A scorer of pycocoevalcap that runs Java."""

    needs = "corpus"
    module = ""
    scorer = ""

    def unavailable(self) -> str | None:
        """Why this metric gives null here; None where it works."""
        if importlib.util.find_spec("pycocoevalcap") is None:
            return f"{self.name} needs the package pycocoevalcap: pip install 'omnilmm-eval[captions]'"
        if shutil.which("java") is None:
            return f"{self.name} needs Java (a java program on the PATH)"
        return None

    def official(self, predictions: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, Scores]:
        """The set's score and each caption's, of tokenised captions, as pycocoevalcap gives them."""
        scorer = getattr(importlib.import_module(self.module), self.scorer)()
        answers = {row: [prediction] for row, prediction in enumerate(predictions)}
        accepted = {row: list(texts) for row, texts in enumerate(references)}
        total, scores = scorer.compute_score(accepted, answers)
        return float(total), [self.sample_score(score) for score in scores]

    def sample_score(self, score: Any) -> float:
        """One caption's score as a number."""
        return float(score)

    def _rows(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], columns: dict[str, Sequence[Any]]
    ) -> tuple[float | None, Scores]:
        captions = self.caption_set(predictions, references, columns)
        rows = captions.answered
        scores: Scores = [None] * len(captions.predictions)
        if self.unavailable() or not rows:
            return None, scores
        total, found = self.official(
            [captions.predictions[row] or "" for row in rows], [captions.references[row] for row in rows]
        )
        for row, score in zip(rows, found, strict=True):
            scores[row] = score
        return total, scores

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """Each caption's own score in [0, 1]; None where the metric is unavailable."""
        return self._rows(predictions, references, columns)[1]

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """The set's score. METEOR's is not the mean of its captions' (it pools counts inside Java); its units are the
        captions' scores, scaled so that their mean is the set's score, which makes the interval an approximation."""
        total, scores = self._rows(predictions, references, columns)
        mean = mean_statistic(self.headline, scores)
        if total is None or not mean.value:
            return [mean]
        return [Statistic(mean.name, mean.rows, mean.vectors * np.array([total / mean.value, 1.0]))]


class Meteor(_JavaCaptionMetric):
    """METEOR 1.5, English, with normalisation."""

    name = "meteor"
    headline = "meteor"
    source = "pycocoevalcap 1.2 Meteor (meteor-1.5.jar -l en -norm), after PTB tokenisation"
    module = "pycocoevalcap.meteor.meteor"
    scorer = "Meteor"


class Spice(_JavaCaptionMetric):
    """SPICE, the F-measure over scene-graph tuples."""

    name = "spice"
    headline = "spice"
    source = "pycocoevalcap 1.2 Spice (spice-1.0.jar), after PTB tokenisation"
    module = "pycocoevalcap.spice.spice"
    scorer = "Spice"

    def unavailable(self) -> str | None:
        """Why this metric gives null here; None where it works."""
        if reason := super().unavailable():
            return reason
        spec = importlib.util.find_spec("pycocoevalcap")
        folders = [] if spec is None else list(spec.submodule_search_locations or [])
        if not any((Path(folder) / "spice" / "lib" / SPICE_MODELS).is_file() for folder in folders):
            return f"spice needs {SPICE_MODELS} in pycocoevalcap/spice/lib; it is not downloaded by itself"
        return None

    def sample_score(self, score: Any) -> float:
        """The F-measure over all tuples."""
        return float(score["All"]["f"])
