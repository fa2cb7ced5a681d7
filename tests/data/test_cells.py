"""What stands in a cell is what is asked and scored, or it is refused with the place and the remedy."""

from __future__ import annotations

import base64
import datetime
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_specs import opened, png, task
from hypothesis import given
from hypothesis import strategies as st

from evals.data import Subset
from evals.data.images import ImageReader
from evals.errors import DataError, SpecError
from evals.plan import make_plan
from evals.records import Sample

ROW: dict[str, Any] = {"id": 1, "question": "q", "answer": "a"}


def samples(root: Path, rows: list[dict[str, Any]] | str, **parts: Any) -> list[Sample]:
    """The samples of these rows, written as JSON lines."""
    text = rows if isinstance(rows, str) else "\n".join(json.dumps(row) for row in rows)
    (root / "rows.jsonl").write_text(text, encoding="utf-8")
    return list(opened(task(**parts), root))


def stored(root: Path, **columns: Any) -> list[Sample]:
    """The samples of a Parquet file with these columns."""
    pq.write_table(
        pa.table({"id": ["a", "b"], "question": ["q", "r"], "answer": ["x", "y"]} | columns), root / "p.parquet"
    )
    return list(opened(task(data={"files": ["p.parquet"]}), root))


@pytest.mark.parametrize(
    ("answers", "references"),
    [
        ([1, 1.5, 2], [("1",), ("1.5",), ("2",)]),
        ([1, "01", 1.0], [("1",), ("01",), ("1.0",)]),
        ([[1, 1.5], [2]], [("1", "1.5"), ("2",)]),
        ([10**30, 1], [(str(10**30),), ("1",)]),
        ([["a", "b"], "c"], [("a", "b"), ("c",)]),
        ([["a", None, ""], 3], [("a",), ("3",)]),
        ([1.5, 2.0], [("1.5",), ("2.0",)]),
    ],
)
def test_numbers_are_references_as_they_are_written(
    answers: list[Any], references: list[tuple[str, ...]], tmp_path: Path
) -> None:
    rows = [ROW | {"id": i, "answer": answer} for i, answer in enumerate(answers)]
    assert [sample.references for sample in samples(tmp_path, rows)] == references


def test_a_missing_number_is_no_answer_and_no_option(tmp_path: Path) -> None:
    nan = pa.array([float("nan"), 1.0])
    with pytest.raises(DataError, match=r"sample 'a': column 'answer' is empty"):
        stored(tmp_path, answer=nan)
    assert [sample.fields["question"] for sample in stored(tmp_path, question=nan)] == [None, 1.0]
    rows = ['{"id": 1, "question": "q", "answer": NaN}', '{"id": 2, "question": "q", "answer": 2.5}']
    drop = {"drop": [{"column": "answer", "empty": True}]}
    assert [sample.sample_id for sample in samples(tmp_path, "\n".join(rows), data=drop)] == ["2"]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([1, None], r"row 1 has no id in column 'id'"),
        (["", "b"], r"row 0 has no id"),
        ([[1], [2]], r"column 'id' holds no plain ids"),
        ([1, "1"], r"the id '1' occurs more than once"),
    ],
)
def test_ids_name_samples(ids: list[Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message + ".*id: null"):
        samples(tmp_path, [ROW | {"id": name} for name in ids])
    assert len(samples(tmp_path, [ROW | {"id": name} for name in ids], columns={"id": None})) == 2


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        (
            "question",
            pa.array([datetime.date(2026, 1, 1)] * 2),
            r"sample 'a': the field 'question' is .*date.*\[text\]",
        ),
        ("question", pa.array([b"\xff", b""]), r"sample 'a': the field 'question' is .*bytes"),
        ("question", pa.array([float("inf"), 0.0]), r"sample 'a': the field 'question' is inf"),
        ("answer", pa.array([b"x", b"y"]), r"the answer is stored as bytes"),
    ],
)
def test_what_no_record_can_hold_is_named(column: str, values: pa.Array, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        stored(tmp_path, **{column: values})


def test_half_a_character_in_json_names_its_row(tmp_path: Path) -> None:
    rows = ['{"id": 1, "question": "q", "answer": "a"}', '{"id": 2, "question": "\\ud83d", "answer": "a"}']
    with pytest.raises(DataError, match=r"Row 1 .*'question' holds half of a surrogate pair"):
        samples(tmp_path, "\n".join(rows))


def test_a_set_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    rows = [ROW | {"id": i, "image": ["a.png", "a.png"]} for i in range(2)]
    with pytest.raises(DataError, match=r"Task 'unit': no sample is left; .*image: skip"):
        samples(tmp_path, rows, columns={"images": ["image"]}, image="skip")
    with pytest.raises(DataError, match=r"no sample is left; the lists"):
        samples(tmp_path, [ROW | {"parts": []}], data={"explode": ["parts"]}, columns={"id": None})


def test_a_subset_that_the_set_does_not_have_names_the_task(tmp_path: Path) -> None:
    samples(tmp_path, [ROW])
    for subset, message in ((Subset(ids=("x",)), "No sample has the id 'x'"), (Subset(limit=-1), "A limit of -1")):
        with pytest.raises(DataError, match=f"Task 'unit': {message}"):
            opened(task(), tmp_path, subset)


def test_samples_without_a_cluster_are_independent(tmp_path: Path) -> None:
    """An empty cell is no cluster that all such samples share: that would be one independent sample."""
    rows = [ROW | {"id": i, "kind": kind} for i, kind in enumerate(["甲", "甲", None, None, ""])]
    clusters = [sample.cluster for sample in samples(tmp_path, rows, columns={"cluster": "kind"})]
    assert clusters == ["甲", "甲", "2", "3", "4"]


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{问题}：{选 }", None),
        ("{问题}（{提示}）", "几？（）"),
        ("{?提示}提示：{提示}\n{/提示}{问题}", "几？"),
        ("{!提示}没有提示。{/提示}{问题}{零}", "没有提示。几？0"),
        ("{{{问题}}}", "{几？}"),
    ],
)
def test_prompts_may_name_fields_in_chinese_and_say_nothing_of_null(
    template: str, prompt: str | None, tmp_path: Path
) -> None:
    rows = [{"id": 1, "answer": "a", "问题": "几？", "提示": None, "零": 0}]
    fields = {name: name for name in ("问题", "提示", "零")}
    (tmp_path / "rows.jsonl").write_text(json.dumps(rows[0]), encoding="utf-8")
    spec = task(columns={"fields": fields, "images": []}, prompt={"template": template})
    if prompt is None:
        with pytest.raises(SpecError, match="has a single"):
            make_plan(spec, opened(spec, tmp_path))
    else:
        (question,) = make_plan(spec, opened(spec, tmp_path)).questions.of(0)
        assert question.prompt == prompt


PNG = base64.b64encode(png(size=(64, 48))).decode()
LONG_WITHOUT_SLASH = base64.b64encode(b"\x00" * 600).decode()  # longer than the name of a file may be


@pytest.mark.parametrize(
    ("cell", "content"),
    [
        (PNG, png(size=(64, 48))),
        (f"data:image/png;base64,{PNG}", png(size=(64, 48))),
        (f"{PNG[:76]}\n{PNG[76:]}\r\n", png(size=(64, 48))),
        (LONG_WITHOUT_SLASH, b"\x00" * 600),
        ("图 片/问题 1.png", png()),
        ("[1] 题.png", png()),
        ("['图 片/问题 1.png']", png()),
        ({"bytes": None, "path": "图 片/问题 1.png"}, png()),
    ],
)
def test_a_picture_is_found_however_it_is_given(cell: Any, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "图 片").mkdir()
    for name in ("图 片/问题 1.png", "[1] 题.png"):
        (tmp_path / name).write_bytes(png())
    (picture,) = ImageReader(tmp_path).references("cell", lambda: cell, "Sample 'a'")
    assert picture.read() == content


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("https://example.org/picture/1.png", "not fetched from the network"),
        ("图 片\\问题 1.png", "write / between folders"),
        ("a\0b.png", "there is no picture"),
        ("题" * 200, "there is no picture"),
        ("[1] no.png", "nor a list written as a Python literal"),
        (".", "there is no picture"),
        ("circle.png", "there is no picture"),
        (3, r"3 \(int\) is no picture"),
        ([[1, 2], [3, 4]], r"1 \(int\) is no picture"),
    ],
)
def test_what_is_no_picture_is_said_with_the_place(cell: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "circle.png").symlink_to("circle.png")
    with pytest.raises(DataError, match=f"^Sample 'a': .*{message}"):
        ImageReader(tmp_path).references("cell", lambda: cell, "Sample 'a'")


def test_a_picture_that_cannot_be_read_names_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.png").write_bytes(png())

    def refuse(path: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"^Sample 'a': .*a\.png cannot be read: Permission denied"):
        ImageReader(tmp_path).references("cell", lambda: "a.png", "Sample 'a'")


@given(cell=st.text(max_size=400) | st.binary(max_size=40) | st.none() | st.integers() | st.lists(st.text(max_size=9)))
def test_any_cell_is_pictures_or_an_error_of_data(cell: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.getbasetemp()
    message = ""
    try:
        found = ImageReader(root).references("cell", lambda: cell, "Sample 'a'")
        assert all(isinstance(picture.read(), bytes) for picture in found)
    except DataError as error:
        message = str(error)
    assert not message or message.startswith("Sample 'a': ")


CHOICE = {"family": "multiple_choice", "protocol": "vanilla", "metrics": [{"name": "multiple_choice"}]}
TEMPLATE = {"prompt": {"template": "{question}\n{options}"}}


def asked(root: Path, row: dict[str, Any], **columns: Any) -> tuple[dict[str, str], str]:
    """The options by letter and the right letter of the one question that a row becomes."""
    (root / "rows.jsonl").write_text(json.dumps(ROW | row), encoding="utf-8")
    spec = task(columns={"fields": {"question": "question"}, "images": [], **columns}, **CHOICE, **TEMPLATE)
    (question,) = make_plan(spec, opened(spec, root)).questions.of(0)
    return question.fields["choices"], question.references[0]


@pytest.mark.parametrize(
    ("filled", "answer"), [(filled, answer) for filled in ("AB", "AC", "BD", "ACD", "ABD", "ABCD") for answer in filled]
)
@pytest.mark.parametrize("empty", ["", None])
def test_the_answer_follows_its_option_where_options_are_empty(
    filled: str, answer: str, empty: str | None, tmp_path: Path
) -> None:
    """Letters close up behind an empty option, and the answer's letter with them, in columns and in a list."""
    texts = {letter: f"text of {letter}" if letter in filled else empty for letter in "ABCD"}
    found = [asked(tmp_path, {**texts, "answer": answer}, choices=["A", "B", "C", "D"])]
    if empty is None:
        rows = {"options": list(texts.values()), "answer": "ABCD".index(answer)}
        found += [asked(tmp_path, rows, choices=["options"], answer_as="index")]
        labels = {"options": list(texts.values()), "labels": list("wxyz"), "answer": "wxyz"["ABCD".index(answer)]}
        found += [asked(tmp_path, labels, choices=["options"], labels="labels", answer_as="label")]
    for options, right in found:
        assert options[right] == f"text of {answer}"
        assert list(options) == list("ABCD"[: len(filled)])


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"options": ["x", None, "z"], "answer": "B"}, "names an option that is empty"),
        ({"options": "['x', 'y']", "answer": "A"}, r"expected a list of options.*literal_list"),
        ({"options": ["x", "y"], "answer": ["A", "B"]}, "found 2 right options"),
        ({"options": ["x", "y"], "answer": "Ｂ"}, r"If it means B, .*apply: \[nfkc"),
        ({"options": ["x", "y"], "answer": "(b)"}, r"If it means B, "),
        ({"options": ["x"], "answer": "A"}, "found 1 options, expected 2 to 26"),
        ({"options": None, "answer": "A"}, "found 0 options"),
    ],
)
def test_options_that_cannot_be_asked(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"(?s)sample '1'.*{message}"):
        asked(tmp_path, row, choices=["options"])


def test_full_width_letters_are_options_after_the_transform_that_the_error_names(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json.dumps(ROW | {"options": ["猫", "狗"], "answer": "（ｂ）"}))
    derive = {"letter": {"column": "answer", "apply": ["nfkc", "strip_parentheses", "upper"]}}
    columns = {"choices": ["options"], "references": "letter", "fields": {"question": "question"}, "images": []}
    spec = task(columns=columns, data={"derive": derive}, **CHOICE, **TEMPLATE)
    (question,) = make_plan(spec, opened(spec, tmp_path)).questions.of(0)
    assert question.references == ("B",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", "id,question,answer\n1,图片,答案\n".encode("gbk"), r"rows\.csv:2 is not UTF-8.*iconv -f GB18030"),
        ("rows.csv", "id,question,answer\n1,图片,答案\n".encode("utf-16"), r"rows\.csv:1 .*iconv -f UTF-16"),
        ("rows.jsonl", '\n{"id": 1, "question": "图片？"}'.encode("gbk"), r"rows\.jsonl:2 .*GB18030"),
        ("rows.csv", b"id,question,answer\n1,\xff\xff,a\n", r"rows\.csv:2 .*Is the file complete.*-f ENCODING"),
        ("rows.csv", b"id,question,answer,answer\n1,q,a,b\n", r"names the column 'answer' twice"),
        ("rows.tsv", b'id\tquestion\tanswer\n1\t"a" b\tc\n', r"rows\.tsv:2 .*quotes within it are doubled"),
    ],
)
def test_a_file_from_another_program_says_how_to_convert_it(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message):
        opened(task(data={"files": [name]}), tmp_path)


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_line_ends_and_byte_order_marks_change_nothing(ending: str, encoding: str, tmp_path: Path) -> None:
    text = ending.join(["id,question,answer", "题-1,Ａ１２？,是，的", "题-2,q,nan"]) + ending
    (tmp_path / "rows.csv").write_bytes(text.encode(encoding))
    found = [
        (s.sample_id, s.fields["question"], s.references) for s in opened(task(data={"files": ["rows.csv"]}), tmp_path)
    ]
    assert found == [("题-1", "Ａ１２？", ("是，的",)), ("题-2", "q", ("nan",))]
