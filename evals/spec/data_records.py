"""How a task's YAML says where its rows come from, how they are put in shape, and which column means what.

Everything here is declared, never programmed: a person sees in the YAML which rows are left out, which columns are
joined, and what is done to a cell before it becomes a question or a reference.

Rows take one way, in this order: source, join, keep and drop, explode or unpivot, derive, columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Source = Literal["generated", "table", "vlmevalkit", "hub", "imagefolder", "webdataset"]


@dataclass(frozen=True, slots=True)
class Condition:
    """A simple condition on a stored column; exactly one of the four ways.

    Attributes:
        equals: true where the cell, as text, is one of these.
        matches: true where this regular expression (RE2) is found in the cell, as text.
        below: true where the cell, as a number, is smaller.
        empty: true where the cell is null, an empty text or an empty list (or, if ``false``, where it is not).
    """

    column: str
    equals: tuple[str, ...] = ()
    matches: str | None = None
    below: float | None = None
    empty: bool | None = None


@dataclass(frozen=True, slots=True)
class Join:
    """Columns taken from a second table of the same source, for example pictures that many questions share.

    Attributes:
        configs, split: the second table on the hub.
        files: the second table on disk.
        on: column of the first table.
        key: column of the second table that ``on`` is looked up in; its values are unique.
        take: columns to take over.
    """

    on: str
    key: str
    take: tuple[str, ...]
    configs: tuple[str, ...] = ()
    split: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpivot:
    """Makes one row for each of several columns; rows whose cell is empty are left out.

    Attributes:
        columns: the columns.
        name: new column with the name of the column that a row came from.
        value: new column with that column's cell.
    """

    columns: tuple[str, ...]
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Derived:
    """A column made when a sample is read; exactly one of ``column`` and ``template``.

    Attributes:
        column: a column, or a dotted path into nested values (``metadata.source``; of a list, each item's).
        template: a text in the prompt language, filled in with the row's columns.
        apply: named transforms, in order; see ``evals.spec.transforms``.
        remove_suffix: text cut from the end where it is there.
        values: replaces a value, as text, by another; a value that is not listed is an error.
    """

    column: str | None = None
    template: str | None = None
    apply: tuple[str, ...] = ()
    remove_suffix: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Where the rows come from and how they are put in shape.

    Attributes:
        source: ``generated`` (made from a seed on first use), ``table`` (parquet, json, jsonl, csv, tsv on disk),
            ``vlmevalkit`` (a TSV with base64 pictures), ``hub`` (a data set of the Hugging Face hub), ``imagefolder``
            (pictures in folders) or ``webdataset`` (tar shards).
        generator, seed, count: for ``generated``: generator's name, its seed, and how many rows.
        files: paths relative to the data root; a pattern with ``*`` takes all that match, sorted. For ``imagefolder``
            the folder, for ``webdataset`` the shards.
        file_column: a column that gets the name, without ending, of the file that a row came from.
        image_root: folder of the picture files that a table names, relative to the data root.
        id: the data set's id on the hub; ``aliases`` are other ids of the same data, tried in order.
        configs: its configurations; with several, their rows follow each other and a column ``config`` names theirs.
        split, revision: of the data set; a revision is a full commit hash, null takes the newest.
        streaming: read rows over the network as far as ``--limit`` asks, and keep nothing.
        tsv, md5, url: for ``vlmevalkit``: name of the TSV, its checksum, and where ``prefetch`` gets it.
        expected_count: rows that the set must have before any are left out; another number is an error. Null: unknown.
        verified: whether id, columns and count were seen in the data itself; false where they are from a description.
        hidden_splits: splits without public answers, and the reason; a task must not use one.
        join, keep, drop, explode, unpivot, derive: the shape, in this order. A row stays if it meets all of ``keep``
            and none of ``drop``; ``explode`` makes one row of each item of these list columns, with its number from 0
            in a column ``item``.
        hashed_subset: take only the so many rows whose ids have the smallest sha256; the same rows in every copy.
    """

    source: Source
    generator: str | None = None
    seed: int = 0
    count: int | None = None
    files: tuple[str, ...] = ()
    file_column: str | None = None
    image_root: str = ""
    id: str = ""
    aliases: tuple[str, ...] = ()
    configs: tuple[str, ...] = ()
    split: str = ""
    revision: str | None = None
    streaming: bool = False
    tsv: str = ""
    md5: str | None = None
    url: str | None = None
    expected_count: int | None = None
    verified: bool = True
    hidden_splits: Mapping[str, str] = field(default_factory=dict)
    join: Join | None = None
    keep: tuple[Condition, ...] = ()
    drop: tuple[Condition, ...] = ()
    explode: tuple[str, ...] = ()
    unpivot: Unpivot | None = None
    derive: Mapping[str, Derived] = field(default_factory=dict)
    hashed_subset: int | None = None


@dataclass(frozen=True, slots=True)
class ColumnsSpec:
    """Which column of a row means what.

    Attributes:
        id: column of the sample's id; null numbers the rows from 0.
        images: columns that hold the sample's pictures, in order; empty for text tasks. Empty cells after the first
            column are left out, a cell may hold a list.
        references: column of the accepted answers: a string, a number, or a list of them.
        choices: for multiple choice: one column that holds a list, or the option columns themselves in order.
        answer_as: how ``references`` names the right option: its ``letter``, its ``index`` from 0, its ``text``, or
            its ``label`` in the column ``labels``.
        labels: column of a list with each option's label, where these are not A, B, C in order.
        cluster: column whose value is shared by samples that are not independent; null means the first picture, and so
            does an empty cell.
        fields: further columns by the name under which prompts, metrics and categories know them.
    """

    id: str | None = "id"
    images: tuple[str, ...] = ("image",)
    references: str = "answer"
    choices: tuple[str, ...] = ()
    answer_as: Literal["letter", "index", "text", "label"] = "letter"
    labels: str | None = None
    cluster: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FewShot:
    """Worked examples before the question, in the prompt's field ``{examples}``.

    Attributes:
        count: how many.
        split, configs: where the examples come from; empty takes the task's own. A sample is never its own example.
        seed: examples are drawn from the pool by this seed; null takes the pool's first, in order.
        by: field whose value example and sample must share, such as the subject.
        template: one example, with the sample's fields, ``{options}`` and ``{answer}``.
        separator: after each example.
    """

    count: int
    template: str
    split: str = ""
    configs: tuple[str, ...] = ()
    seed: int | None = None
    by: str | None = None
    separator: str = "\n\n"
