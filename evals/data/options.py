"""A sample's options, and its answer among them: absent options are left out, and the letters close up behind them."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evals.errors import DataError

LETTERS = string.ascii_uppercase


@dataclass(frozen=True, slots=True)
class Options:
    """The options that a sample has.

    Attributes:
        texts: their texts, in order.
        places: where each of them stands in the data, counted from 0; an absent option has no place among them.
    """

    texts: list[str]
    places: tuple[int, ...]

    def answers(self, references: tuple[str, ...], answer_as: str, where: str) -> tuple[str, ...]:
        """The references with letters and indices of the data as those of :attr:`texts`.

        Args:
            answer_as: how references name options; texts, and what names no option, stay as they are.

        Raises:
            DataError: a reference names an option that is absent.
        """
        if answer_as == "text" or self.places == tuple(range(len(self.places))):
            return references
        return tuple(self._answer(reference, answer_as, where) for reference in references)

    def _answer(self, reference: str, answer_as: str, where: str) -> str:
        if answer_as == "letter":
            place = LETTERS.find(reference) if len(reference) == 1 else -1
        else:
            place = int(reference) if reference.isdecimal() else -1
        if not 0 <= place <= max(self.places, default=-1):
            return reference
        if place not in self.places:
            raise DataError(f"{where}: the answer {reference!r} names an option that is empty. The row is damaged.")
        now = self.places.index(place)
        return LETTERS[now] if answer_as == "letter" else str(now)


def options_of(names: Sequence[str], values: Mapping[str, Any], where: str) -> Options:
    """Options from one list column, of which null items are absent, or from option columns, of which empty ones are.

    Raises:
        DataError: the one column holds something else than a list.
    """
    if len(names) > 1:
        found = [(place, values[name]) for place, name in enumerate(names) if values[name] not in (None, "")]
    else:
        cell = values[names[0]]
        if not isinstance(cell, list | None):
            raise DataError(
                f"{where}: column {names[0]!r} holds {cell!r:.60}, expected a list of options. "
                "If it is a list written as text, derive a column from it with `apply: [literal_list]`."
            )
        found = [(place, option) for place, option in enumerate(cell or []) if option is not None]
    return Options([str(option) for _, option in found], tuple(place for place, _ in found))


def by_label(references: tuple[str, ...], labels: Any, where: str) -> tuple[str, ...]:
    """References given as option labels, as indices of the options in the data."""
    known = [str(label) for label in labels or []]
    for reference in references:
        if reference not in known:
            raise DataError(f"{where}: the answer {reference!r} is none of the option labels {', '.join(known)}.")
    return tuple(str(known.index(reference)) for reference in references)
