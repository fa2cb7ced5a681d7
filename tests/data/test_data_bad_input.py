"""What is wrong with data is said in one paragraph with the place and the remedy; nothing is scored on a guess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from data_specs import opened, png, task

from evals.errors import DataError

ROWS: list[dict[str, Any]] = [
    {"id": i, "question": "q", "answer": "a", "image": f"{i}.png", "choices": ["x", "y"]} for i in range(3)
]


def _write(root: Path, rows: list[dict[str, Any]]) -> None:
    (root / "rows.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    for i in range(3):
        (root / f"{i}.png").write_bytes(png())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"columns": {"fields": {"q": "qestion"}}}, r"no column 'qestion'. It has id, question, answer"),
        ({"columns": {"id": "answer", "fields": {}}}, r"the id 'a' occurs more than once in column 'answer'"),
        ({"data": {"expected_count": 5}}, r"found 3 rows, expected 5"),
        ({"data": {"files": ["missing.jsonl"]}}, r"no file matches .*missing\.jsonl.*--data-root"),
        ({"data": {"files": ["../rows.jsonl"]}}, r"leaves the data root"),
        ({"data": {"join": {"files": ["rows.jsonl"], "on": "id", "key": "no", "take": ["image"]}}}, "no column 'no'"),
        (
            {"data": {"join": {"files": ["rows.jsonl"], "on": "id", "key": "question", "take": ["image"]}}},
            "has 'question' 'q' twice",
        ),
    ],
)
def test_data_that_does_not_fit_the_task(parts: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Unknown column, duplicate ids, another count, no file, a path out of the root, a join that is none."""
    _write(tmp_path, ROWS)
    with pytest.raises(DataError, match=message):
        list(opened(task(**parts), tmp_path))


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("../../outside.png", "leaves the folder"),
        ("3.png", "there is no picture '3.png' below"),
        ("", "the image cell is empty"),
        (None, "the image cell is empty"),
        ("iVBORw0KGgoAAAANSUhEUgAAAA*", "nor whole base64 text"),
        ("[unclosed", "nor a list written as a Python literal"),
    ],
)
def test_a_picture_that_cannot_be_found_names_the_sample(cell: Any, message: str, tmp_path: Path) -> None:
    """The first picture of a sample must be there."""
    root = tmp_path / "a" / "root"
    root.mkdir(parents=True)
    (tmp_path / "outside.png").write_bytes(png())
    _write(root, [*ROWS[:2], ROWS[2] | {"image": cell}])
    with pytest.raises(DataError, match=message) as found:
        list(opened(task(columns={"images": ["image"]}), root))
    assert "sample '2'" in str(found.value)


def test_truncated_pictures_are_found_when_they_are_decoded(tmp_path: Path) -> None:
    """Identity needs only the bytes; decoding fails loudly, never with grey pixels."""
    _write(tmp_path, ROWS)
    (tmp_path / "1.png").write_bytes(png(size=(640, 480))[:200])
    dataset = opened(task(columns={"images": ["image"]}), tmp_path)
    assert len(list(dataset)) == 3
    with pytest.raises(OSError, match="trunc"):
        dataset[1].images[0].open()


def test_a_split_without_answers_is_refused(tmp_path: Path) -> None:
    """All answers empty: the answers are not public."""
    _write(tmp_path, [row | {"answer": None} for row in ROWS])
    with pytest.raises(DataError, match="the answers of this split are not public"):
        opened(task(), tmp_path)


def test_one_row_without_an_answer_is_named(tmp_path: Path) -> None:
    """Some answers are there, so the set is not hidden, but this row cannot be scored."""
    _write(tmp_path, [*ROWS[:2], ROWS[2] | {"answer": ""}])
    with pytest.raises(DataError, match=r"sample '2'.*nothing to score against.*data\.drop"):
        list(opened(task(), tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.jsonl", '{"id": 1}\n{"id": ', r"rows\.jsonl:2 is not valid JSON"),
        ("rows.jsonl", "[1]", r"rows\.jsonl:1: expected an object"),
        ("rows.json", "[1, 2]", "expected an object a line, a list of objects"),
        ("rows.json", '{"a": [', "is not valid JSON"),
        ("rows.csv", 'id,question\n1,"open', r"rows\.csv:\d"),
        ("rows.csv", "id,question\n1", r"rows\.csv:2: found 1 cells, expected 2"),
        ("rows.parquet", "PAR1 no", "cannot be read"),
        ("rows.txt", "x", "files ending in '.txt' are not known"),
    ],
)
def test_a_broken_file_says_where(name: str, content: str, message: str, tmp_path: Path) -> None:
    """File and line, where there are lines."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        opened(task(data={"files": [name]}), tmp_path)


def test_an_empty_file_is_no_data_set(tmp_path: Path) -> None:
    """Zero rows are never scored."""
    (tmp_path / "rows.csv").write_text("id,question,answer\n")
    with pytest.raises(DataError, match="the data set is empty"):
        opened(task(data={"files": ["rows.csv"]}), tmp_path)
