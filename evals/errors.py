"""What can go wrong, as one tree. Each message says what was found where, what was expected, and what to do.

EvalError            root; exit code 2 unless said otherwise
├── SpecError        a YAML file or an option is wrong            (2)
├── DataError        a data set is missing, changed or malformed  (2)
├── AdapterError     a model cannot be loaded or asked            (2)
├── StoreError       a run directory cannot be read or written    (2)
└── ComparisonError  two results must not be compared             (4)
"""

from model_adapters.contract import AdapterError, EvalError, did_you_mean

__all__ = ["AdapterError", "ComparisonError", "DataError", "EvalError", "SpecError", "StoreError", "did_you_mean"]


class SpecError(EvalError):
    """A task, suite or option says something that is unknown, malformed or contradictory."""


class DataError(EvalError):
    """Data is missing, unreadable, or not what the task says it is."""


class StoreError(EvalError):
    """A run directory is locked, damaged, of another run, or cannot be written."""


class ComparisonError(EvalError):
    """Two results differ in a part that must match; the message names it."""

    exit_code = 4
