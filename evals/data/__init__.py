"""The data layer: from a task's data specification to samples, read late and identified by content."""

from evals.data.dataset import Dataset, open_dataset
from evals.data.subset import Subset

__all__ = ["Dataset", "Subset", "open_dataset"]
