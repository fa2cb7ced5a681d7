"""Rows left out, joined, exploded, unpivoted and derived as the data specification says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from data_specs import opened, png, task

from evals.data import Subset
from evals.errors import DataError


def _write(root: Path, rows: list[dict[str, Any]], name: str = "rows.jsonl") -> None:
    (root / name).write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def _rows(n: int) -> list[dict[str, Any]]:
    return [{"id": i, "question": f"q{i}", "answer": f"a{i}", "kind": "xyz"[i % 3]} for i in range(n)]


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ({"keep": [{"column": "kind", "equals": ["x", "y"]}]}, "0134"),
        ({"drop": [{"column": "kind", "equals": ["x"]}]}, "1245"),
        ({"keep": [{"column": "id", "below": 2}]}, "01"),
        ({"keep": [{"column": "answer", "matches": "[35]$"}]}, "35"),
        ({"drop": [{"column": "note", "empty": True}]}, "24"),
        ({"keep": [{"column": "note", "empty": True}], "drop": [{"column": "kind", "equals": ["z"]}]}, "013"),
    ],
)
def test_conditions(conditions: dict[str, Any], ids: str, tmp_path: Path) -> None:
    """A row stays if it meets all of keep and none of drop; null and "" are empty."""
    rows = [row | {"note": [None, "", "n"][i % 3] if i != 5 else ""} for i, row in enumerate(_rows(6))]
    rows[4]["note"] = "n"
    _write(tmp_path, rows)
    dataset = opened(task(data=conditions), tmp_path)
    assert "".join(sample.sample_id for sample in dataset) == ids


def test_conditions_that_leave_nothing_are_an_error(tmp_path: Path) -> None:
    """An empty set is never scored."""
    _write(tmp_path, _rows(3))
    with pytest.raises(DataError, match="leave no row of 3"):
        opened(task(data={"keep": [{"column": "kind", "equals": ["none"]}]}), tmp_path)


def test_explode_makes_a_sample_of_every_item(tmp_path: Path) -> None:
    """Items keep their row's other cells, and rows without items vanish."""
    rows = [{"id": "a", "qs": ["1", "2"], "as": ["x", "y"]}, {"id": "b", "qs": [], "as": []}]
    _write(tmp_path, rows)
    spec = task(
        data={"explode": ["qs", "as"], "derive": {"key": {"template": "{id}/{item}"}}},
        columns={"id": "key", "references": "as", "fields": {"question": "qs"}},
    )
    found = [(s.sample_id, s.fields["question"], s.references) for s in opened(spec, tmp_path)]
    assert found == [("a/0", "1", ("x",)), ("a/1", "2", ("y",))]


def test_lists_of_different_lengths_are_an_error_with_the_row(tmp_path: Path) -> None:
    """Questions and answers must go together."""
    _write(tmp_path, [{"id": "a", "qs": ["1"], "as": ["x"]}, {"id": "b", "qs": ["1", "2"], "as": ["x"]}])
    with pytest.raises(DataError, match="row 1: 'qs' has 2 items and 'as' 1"):
        opened(task(data={"explode": ["qs", "as"]}, columns={"id": None, "references": "as", "fields": {}}), tmp_path)


def test_derived_columns_follow_paths_transforms_and_values(tmp_path: Path) -> None:
    """A dotted path goes into lists of mappings; values replace; columns can be made anew under their own name."""
    _write(tmp_path, [{"id": 1, "meta": {"kind": "A "}, "answers": [{"t": "x"}, {"t": "y"}], "question": "Q? now"}])
    spec = task(
        data={
            "derive": {
                "kind": {"column": "meta.kind", "apply": ["strip", "lower"], "values": {"a": "first"}},
                "texts": {"column": "answers.t"},
                "question": {"column": "question", "remove_suffix": " now"},
            }
        },
        columns={"references": "texts", "fields": {"question": "question", "kind": "kind"}},
    )
    (sample,) = opened(spec, tmp_path)
    assert (dict(sample.fields), sample.references) == ({"question": "Q?", "kind": "first"}, ("x", "y"))


@pytest.mark.parametrize(
    ("derived", "message"),
    [
        ({"column": "question", "values": {"no": "0"}}, "'q0' is none of the listed values 'no'"),
        ({"column": "question", "apply": ["literal_list"]}, "is not a list written as a Python literal"),
        ({"column": "meta.missing"}, "'missing', which is not among kind"),
    ],
)
def test_a_cell_that_cannot_be_derived_names_row_and_column(
    derived: dict[str, Any], message: str, tmp_path: Path
) -> None:
    """Nothing is guessed."""
    _write(tmp_path, [row | {"meta": {"kind": "a"}} for row in _rows(2)])
    spec = task(data={"derive": {"made": derived}}, columns={"fields": {"made": "made"}})
    with pytest.raises(DataError, match=r"Task 'unit', row 0: column 'made': .*" + message):
        list(opened(spec, tmp_path))


def test_mixed_types_become_text(tmp_path: Path) -> None:
    """A column with numbers in some rows and texts in others is text in all, also across files."""
    _write(tmp_path, [{"id": 1, "question": "q", "answer": 4}], "a.jsonl")
    _write(tmp_path, [{"id": 2, "question": "q", "answer": "four"}], "b.jsonl")
    dataset = opened(task(data={"files": ["*.jsonl"], "file_column": "file"}), tmp_path)
    assert [sample.references for sample in dataset] == [("4",), ("four",)]


def test_lines_of_json_are_read_from_a_json_file(tmp_path: Path) -> None:
    """Some data sets call JSON lines .json; a line separator within a text does not end a line."""
    _write(
        tmp_path,
        [{"id": 1, "question": "a\u2028b", "answer": "x"}, {"id": 2, "question": "c", "answer": "y"}],
        "d.json",
    )
    dataset = opened(task(data={"files": ["d.json"]}), tmp_path)
    assert [sample.fields["question"] for sample in dataset] == ["a\u2028b", "c"]


def test_hashed_subset_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    """The same ids are taken from a shuffled copy."""
    rows = _rows(50)
    _write(tmp_path, rows)
    spec = task(data={"hashed_subset": 7})
    first = {sample.sample_id for sample in opened(spec, tmp_path)}
    _write(tmp_path, rows[::-1])
    assert {sample.sample_id for sample in opened(spec, tmp_path)} == first
    assert len(first) == 7


def test_stratified_samples_keep_shares(tmp_path: Path) -> None:
    """Ten of thirty from three equal strata: four, three and three; the same ones for the same seed."""
    _write(tmp_path, _rows(30))
    spec = task(columns={"fields": {"question": "question", "kind": "kind"}})
    dataset = opened(spec, tmp_path, Subset(sample=10, seed=3, stratify="kind"))
    kinds = sorted(sample.fields["kind"] for sample in dataset)
    assert (kinds.count("x"), kinds.count("y"), kinds.count("z")) == (4, 3, 3)
    assert dataset.subset == "random 10 of 30, seed 3, stratified by kind"
    with pytest.raises(DataError, match="no field 'color' to stratify by"):
        opened(spec, tmp_path, Subset(sample=10, stratify="color"))


def test_pictures_are_hashed_once_and_read_late(tmp_path: Path) -> None:
    """A picture named by many rows is read once for its hash; its bytes come from the file when asked for."""
    (tmp_path / "red.png").write_bytes(png())
    _write(tmp_path, [row | {"image": "red.png"} for row in _rows(3)])
    dataset = opened(task(columns={"images": ["image"]}), tmp_path)
    first = dataset[0].images[0]
    (tmp_path / "red.png").write_bytes(b"changed")
    assert dataset[2].images[0].sha256 == first.sha256
    assert first.read() == b"changed"
