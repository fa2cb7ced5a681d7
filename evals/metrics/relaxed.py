"""Relaxed accuracy of ChartQA (also PlotQA): numbers may be 5 % off, all else must be equal but for case.

Source: google-research/pix2struct pix2struct/metrics.py, ``relaxed_correctness`` (Methani et al. 2020; Masry et al.
2022, section 5.1). Its ways that are kept: a number is what Python's ``float`` reads (``1_00`` and full-width digits
are, ``10,000`` is not), ``45%`` is 0.45, a reference of zero is compared as text, and years are numbers like any other.
Predictions are taken as they are: a pipeline that trims the answer first is another variant.
"""

from __future__ import annotations

from collections.abc import Sequence

from evals.errors import SpecError
from evals.metrics.rows import SampleMetric

TOLERANCE = 0.05


def as_number(text: str) -> float | None:
    """The number that a text stands for, percent signs taken as hundredths; None if it is none."""
    try:
        return float(text.rstrip("%")) / 100.0 if text.endswith("%") else float(text)
    except ValueError:
        return None


def relaxed_match(prediction: str, reference: str, tolerance: float = TOLERANCE) -> bool:
    """Whether two numbers differ by at most ``tolerance`` of the reference, or two texts are equal in lower case."""
    predicted, expected = as_number(prediction), as_number(reference)
    if predicted is None or not expected:
        return prediction.lower() == reference.lower()
    return abs(predicted - expected) / abs(expected) <= tolerance


class RelaxedAccuracy(SampleMetric):
    """ChartQA's relaxed accuracy, also by ``type`` (human and augmented questions) where that column is given.

    Args:
        tolerance: largest accepted difference as a fraction of the reference, at least 0.
    """

    name = "relaxed_accuracy"
    headline = "relaxed_accuracy"
    optional_columns = ("type",)
    source = "google-research/pix2struct metrics.py relaxed_correctness, 2025-02-28"

    def __init__(self, tolerance: float = TOLERANCE) -> None:
        if not tolerance >= 0:
            raise SpecError(
                f"Metric 'relaxed_accuracy': tolerance is {tolerance!r}, expected a number of at least 0. "
                "Published results use 0.05."
            )
        self.tolerance = tolerance

    def score_one(self, prediction: str, references: Sequence[str]) -> float:
        """1 if any reference is met, else 0."""
        return float(any(relaxed_match(prediction, reference, self.tolerance) for reference in references))
