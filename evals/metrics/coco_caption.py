"""The COCO caption numbers together, tokenised once: BLEU-1 to 4, ROUGE-L and CIDEr."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evals.metrics.base import Scores, Statistic, mean_statistic
from evals.metrics.bleu import bleu_statistics
from evals.metrics.captions import CaptionMetric
from evals.metrics.cider import cider_scores, cider_statistic
from evals.metrics.rouge import rouge_scores


class CocoCaption(CaptionMetric):
    """CIDEr (the headline), BLEU-1 to 4 and ROUGE-L; METEOR and SPICE, which need Java, are metrics of their own."""

    name = "coco_caption"
    headline = "cider"
    needs = "corpus"
    source = "pycocoevalcap 1.2: PTBTokenizer, Bleu(4), Rouge, Cider"

    def score_samples(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> Scores:
        """CIDEr-D in [0, 10] a row, relative to the whole set that is given."""
        return cider_scores(self.caption_set(predictions, references, columns))

    def statistics(
        self, predictions: Sequence[str | None], references: Sequence[Sequence[str]], **columns: Sequence[Any]
    ) -> list[Statistic]:
        """All numbers of the set."""
        captions = self.caption_set(predictions, references, columns)
        return [
            cider_statistic(cider_scores(captions)),
            *bleu_statistics(captions),
            mean_statistic("rouge_l", rouge_scores(captions)),
        ]
