"""How much worse is still acceptable, and the absolute guards beside the test."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from evals.errors import SpecError, did_you_mean


@dataclass(frozen=True, slots=True)
class Margins:
    """Margins in parts of the scale (0.01 is one point), rates in parts of the requests.

    Attributes:
        macro: the macro mean may fall by less than this.
        task: a task fails only when it falls significantly and by at least half of this; ``tasks`` overrides by name.
        error_rate, parse_failures: allowed rise of the shares of failed and of unreadable answers.
        length_low, length_high: allowed ratio of the mean answer length in characters.
        category: no category of at least ``category_n`` units may be shown to have fallen by more than this.
        memory_factor, memory_mib: allowed peak of allocated device memory: baseline x factor + MiB.
    """

    macro: float = 0.01
    task: float = 0.02
    tasks: Mapping[str, float] = field(default_factory=dict)
    error_rate: float = 0.005
    parse_failures: float = 0.01
    length_low: float = 0.8
    length_high: float = 1.25
    category: float = 0.05
    category_n: int = 30
    memory_factor: float = 1.01
    memory_mib: float = 16.0

    def of(self, task: str) -> float:
        """The margin of a task."""
        return self.tasks.get(task, self.task)


MARGINS = tuple(f.name for f in fields(Margins) if f.name != "tasks")


def require_tasks(margins: Margins, tasks: Collection[str]) -> None:
    """Raise :class:`SpecError` for a margin of a task that a baseline does not have: it would never be applied."""
    for name in margins.tasks:
        if name not in tasks:
            hint = did_you_mean(name, [*MARGINS, *tasks])
            raise SpecError(
                f"Margin {name!r} is no margin, and no task of the baseline.{hint} Margins are {', '.join(MARGINS)}; "
                f"tasks are {', '.join(tasks)}."
            )


def read_margins(values: Mapping[str, Any]) -> Margins:
    """Margins from a mapping; what is not named keeps its default.

    Raises:
        SpecError: an unknown name (with the nearest), or a value that is not a positive number.
    """
    known = [*MARGINS, "tasks"]
    for name, value in values.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise SpecError(f"Unknown margin {name!r}.{hint} Margins are {', '.join(known)}.")
        for key, number in value.items() if name == "tasks" else [(name, value)]:
            is_number = isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number)
            if not is_number or number < 0:
                raise SpecError(
                    f"Margin {key!r} is {number!r}; give a number of at least 0, such as 0.01 for one point."
                )
    return replace(Margins(), **dict(values))


def margins_json(margins: Margins) -> dict[str, Any]:
    """Margins as a plain mapping, for files."""
    return asdict(margins) | {"tasks": dict(margins.tasks)}
