"""What a task file means is checked before a model is asked: numbers, names, options of metrics, the headline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import run_eval
from evals.errors import DataError, SpecError
from evals.spec import find_task
from model_adapters import null

TASK: dict[str, Any] = {
    "schema": 1,
    "version": 1,
    "name": "题",
    "title": "题",
    "family": "vqa",
    "description": "",
    "data": {"source": "table", "files": ["题.jsonl"]},
    "columns": {"images": [], "fields": {"question": "question"}},
    "metrics": [{"name": "exact_match"}],
}
CHOICE = {"columns": {"choices": ["c"], "images": [], "fields": {"question": "question"}}, "protocol": "vanilla"}
ROWS = [{"id": i, "question": "q", "answer": "a"} for i in range(3)]


def written(folder: Path, **parts: Any) -> str:
    """A task file with its data beside it; JSON is YAML."""
    (folder / "题.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    path = folder / "题.yaml"
    path.write_text(json.dumps(TASK | parts, ensure_ascii=False), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"version": 0}, "the version is 0"),
        ({"generation": {"max_new_tokens": 0}}, "max_new_tokens is 0, expected at least 1"),
        ({"generation": {"num_beams": -1}}, "num_beams is -1"),
        ({"generation": {"repetition_penalty": 0}}, "repetition_penalty is 0, expected more than 0"),
        ({"generation": {"temperature": -0.5}}, "temperature is -0.5"),
        ({"generation": {"top_p": 1.5}}, "top_p is 1.5, expected more than 0 and at most 1"),
        ({"generation": {"stop": ["\n", ""]}}, "an empty text stops nothing"),
        ({"presets": {"short": {"generation": {"max_new_tokens": 0}}}}, "max_new_tokens is 0"),
        ({"presets": {"default": {}}}, "cannot be called 'default'"),
        ({"presets": {"a,b": {}}}, "cannot be called 'a,b'"),
        ({"data": {**TASK["data"], "hashed_subset": -1}}, "hashed_subset is -1"),
        ({"prompt": {"few_shot": {"count": 0, "template": "{answer}"}}}, "count is 0"),
        ({**CHOICE, "protocol": "circular"}, "turns the options round, but the template has no {options}"),
        ({**CHOICE, "presets": {"c": {"protocol": "circular"}}}, "turns the options round"),
        ({**CHOICE, "protocol": "likelihood", "prompt": {"continuation": "x"}}, "the same for all options"),
        ({"metrics": [{"name": "exact_match"}, {"name": "exact_match"}]}, "'exact_match' is listed twice"),
    ],
)
def test_numbers_and_names_that_mean_nothing(parts: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=rf"题\.yaml:\d+: .*{message}"):
        find_task(written(tmp_path, **parts))


@pytest.mark.parametrize(
    "tagged", ["!!python/object/apply:os.system [x]", "!mine {a: 1}", "!!set {a}", "!!binary YQ=="]
)
def test_only_plain_values_are_read(tagged: str, tmp_path: Path) -> None:
    path = Path(written(tmp_path))
    path.write_text(path.read_text(encoding="utf-8")[:-1] + f', "languages": {tagged}}}', encoding="utf-8")
    with pytest.raises(SpecError, match="is not allowed; tasks are plain data"):
        find_task(str(path))


def test_a_file_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    path = Path(written(tmp_path))
    path.write_bytes(path.read_text(encoding="utf-8").encode("gbk"))
    with pytest.raises(SpecError, match=r"题\.yaml is not UTF-8 text .*Save it as UTF-8"):
        find_task(str(path))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"metrics": [{"name": "exact_match", "options": {"normalise": ["nfck"]}}]}, "Did you mean 'nfkc'"),
        ({"metrics": [{"name": "exact_match", "options": {"normalize": []}}]}, "does not take these options"),
        ({"metrics": [{"name": "pope"}]}, "reference 'a' is none of yes, no"),
        ({"metrics": [{"name": "mme"}]}, "needs the field 'category'"),
        ({"metrics": [{"name": "evaluate:./nowhere"}]}, "give a local path"),
        ({"headline": "exact_mach"}, "its headline 'exact_mach' is none of its statistics exact_match"),
        ({"chance": 25}, "its chance is 25, but exact_match lies between 0 and 1"),
    ],
)
def test_scoring_that_would_fail_fails_before_the_model_is_loaded(
    parts: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Found only afterwards, it would have cost all answers of the run."""

    def never(*_: object, **__: object) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(null.NullAdapter, "__init__", never)
    place = ["--data-root", str(tmp_path), "--out", str(tmp_path / "run"), "--quiet"]
    assert run_eval.main(["run", written(tmp_path, **parts), "--model", "null", *place]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_headline_of_a_category_may_come_late_in_the_data(tmp_path: Path) -> None:
    rows = [row | {"id": i, "kind": "ab"[i >= 40]} for i in range(50) for row in ROWS[:1]]
    path = written(
        tmp_path,
        headline="question_type=b",
        metrics=[{"name": "vqa_accuracy", "columns": {"question_type": "kind"}}],
        columns={"images": [], "fields": {"question": "question", "kind": "kind"}},
    )
    (tmp_path / "题.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "run"
    assert (
        run_eval.main(["run", path, "--model", "null", "--data-root", str(tmp_path), "--out", str(out), "--quiet"]) == 0
    )
    found = json.loads((out / "results.json").read_text(encoding="utf-8"))["tasks"]["题"]
    assert found["headline"] == "question_type=b"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"keep": [{"column": "question", "below": 2}]}, "condition on column 'question', which holds string"),
        ({"keep": [{"column": "question", "matches": "("}]}, "Invalid regular expression"),
        ({"explode": ["question"]}, "column 'question' holds string, expected lists"),
        (
            {"derive": {"x": {"column": "question", "apply": ["letter"]}}},
            "row 0: column 'x': 'q' is no index from 0 to 25",
        ),
        ({"derive": {"x": {"column": "question", "apply": ["unique"]}}}, "'q' is a str, expected a list"),
        ({"derive": {"x": {"column": "id", "values": {"0": "A"}}}}, "row 1: column 'x': 1 is none of the listed"),
    ],
)
def test_a_shape_that_does_not_fit_the_data(data: dict[str, Any], message: str, tmp_path: Path) -> None:
    from evals.data import open_dataset

    fields = {"question": "question"} | ({"x": "x"} if "derive" in data else {})
    columns = {"images": [], "fields": fields}
    spec = find_task(written(tmp_path, data={**TASK["data"], **data}, columns=columns))
    with pytest.raises(DataError, match="题") as found:
        list(open_dataset(spec, tmp_path, tmp_path / "cache"))
    assert message in str(found.value)
