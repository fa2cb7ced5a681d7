"""What a page says about all rows of a task beyond its scores, read column by column: a million rows stay small."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evals.errors import StoreError
from evals.samples_file import SamplesFile
from evals.store import Run
from reports import distributions
from reports.distributions import MOST_LABELS, Confusion
from reports.sample_columns import has_rules

if TYPE_CHECKING:
    import pyarrow as pa

WANTED = ("timing:batch_ms", "new_tokens", "prediction", "extracted", "rule", "references", "failure")
TOKENS, CHARACTERS = "tokens", "characters"


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """One task's distributions.

    Attributes:
        latencies_ms: how long each request waited, ascending; empty where it is unknown.
        lengths: length of each answer, ascending, in ``length_unit``: tokens, or characters where an adapter (or an
            imported file) counts none.
        extracts: whether answers are parsed, so that an answer without an extracted value is a parse failure.
        confusion: right labels against given ones, where they are few.
    """

    latencies_ms: tuple[float, ...] = ()
    lengths: tuple[float, ...] = ()
    length_unit: str = TOKENS
    extracts: bool = False
    confusion: Confusion | None = None


def facts_of(run: Run, name: str) -> TaskFacts:
    """Read one task's columns; nothing is known of a task whose samples file has other columns.

    Raises:
        StoreError: the samples file is missing, or has not the columns of this version.
    """
    import pyarrow.compute as pc

    task = run.results["tasks"][name]
    path = run.scored_path(name)
    file = SamplesFile(path)
    missing = [column for column in WANTED if column not in file.column_names]
    if missing:
        raise StoreError(
            f"{path} has no column {missing[0]!r}: another version of this program wrote it. "
            f"Run `run_eval.py score {run.path}` to make it again from the answers."
        )
    extracts = bool(task.get("parse_failures")) or has_rules(file)
    lengths, unit = _ascending(file.column("new_tokens")), TOKENS
    if not lengths:
        lengths, unit = _ascending(pc.utf8_length(file.column("prediction"))), CHARACTERS
    confusion = _confusion(file) if extracts else None
    return TaskFacts(_ascending(file.column("timing:batch_ms")), lengths, unit, extracts, confusion)


def latencies_of(run: Run, name: str) -> tuple[float, ...]:
    """How long each request of a task waited, in ms, ascending; where it is known."""
    return _ascending(SamplesFile(run.scored_path(name)).column("timing:batch_ms"))


def all_facts(run: Run) -> dict[str, TaskFacts]:
    """The facts of every task of a run."""
    return {name: facts_of(run, name) for name in run.results["tasks"]}


def _ascending(column: pa.ChunkedArray) -> tuple[float, ...]:
    """A column's known numbers in ascending order."""
    known = column.drop_null()
    values = [np.from_dlpack(chunk) for chunk in known.chunks if len(chunk)]
    return tuple(np.sort(np.concatenate(values)).astype(float).tolist()) if values else ()


def _confusion(file: SamplesFile) -> Confusion | None:
    """Counts of (reference, extracted) over the rows that were answered; None where a row has several references, or
    all rows together have too many."""
    import pyarrow.compute as pc

    counts: Counter[tuple[str, str | None]] = Counter()
    for batch in file.batches(["references", "extracted", "failure"]):
        answered = batch.filter(pc.is_null(batch.column("failure")))
        references, extracted = answered.column("references"), answered.column("extracted")
        if any(length.as_py() != 1 for length in pc.unique(pc.list_value_length(references))):
            listed = references.to_pylist()
            if any(len(set(each)) != 1 for each in listed):
                return None
            pairs = zip((each[0] for each in listed), extracted.to_pylist(), strict=True)
            counts.update(pairs)
        else:
            counts.update(_counted(pc.list_flatten(references), extracted))
        if len({reference for reference, _ in counts}) > MOST_LABELS:
            return None
    return distributions.confusion((right, said, count) for (right, said), count in counts.items())


def _counted(left: pa.Array, right: pa.Array) -> dict[tuple[str, str | None], int]:
    """How often each pair of texts occurs. (Arrow's own grouping imports pandas.)"""
    one, two = _coded(left), _coded(right)
    codes, counts = np.unique(one[0] * len(two[1]) + two[0], return_counts=True)
    found = {}
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        first, second = divmod(code, len(two[1]))
        found[str(one[1][first]), two[1][second]] = count
    return found


def _coded(column: pa.Array) -> tuple[NDArray[np.int64], list[str | None]]:
    """Texts as numbers into a list of the different ones, null among them."""
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(column, null_encoding="encode")
    return np.from_dlpack(encoded.indices).astype(np.int64), encoded.dictionary.to_pylist()
