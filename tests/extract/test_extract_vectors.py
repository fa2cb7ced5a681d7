"""The vectors that ship with the extractors come out as written; every extractor answers any text."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import SpecError
from evals.extract.registry import EXTRACTORS, extractor_version, get_extractor
from evals.extract.selfcheck import VECTORS, check_extractor_file, check_extractors
from evals.identity import scorer_identity
from evals.spec.build import build_stored
from evals.spec.records import TaskSpec

PIECES = st.sampled_from(
    [
        *[
            "A",
            "(B)",
            "c.",
            "**D**",
            "yes",
            "No",
            "not",
            "the answer is",
            "1,000",
            "-2.5",
            "#### 7",
            "\\boxed{3}",
            "oxed{",
        ],
        *[
            "答案是",
            "否",
            "对",
            "。",
            "\n",
            " ",
            ":",
            "}",
            "{",
            "$",
            "=",
            "cat",
            "dog",
            "Sorry",
            "\x00",
            "\u202e",
            "\ud83d",
        ],
    ]
)


def test_every_vector_comes_out_as_written() -> None:
    results = check_extractors()
    assert {result.extractor: result.differences for result in results if not result.ok} == {}


def test_every_extractor_has_vectors() -> None:
    assert {json.loads(path.read_text(encoding="utf-8"))["extractor"] for path in VECTORS.glob("*.json")} == set(
        EXTRACTORS
    )


def test_a_changed_rule_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "pope.json"
    cases = [{"text": "NO", "value": "no", "rule": "negation_word"}]
    path.write_text(json.dumps({"extractor": "pope", "cases": cases}), encoding="utf-8")
    result = check_extractor_file(path)
    assert not result.ok
    assert result.differences == ("case 0 ('NO'): expected ('no', 'negation_word'), found ('yes', 'default_yes')",)


def test_the_version_of_a_rule_that_changed_is_part_of_the_result() -> None:
    """A newer way to read replies gives other numbers: such results are not compared unseen."""
    parts = {"schema": 1, "name": "t", "title": "t", "version": 1, "family": "vqa", "description": "", "metrics": []}
    specs = {n: build_stored(TaskSpec, parts | {"data": {"source": "table"}, "extractor": n}) for n in EXTRACTORS}
    versions = {name: scorer_identity(spec).get("extractor_version", 1) for name, spec in specs.items()}
    assert versions == {name: extractor_version(name) for name in EXTRACTORS}
    assert versions["pope"] == 1 < versions["robust"]


def test_an_unknown_extractor_is_named_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"Unknown extractor 'robst'\. Did you mean 'robust'\?"):
        get_extractor("robst")


@pytest.mark.parametrize("name", sorted(EXTRACTORS))
@settings(max_examples=60, deadline=None)
@given(
    text=st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=12).map(" ".join)),
    choices=st.one_of(
        st.none(), st.just({"A": "cat", "B": "dog"}), st.lists(st.text(max_size=6), min_size=2, max_size=5)
    ),
    kind=st.sampled_from(["multiple-choice", "open", "multi_choice", "free_form", "选择", "填空", "判断"]),
    answer_type=st.sampled_from(["text", "integer", "float", "list"]),
)
def test_any_text_gives_a_value_or_none_and_a_rule(
    name: str, text: str, choices: object, kind: str, answer_type: str
) -> None:
    extractor = get_extractor(name)
    context = {"choices": choices, "question_type": kind, "answer_type": answer_type}
    value, rule = extractor(text, **context)
    assert value is None or isinstance(value, str)
    assert rule
    assert extractor(text, **context) == (value, rule), "the same reply is read the same way twice"
