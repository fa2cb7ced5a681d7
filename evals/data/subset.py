"""Taking a part of a data set in a way that is deterministic and can be named."""

from __future__ import annotations

import random
from dataclasses import dataclass

from evals.errors import DataError


@dataclass(frozen=True, slots=True)
class Subset:
    """Which samples of a set are taken; at most one of the three ways.

    Attributes:
        limit: the first so many.
        sample, seed: a random subset of so many, drawn without replacement by Python's Mersenne Twister from the seed
            and kept in the set's order.
        ids: exactly these sample ids.
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    ids: tuple[str, ...] = ()

    def describe(self, total: int) -> str | None:
        """What was taken, in words; None for the whole set."""
        if self.ids:
            return f"{len(self.ids)} named samples of {total}"
        if self.sample is not None and self.sample < total:
            return f"random {self.sample} of {total}, seed {self.seed}"
        if self.limit is not None and self.limit < total:
            return f"first {self.limit} of {total}"
        return None

    def select(self, ids: list[str]) -> list[int]:
        """Indices of the samples that are taken, ascending.

        Raises:
            DataError: an id that the set does not have, or a size below 1.
        """
        total = len(ids)
        for name, size in (("limit", self.limit), ("sample", self.sample)):
            if size is not None and size < 1:
                raise DataError(f"A {name} of {size} samples was asked for; it must be at least 1.")
        if self.ids:
            places = {sample_id: i for i, sample_id in enumerate(ids)}
            missing = [sample_id for sample_id in self.ids if sample_id not in places]
            if missing:
                raise DataError(f"No sample has the id {missing[0]!r} ({len(missing)} of the ids given are unknown).")
            return sorted(places[sample_id] for sample_id in self.ids)
        if self.sample is not None and self.sample < total:
            return sorted(random.Random(self.seed).sample(range(total), self.sample))
        return list(range(total if self.limit is None else min(self.limit, total)))
