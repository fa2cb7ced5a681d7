"""What a page says about all rows of a task beyond its scores, read column by column: a million rows stay small."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from evals.arrow_columns import read_parquet
from evals.errors import StoreError
from evals.store import Run
from reports import distributions
from reports.distributions import Confusion

if TYPE_CHECKING:
    import pyarrow as pa

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
    task = run.results["tasks"][name]
    wanted = ("timing:batch_ms", "new_tokens", "prediction", "extracted", "rule", "references", "failure")
    path = run.scored_path(name)
    table = read_parquet(path, wanted)
    missing = [column for column in wanted if column not in table.column_names]
    if missing:
        raise StoreError(
            f"{path} has no column {missing[0]!r}: another version of this program wrote it. "
            f"Run `run_eval.py score {run.path}` to make it again from the answers."
        )
    extracts = bool(task.get("parse_failures")) or _any_rule(table)
    lengths, unit = _lengths(table)
    confusion = _confusion(table) if extracts else None
    return TaskFacts(_ascending(table.column("timing:batch_ms")), lengths, unit, extracts, confusion)


def all_facts(run: Run) -> dict[str, TaskFacts]:
    """The facts of every task of a run."""
    return {name: facts_of(run, name) for name in run.results["tasks"]}


def _ascending(column: pa.ChunkedArray) -> tuple[float, ...]:
    """A column's known numbers in ascending order."""
    known = column.drop_null()
    values = [np.from_dlpack(chunk) for chunk in known.chunks if len(chunk)]
    return tuple(np.sort(np.concatenate(values)).astype(float).tolist()) if values else ()


def _any_rule(table: pa.Table) -> bool:
    import pyarrow.compute as pc

    return bool(pc.min_max(pc.binary_length(table.column("rule")))["max"].as_py())


def _lengths(table: pa.Table) -> tuple[tuple[float, ...], str]:
    """Tokens where some are known, else characters of the answers."""
    import pyarrow.compute as pc

    if tokens := _ascending(table.column("new_tokens")):
        return tokens, TOKENS
    return _ascending(pc.utf8_length(table.column("prediction"))), CHARACTERS


def _confusion(table: pa.Table) -> Confusion | None:
    """Counts of (reference, extracted) over the rows that were answered; None where a row has several references."""
    import pyarrow.compute as pc

    answered = table.select(["references", "extracted"]).filter(pc.is_null(table.column("failure")))
    if not answered.num_rows:
        return None
    lengths = pc.min_max(pc.list_value_length(answered.column("references"))).as_py()
    if lengths["min"] == lengths["max"] == 1:
        return distributions.confusion(
            _counted(pc.list_flatten(answered.column("references")), answered.column("extracted"))
        )
    references = answered.column("references").to_pylist()
    if any(len(set(each)) != 1 for each in references):
        return None
    extracted = answered.column("extracted").to_pylist()
    return distributions.confusion((each[0], said, 1) for each, said in zip(references, extracted, strict=True))


def _counted(left: pa.ChunkedArray, right: pa.ChunkedArray) -> Iterator[tuple[str, str | None, int]]:
    """How often each pair of texts occurs. (Arrow's own grouping imports pandas.)"""
    one, two = _coded(left), _coded(right)
    codes, counts = np.unique(one[0] * len(two[1]) + two[0], return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        first, second = divmod(code, len(two[1]))
        yield str(one[1][first]), two[1][second], count


def _coded(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], list[str | None]]:
    """Texts as numbers into a list of the different ones, null among them."""
    import pyarrow.compute as pc

    encoded = pc.dictionary_encode(column.combine_chunks(), null_encoding="encode")
    return np.from_dlpack(encoded.indices).astype(np.int64), encoded.dictionary.to_pylist()
