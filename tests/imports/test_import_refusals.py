"""Predictions that cannot be taken over are refused with their place, and leave the run directory as it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.errors import DataError, SpecError
from evals.exports import registry as exports
from evals.imports import FORMATS, import_predictions
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec
from evals.store import Run, open_run

ROW: dict[str, Any] = {"id": "一", "prediction": "Ａ", "references": "Ａ", "prompt": "问"}


def task(name: str = "题", metric: str = "exact_match", **parts: Any) -> TaskSpec:
    plain = {"schema": 1, "name": name, "title": name, "version": 1, "family": "vqa", "description": ""}
    return build_stored(TaskSpec, plain | {"data": {"source": "table"}, "metrics": [{"name": metric}]} | parts)


def written(folder: Path, content: Any, name: str = "预 测.jsonl") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in content) if isinstance(content, list) else content
    (folder / name).write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    return folder / name


def imported(path: Path, out: Path, spec: TaskSpec | None = None, form: str = "plain") -> Run:
    return import_predictions(spec or task(), "default", form, path, out, model="模型")


def state(folder: Path) -> dict[str, str]:
    """Every file but the lock, with its digest."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "lock"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        ([ROW | {"references": None}], "a.jsonl", r"row 1: '一' has no reference"),
        ([ROW, ROW | {"id": 2, "references": []}], "a.jsonl", r"row 2: '2' has no reference"),
        ([ROW, ROW], "a.jsonl", r"row 2: the id '一' comes twice"),
        ([{"prediction": "A"}], "a.jsonl", r"row 1: no column 'id'"),
        (json.dumps(ROW, ensure_ascii=False).encode("gbk"), "a.jsonl", r"a\.jsonl:1 is not UTF-8.*GB18030"),
        ("no zip", "a.xlsx", r"a\.xlsx is no spreadsheet"),
        ("", "a.jsonl", "no predictions"),
    ],
)
def test_a_file_that_cannot_be_scored_is_refused(content: Any, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        imported(written(tmp_path, content, name), tmp_path / "run")


@pytest.mark.parametrize("form", sorted(FORMATS))
@pytest.mark.parametrize("content", ['{"foo": 1}', "[1, 2]", '"text"', "{", "null"])
def test_no_format_takes_what_it_does_not_know(form: str, content: str, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        imported(written(tmp_path, content), tmp_path / "run", form=form)
    assert state(tmp_path / "run") == {}


def test_numbers_that_are_missing_are_null(tmp_path: Path) -> None:
    """``NaN`` in JSON, as pandas and Python write it: a missing field, and a missing prediction is a failed request."""
    rows = [
        '{"id": 1, "prediction": NaN, "references": "a"}',
        '{"id": 2, "prediction": "a", "references": "a", "x": NaN}',
    ]
    run = imported(written(tmp_path, "\n".join(rows)), tmp_path / "run")
    assert run.results["tasks"]["题"]["coverage"] == 0.5


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    rows = [ROW, ROW | {"id": 2, "prediction": "B"}]
    text = "\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    values = []
    for number, content in enumerate((text.encode(), text.replace("\n", "\r\n").encode("utf-8-sig"))):
        run = imported(written(tmp_path, content, f"{number}.jsonl"), tmp_path / f"run{number}")
        values.append([(row.row_id, row.prediction, row.scores) for row in run.samples("题")])
    assert values[0] == values[1]


def test_an_import_that_fails_can_be_put_right_in_the_same_folder(tmp_path: Path) -> None:
    path, out = written(tmp_path, [ROW]), tmp_path / "run"
    with pytest.raises(DataError, match="is none of yes, no"):
        imported(path, out, task(metric="pope"))
    assert state(out) == {}
    assert imported(path, out).results["tasks"]["题"]["n"] == 1
    before = state(out)
    with pytest.raises(DataError, match="is none of yes, no"):
        imported(path, out, task("另一题", metric="pope"))
    with pytest.raises(SpecError, match="headline"):
        imported(path, out, task("第三题", headline="no_such_number"))
    assert state(out) == before
    assert open_run(out).tasks == ["题"]
    assert imported(path, out, task("另一题")).tasks == ["题", "另一题"]


TEXTS = st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace").decode())


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(TEXTS, TEXTS.filter(bool), st.booleans()), min_size=1, max_size=8))
def test_what_is_exported_and_imported_again_has_the_same_scores(
    rows: list[tuple[str, str, bool]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any text survives the way over lm-evaluation-harness's sample files; failed requests stay failed."""
    folder = tmp_path_factory.mktemp("trip")
    answers = [
        {"id": str(i), "prediction": None if failed else said, "references": [right, said or right], "prompt": said}
        for i, (said, right, failed) in enumerate(rows)
    ]
    first = imported(written(folder, answers), folder / "run")
    exports.export_run(first, "lm-eval-samples", exports.Destination(folder / "out"))
    (samples,) = (folder / "out").rglob("samples_*.jsonl")
    again = imported(samples, folder / "again", form="lmms-eval")
    for a, b in zip(first.samples("题"), again.samples("题"), strict=True):
        assert (a.prediction, a.references, a.scores) == (b.prediction, b.references, b.scores)
    for name in ("value", "low", "high", "se", "n_units"):
        assert first.results["tasks"]["题"]["statistics"]["exact_match"][name] == pytest.approx(
            again.results["tasks"]["题"]["statistics"]["exact_match"][name]
        )
