"""Taking a part of a data set in a way that is deterministic and can be named."""

from __future__ import annotations

import random
from collections.abc import Callable
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
        stratify: a field of the samples; ``sample`` then takes from each of its values as large a share as the value
            has of the whole (largest remainders first, ties by name).
    """

    limit: int | None = None
    sample: int | None = None
    seed: int = 0
    ids: tuple[str, ...] = ()
    stratify: str | None = None

    def describe(self, total: int) -> str | None:
        """What was taken, in words; None for the whole set."""
        if self.ids:
            return f"{len(self.ids)} named samples of {total}"
        if self.sample is not None and self.sample < total:
            by = f", stratified by {self.stratify}" if self.stratify else ""
            return f"random {self.sample} of {total}, seed {self.seed}{by}"
        if self.limit is not None and self.limit < total:
            return f"first {self.limit} of {total}"
        return None

    def select(self, total: int, ids: Callable[[], list[str]], strata: list[str] | None = None) -> list[int] | slice:
        """Indices of the samples that are taken, ascending; a slice where they follow each other.

        Args:
            total: samples of the set.
            ids: gives the samples' ids; only called where they are needed.
            strata: each sample's value of the field ``stratify``; None where the samples lack it.

        Raises:
            DataError: an id that the set does not have, a size below 1, or a field to stratify by that is not there.
        """
        for name, size in (("limit", self.limit), ("sample", self.sample)):
            if size is not None and size < 1:
                raise DataError(f"A {name} of {size} samples was asked for; it must be at least 1.")
        if self.ids:
            places = {sample_id: i for i, sample_id in enumerate(ids())}
            missing = [sample_id for sample_id in self.ids if sample_id not in places]
            if missing:
                raise DataError(f"No sample has the id {missing[0]!r} ({len(missing)} of the ids given are unknown).")
            return sorted(places[sample_id] for sample_id in self.ids)
        if self.stratify and strata is None:
            raise DataError(
                f"The samples have no field {self.stratify!r} to stratify by. Name one of the task's fields."
            )
        if self.sample is not None and self.sample < total:
            drawn = random.Random(self.seed)
            if strata is None or not self.stratify:
                return sorted(drawn.sample(range(total), self.sample))
            return _stratified(strata, self.sample, drawn)
        return slice(self.limit)


def _stratified(strata: list[str], size: int, drawn: random.Random) -> list[int]:
    members: dict[str, list[int]] = {}
    for i, value in enumerate(strata):
        members.setdefault(value, []).append(i)
    names = sorted(members)
    shares = {name: size * len(members[name]) / len(strata) for name in names}
    sizes = {name: int(shares[name]) for name in names}
    by_remainder = sorted(names, key=lambda name: (sizes[name] - shares[name], name))
    for name in by_remainder[: size - sum(sizes.values())]:
        sizes[name] += 1
    return sorted(i for name in names for i in drawn.sample(members[name], sizes[name]))
