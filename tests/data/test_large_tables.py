"""Large Parquet files: read from a mapped copy, whose pages are let go of, with the same samples as from memory."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_specs import opened, png, task

from evals.data import arrow_files
from evals.errors import DataError

N = 700
SPEC = task(data={"files": ["rows.parquet"]}, columns={"images": ["image"], "fields": {"question": "question"}})


def write_rows(folder: Path, ids: list[object], answer: str = "a") -> None:
    columns = {
        "id": ids,
        "image": [{"bytes": png("red" if i % 2 else "blue"), "path": None} for i in range(len(ids))],
        "question": [f"q{i}" for i in range(len(ids))],
        "answer": [answer] * len(ids),
    }
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=100)


@pytest.fixture
def copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every Parquet file counts as large."""
    monkeypatch.setattr(arrow_files, "COPY_FROM_ROWS", 1)
    monkeypatch.setattr(arrow_files, "BATCH_BYTES", 4096)


@pytest.mark.usefixtures("copied")
def test_a_copy_holds_the_same_samples_and_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path, [f"s{i}" for i in range(N)])
    from_copy = list(opened(SPEC, tmp_path))
    copies = list((tmp_path / "cache" / "tables").iterdir())
    assert list(opened(SPEC, tmp_path)) == from_copy
    assert list((tmp_path / "cache" / "tables").iterdir()) == copies
    monkeypatch.setattr(arrow_files, "COPY_FROM_ROWS", N + 1)
    assert list(opened(SPEC, tmp_path)) == from_copy
    assert len(from_copy) == N


@pytest.mark.usefixtures("copied")
def test_a_changed_file_is_copied_anew(tmp_path: Path) -> None:
    write_rows(tmp_path, ["x", "y"])
    opened(SPEC, tmp_path)
    write_rows(tmp_path, ["x", "y", "z"], answer="b")
    assert [s.references for s in opened(SPEC, tmp_path)] == [("b",)] * 3


@pytest.mark.usefixtures("copied")
def test_pages_that_were_let_go_are_read_again(tmp_path: Path) -> None:
    write_rows(tmp_path, [f"s{i}" for i in range(N)])
    dataset = opened(SPEC, tmp_path)
    first = dataset[3].images[0].read()
    arrow_files.let_go_of_mapped_files()
    assert dataset[3].images[0].read() == first == png("red")
    assert [s.sample_id for s in dataset.in_order([5, 600, 2])] == ["s5", "s600", "s2"]


def test_ids_whose_hashes_are_equal_are_still_different_ids(tmp_path: Path) -> None:
    """In Python -1 and -2 have one hash."""
    write_rows(tmp_path, [-1, -2, 0])
    assert [s.sample_id for s in opened(SPEC, tmp_path)] == ["-1", "-2", "0"]


def test_an_id_that_comes_twice_is_named(tmp_path: Path) -> None:
    write_rows(tmp_path, ["a", "b", "a"])
    with pytest.raises(DataError, match="the id 'a' occurs more than once"):
        opened(SPEC, tmp_path)
