"""Task files: what is wrong is said with file and line, all of it at once, and the nearest known name."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import SpecError
from evals.prompts.template import Template
from evals.spec import find_suite, find_task, suite_names, task_names
from evals.spec.yaml_source import load

TASK = """schema: 1
name: mine
title: Mine
version: 1
family: vqa
description: d
data: {source: table, files: [a.jsonl]}
columns:
  fields: {question: question}
metrics:
  - name: exact_match
"""


def _problem(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SpecError) as found:
        find_task(str(path))
    return str(found.value).replace(str(path), "mine.yaml")


def test_the_catalogue_is_valid_and_loads_quickly() -> None:
    """Every task under every preset, every suite; about a millisecond a task."""
    start = time.process_time()
    for name in task_names():
        for preset in ("default", *find_task(name).presets):
            find_task(name, preset)
    for name in suite_names():
        assert find_suite(name).tasks
    assert time.process_time() - start < 30  # a hang, not a measurement


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Mine", "titel: Mine", "mine.yaml:3: unknown key 'titel'. Did you mean 'title'?"),
        ("title: Mine\n", "", "the key 'title' is missing"),
        ("family: vqa", "family: vq", "mine.yaml:5: family: input should be"),
        ("name: mine", "name: other", "mine.yaml:2: the task's name is 'other' but the file's is 'mine'"),
        ("exact_match", "exact_mach", "mine.yaml:11: unknown metric 'exact_mach'. Did you mean 'exact_match'?"),
        ("files: [a.jsonl]", "tsv: A", "mine.yaml:7: data from source 'table' needs 'files'"),
        ("{source: table, ", "{source: hub, ", "data from source 'hub' needs 'id'"),
        ("files: [a.jsonl]", "files: [a], md5: abc", "mine.yaml:7: 'abc' is no full hash; expected 32"),
        ("files: [a.jsonl]", "files: [a], revision: 9c0699c", "'9c0699c' is no full hash; expected 40"),
        ("files: [a.jsonl]", "files: [a], keep: [{column: x}]", "needs one of equals, matches, below and empty"),
        (
            "files: [a.jsonl]",
            "files: [a], derive: {x: {column: y, apply: [stripp]}}",
            "unknown transform 'stripp'. Did you mean 'strip'?",
        ),
        ("files: [a.jsonl]", "files: [a], derive: {x: {apply: [strip]}}", "needs either column or template"),
        ("{question: question}", "{answer: answer}", "'answer' is a name that the program uses itself"),
        ("metrics:", "categories: [kind]\nmetrics:", "mine.yaml:10: 'kind' is no field"),
        (
            "metrics:",
            "prompt: {template: '{qestion}'}\nmetrics:",
            "the template names 'qestion', which is no field. Did",
        ),
        ("metrics:", "prompt: {template: '{?question}x'}\nmetrics:", "opens {?question} and never closes it"),
        ("metrics:", "protocol: circular\nmetrics:", "mine.yaml:10: protocol 'circular' needs columns.choices"),
        (
            "metrics:",
            "published: [{model: m, value: 1, source: s, preset: offical}]\npresets: {official: {}}\nmetrics:",
            "'offical' is no preset. Did you mean 'official'?",
        ),
        ("title: Mine", "title: Mine\ntitle: Again", "mine.yaml:4: key 'title' is given twice"),
        ("title: Mine", "title: !!python/name:os.system x", "is not allowed; tasks are plain data"),
        ("title: Mine", "title: [", "this is not valid YAML"),
    ],
)
def test_a_mistake_is_said_with_its_line(old: str, new: str, message: str, tmp_path: Path) -> None:
    """File, line, what was found, and the nearest name."""
    assert old in TASK
    assert message in _problem(tmp_path, TASK.replace(old, new, 1))


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    """A person mends a file in one go."""
    text = TASK.replace("title", "titel").replace("version: 1", "version: one")
    assert len(_problem(tmp_path, text).splitlines()) == 3


def test_an_unknown_task_names_the_nearest() -> None:
    """Also for presets and suites."""
    with pytest.raises(SpecError, match=r"Unknown task 'mmmu_vall'\. Did you mean 'mmmu_val'"):
        find_task("mmmu_vall")
    with pytest.raises(SpecError, match=r"no preset 'offical'\. Did you mean 'official'"):
        find_task("mmmu_val", "offical")
    with pytest.raises(SpecError, match=r"Unknown suite 'chinse'\. Did you mean 'chinese'"):
        find_suite("chinse")


def test_includes_are_merged_key_by_key_and_later_ones_win(tmp_path: Path) -> None:
    """Mappings are merged, lists replaced, and each place keeps the line where it was written."""
    (tmp_path / "a.yaml").write_text("x: {one: 1, two: 1}\nl: [1, 2]\n")
    (tmp_path / "b.yaml").write_text("x: {two: 2}\n")
    (tmp_path / "c.yaml").write_text("include: [a.yaml, b.yaml]\nx: {three: 3}\nl: [3]\n")
    document = load(tmp_path / "c.yaml")
    assert document.value == {"x": {"one": 1, "two": 2, "three": 3}, "l": [3]}
    assert document.where(("x", "two")) == f"{tmp_path / 'b.yaml'}:1"
    assert document.where(("x", "three")) == f"{tmp_path / 'c.yaml'}:2"


def test_an_include_cycle_is_named(tmp_path: Path) -> None:
    """The chain of files is in the message."""
    (tmp_path / "a.yaml").write_text("include: b.yaml\n")
    (tmp_path / "b.yaml").write_text("include: a.yaml\n")
    with pytest.raises(SpecError, match=r"include cycle .*b\.yaml"):
        load(tmp_path / "a.yaml")


def test_a_missing_include_names_who_wants_it(tmp_path: Path) -> None:
    """Both files are in the message."""
    (tmp_path / "a.yaml").write_text("include: gone.yaml\n")
    with pytest.raises(SpecError, match=r"gone\.yaml \(included by .*a\.yaml\)"):
        load(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("template", "fields", "text"),
    [
        ("{a}{{b}}", {"a": "{c}"}, "{c}{b}"),
        ("{?a}A{a}{/a}{!a}none{/a}", {"a": "1"}, "A1"),
        ("{?a}A{a}{/a}{!a}none{/a}", {"a": ""}, "none"),
        ("{!a}none{/a}", {}, "none"),
        ("{?a}{?b}both{/b}{/a}", {"a": 1, "b": 0}, "both"),
    ],
)
def test_templates(template: str, fields: dict[str, object], text: str) -> None:
    """Values are put in as they are; parts hang on whether a field is filled."""
    assert Template(template).render(fields) == text


@settings(max_examples=100, deadline=None)
@given(st.text())
def test_a_value_is_never_read_as_a_template(value: str) -> None:
    """Whatever a data set says stays text."""
    assert Template("<{q}>").render({"q": value}) == f"<{value}>"
