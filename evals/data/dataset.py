"""A task's samples as a sequence: rows stay in Arrow, a sample is built when it is asked for."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from evals.data.arrow_files import let_go_of_mapped_files
from evals.data.few_shot import Examples
from evals.data.images import ImageReader
from evals.data.options import by_label, options_of
from evals.data.pictures import Pictures
from evals.data.rows import CHUNK, Indices, Rows
from evals.data.sources import Places, Stored, open_stored, pool_of
from evals.data.subset import Subset
from evals.errors import DataError
from evals.files import canonical_json
from evals.records import Question, Sample
from model_adapters.contract import ImageRef

if TYPE_CHECKING:
    from evals.spec.records import TaskSpec

LET_GO_ROWS = 16 * CHUNK


def open_dataset(spec: TaskSpec, data_root: Path, cache: Path, subset: Subset = Subset()) -> Dataset:
    """Open a task's data and check it against what the task says of it.

    Args:
        data_root: folder that a table's files lie in.
        cache: folder for what is generated, downloaded or prepared.

    Raises:
        DataError: missing or unreadable data, a missing column, an unexpected count, duplicate ids, an empty set,
            answers that are not public.
    """
    places = Places(data_root, cache)
    examples = None
    if spec.prompt.few_shot is not None:
        pool = Dataset(spec, pool_of(spec, places), Subset())
        examples = Examples(spec.prompt, spec.prompt.few_shot, pool, spec.columns.answer_as)
    return Dataset(spec, open_stored(spec, places, subset.limit), subset, examples)


class Dataset(Sequence[Sample]):
    """Samples of a task in the data set's order (or of a subset), built when asked for.

    Attributes:
        total: samples of the whole set.
        subset: what was taken, in words; None for the whole set.
        several_pictures: how many samples of it have more pictures than the image policy shows.
    """

    def __init__(self, spec: TaskSpec, stored: Stored, subset: Subset, examples: Examples | None = None) -> None:
        columns, names = spec.columns, spec.columns.images
        self._spec, self._examples = spec, examples
        stored_pictures = stored.picture_columns(names)
        self._rows = Rows(spec.data, stored.table, _wanted(spec, stored_pictures, stored.joined), spec.name)
        self._pictures = Pictures(ImageReader(stored.image_root), stored_pictures, names, spec.image)
        self._refuse_ids()
        self._indices: Indices = np.arange(len(self._rows), dtype=np.int32)
        if spec.data.hashed_subset is not None:
            self._indices = _hashed(spec.data.hashed_subset, self._ids())
        self.several_pictures = 0
        if spec.image in ("first", "grid", "skip"):
            self._drop_several(names, stored)
        self.total = len(self._indices)
        self.subset = subset.describe(self.total)
        strata = None
        if subset.stratify is not None and subset.stratify in columns.fields:
            strata = self._values(columns.fields[subset.stratify])
        if not self.total:
            skipped = "all have several pictures, which image: skip leaves out" if self.several_pictures else ""
            reason = skipped or "the lists or cells that its rows are made of are empty"
            raise DataError(f"Task {spec.name!r}: no sample is left; {reason}. Correct the task, or its data.")
        try:
            self._indices = self._indices[subset.select(self.total, self._ids, strata)]
        except DataError as error:
            raise DataError(f"Task {spec.name!r}: {error}") from None
        self._refuse_hidden()

    def _values(self, name: str) -> list[str]:
        """A column of all samples, as text."""
        values = self._rows.column(name)
        return [str(values[i]) for i in self._indices]

    def _ids(self) -> list[str]:
        name = self._spec.columns.id
        return list(map(str, self._indices.tolist())) if name is None else self._values(name)

    def _refuse_ids(self) -> None:
        """Raise if a row has no id, or two rows have the same."""
        name, task = self._spec.columns.id, self._spec.name
        if name is None:
            return
        remedy = "choose another column, or `id: null` to number the rows."
        if (row := self._rows.first_empty(name)) is not None:
            raise DataError(f"Task {task!r}: row {row} has no id in column {name!r}. Give each row one; {remedy}")
        try:
            unique = self._rows.is_unique(name)
        except TypeError as error:  # lists and mappings have no hash
            raise DataError(f"Task {task!r}: column {name!r} holds no plain ids ({error}); {remedy}") from None
        if not unique:
            twice = Counter(map(str, self._rows.column(name))).most_common(1)[0][0]
            raise DataError(
                f"Task {task!r}: the id {twice!r} occurs more than once in column {name!r}. Ids must be unique; "
                f"{remedy}"
            )

    def _drop_several(self, names: tuple[str, ...], stored: Stored) -> None:
        """Count samples with several pictures, and leave them out if the policy says so."""
        if len(names) == 1 and not stored.pointers and _holds_one(stored, names[0]):
            return
        counts = [self._pictures.count(int(self._rows.source[i]), self._rows[i]) for i in self._indices.tolist()]
        several = np.array(counts) > 1
        self.several_pictures = int(several.sum())
        if self._spec.image == "skip":
            self._indices = self._indices[~several]

    def _refuse_hidden(self) -> None:
        """Raise if none of the first samples has an answer: then the split's answers are not public."""
        name = self._spec.columns.references
        probe, where = self._indices[:64].tolist(), f"Task {self._spec.name!r}"
        if probe and not any(_references(self._rows[i].get(name), where) for i in probe):
            data = self._spec.data
            raise DataError(
                f"Task {self._spec.name!r}: column {name!r} is empty in all samples looked at"
                f"{f' of split {data.split!r}' if data.split else ''}: the answers of this split are not public, so it "
                "cannot be scored here. Use a split with answers."
            )

    def __len__(self) -> int:
        return len(self._indices)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        row = int(self._indices[index])
        return self._sample(row, self._rows.gather([row])[0])

    def __iter__(self) -> Iterator[Sample]:
        return self.in_order(range(len(self)))

    def in_order(self, places: Sequence[int]) -> Iterator[Sample]:
        """The samples at these places of the set, in this order; rows are gathered in bulk, wherever they stand, and
        mapped files are let go of on the way, so that the memory stays that of a few rows."""
        for start in range(0, len(places), CHUNK):
            rows = self._indices[np.asarray(places[start : start + CHUNK])].tolist()
            for row, values in zip(rows, self._rows.gather(rows), strict=True):
                yield self._sample(row, values)
            if start % LET_GO_ROWS == 0:
                let_go_of_mapped_files()

    def pictures_of(self, place: int, question: Question) -> tuple[ImageRef, ...]:
        """The pictures of the sample at a place of the set, known by the hashes that one of its questions holds; the
        data is read again when their pixels are asked for."""
        name = f"Task {self._spec.name!r}, sample {question.sample_id!r}"
        return tuple(
            ImageRef(sha256, name, partial(self._read_picture, place, number))
            for number, sha256 in enumerate(question.image_hashes)
        )

    def _read_picture(self, place: int, number: int) -> bytes:
        return self[place].images[number].read()

    def _sample(self, index: int, values: Mapping[str, Any]) -> Sample:
        columns = self._spec.columns
        sample_id = str(index) if columns.id is None else str(values[columns.id])
        where = f"Task {self._spec.name!r}, sample {sample_id!r}"
        images = self._pictures.of(int(self._rows.source[index]), values, where) if columns.images else ()
        references = _references(values[columns.references], where)
        if not references:
            raise DataError(
                f"{where}: column {columns.references!r} is empty, so there is nothing to score against. "
                "Leave such rows out with data.drop, or fetch the data again."
            )
        fields: dict[str, Any] = {name: values[column] for name, column in columns.fields.items()}
        if columns.labels:
            references = by_label(references, values[columns.labels], where)
        if columns.choices:
            options = options_of(columns.choices, values, where)
            fields["choices"] = options.texts
            references = options.answers(references, columns.answer_as, where)
        if self._examples is not None:
            fields["examples"] = self._examples.text(sample_id, fields)
        hashes = [image.sha256 for image in images]
        content = _content(sample_id, fields, references, hashes, where)
        cluster = values[columns.cluster] if columns.cluster else None
        if cluster in (None, ""):  # what is not known to belong to others stands for itself
            cluster = hashes[0] if hashes else sample_id
        return Sample(sample_id, images, fields, references, str(cluster), hashlib.sha256(content).hexdigest())


def _wanted(spec: TaskSpec, pictures: Mapping[str, object], joined: Mapping[str, object]) -> set[str]:
    """Columns that samples are made of; picture columns only where they are derived."""
    columns, join = spec.columns, spec.data.join
    wanted = {columns.references, *columns.choices, *columns.fields.values()}
    wanted |= {name for name in (columns.id, columns.cluster, columns.labels) if name is not None}
    wanted |= {name for name in columns.images if name not in pictures}
    return wanted | ({join.on} if join and joined else set())


def _holds_one(stored: Stored, name: str) -> bool:
    """Whether a picture column cannot hold several pictures a row, by its type."""
    import pyarrow as pa

    table = stored.joined[name][0] if name in stored.joined else stored.table
    if name not in table.column_names:
        return True
    kind = table.schema.field(name).type
    return bool(pa.types.is_struct(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _hashed(size: int, ids: list[str]) -> Indices:
    """Indices of the so many ids with the smallest sha256, in the set's order."""
    order = sorted(range(len(ids)), key=lambda i: hashlib.sha256(ids[i].encode()).digest())
    return np.array(sorted(order[:size]), dtype=np.int64)


def _references(value: Any, where: str) -> tuple[str, ...]:
    values = [v for v in (value if isinstance(value, list) else [value]) if v is not None and v != ""]
    if any(isinstance(v, bytes) for v in values):
        raise DataError(f"{where}: the answer is stored as bytes, {value!r:.60}; expected text. Store it as text.")
    return tuple(map(str, values))


def _content(
    sample_id: str, fields: Mapping[str, Any], references: tuple[str, ...], hashes: list[str], where: str
) -> bytes:
    """What identifies a sample, as JSON.

    Raises:
        DataError: a field that JSON cannot hold, such as a date or bytes.
    """
    try:
        return canonical_json([sample_id, fields, references, hashes])
    except (TypeError, ValueError):
        for name, value in fields.items():
            try:
                canonical_json(value)
            except (TypeError, ValueError):
                raise DataError(
                    f"{where}: the field {name!r} is {value!r:.60} ({type(value).__name__}), which a record of the run "
                    "cannot hold; expected text, a number, a truth value, or a list of these. Derive a column with "
                    "`apply: [text]` from it."
                ) from None
        raise
