"""What stays of a task's scored rows when the rows themselves are gone: numbers in arrays, not objects."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evals.metrics.base import COMBINE, Statistic
from evals.perf.summary import EfficiencyTally
from evals.records import ScoredSample


class Coded:
    """A column of texts that repeat, as one number a row.

    Attributes:
        names: the distinct texts in order of first appearance; a row's number is its text's place here.
    """

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._codes = array("i")

    def append(self, text: str | None) -> None:
        """Add a row; None is -1."""
        self._codes.append(-1 if text is None else self._numbers.setdefault(text, len(self._numbers)))

    @property
    def names(self) -> list[str]:
        return list(self._numbers)

    @property
    def codes(self) -> NDArray[np.int32]:
        """All rows' numbers."""
        return np.asarray(self._codes)


class Tally:
    """Counts and columns of the rows added so far.

    Attributes:
        n_requests, n_samples, n_failed: rows, samples, and samples of which a request failed. The rows of one sample
            are added one after the other.
        parse_failures: answers that the extractor could not read.
        clusters: the rows' independence units; ``categories`` their value in each grouping column.
        efficiency: times and tokens.
    """

    def __init__(self, categories: Sequence[str]) -> None:
        self.n_requests = self.n_samples = self.n_failed = self.parse_failures = 0
        self.clusters = Coded()
        self.categories = {name: Coded() for name in categories}
        self.efficiency = EfficiencyTally()
        self._group: str | None = None
        self._group_failed = False

    def add(self, sample: ScoredSample) -> None:
        """Add one row."""
        if sample.group != self._group:
            self._group, self._group_failed = sample.group, False
            self.n_samples += 1
        if sample.prediction is None and not self._group_failed:
            self._group_failed = True
            self.n_failed += 1
        self.n_requests += 1
        self.parse_failures += sample.prediction is not None and sample.extracted is None
        self.clusters.append(sample.cluster)
        for name, column in self.categories.items():
            column.append(sample.categories.get(name))
        self.efficiency.add(sample)


class JoinedStatistic:
    """One statistic from its parts over consecutive chunks of rows; unit vectors add up, so nothing is scored again."""

    def __init__(self) -> None:
        self._first: Statistic | None = None
        self._parts = self._units = 0
        self._rows: array[int] | None = None  # none as long as every row is a unit
        self._vectors = array("d")

    def add(self, statistic: Statistic, first_row: int) -> None:
        """Add the part over the chunk that begins at this row."""
        self._first = self._first or statistic
        self._parts += 1
        rows = np.asarray(statistic.rows, dtype=np.int64) + first_row
        if self._rows is None and not np.array_equal(rows, np.arange(self._units, self._units + len(rows))):
            self._rows = array("q", range(self._units))
        if self._rows is not None:
            self._rows.frombytes(rows.tobytes())
        self._units += len(rows)
        self._vectors.frombytes(np.asarray(statistic.vectors, dtype=np.float64).tobytes())

    def whole(self, name: str) -> Statistic:
        """The statistic over all rows; it shares this object's memory, so nothing is added afterwards.

        Raises:
            ValueError: nothing was added.
        """
        if self._first is None:
            raise ValueError(f"no part of the statistic {name!r} was added")
        rows: Sequence[int] = range(self._units) if self._rows is None else self._rows
        if self._parts == 1:
            return replace(self._first, name=name, rows=rows)
        vectors = np.frombuffer(self._vectors, dtype=np.float64).reshape(len(rows), self._first.vectors.shape[1])
        return replace(self._first, name=name, rows=rows, vectors=vectors)


class JoinedValue:
    """A statistic's value from its parts over chunks of rows, of which only the sums are kept."""

    def __init__(self) -> None:
        self._totals: NDArray[np.float64] | None = None
        self._combine = "ratio"

    def add(self, statistic: Statistic) -> None:
        """Add the part over one chunk."""
        if not len(statistic.rows):
            return
        totals = statistic.vectors.sum(axis=0)
        self._totals = totals if self._totals is None else self._totals + totals
        self._combine = statistic.combine

    @property
    def value(self) -> float | None:
        """The number over all rows; None where it is undefined."""
        if self._totals is None:
            return None
        value = float(COMBINE[self._combine](self._totals))
        return value if np.isfinite(value) else None
