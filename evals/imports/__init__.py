"""Other people's predictions as runs: scored, compared, ranked and reported like any other, and marked as imported."""

from evals.imports.build import import_predictions
from evals.imports.formats import FORMATS

__all__ = ["FORMATS", "import_predictions"]
