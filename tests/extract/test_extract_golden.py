"""The named rule sets equal the official code on every golden case."""

import json
from pathlib import Path
from typing import Any

import pytest

from evals.extract.registry import get_extractor


def cases(shared: Path, name: str) -> list[dict[str, Any]]:
    content = json.loads((shared / "golden" / f"{name}.json").read_text())
    found: list[dict[str, Any]] = content.get("cases") or content["parse_cases"]
    return found


def lettered(options: list[Any] | dict[str, Any]) -> dict[str, Any]:
    return options if isinstance(options, dict) else {chr(65 + i): option for i, option in enumerate(options)}


def test_mmbench_infers_as_vlmevalkit(shared: Path) -> None:
    read = get_extractor("mmbench")
    for case in cases(shared, "mmbench_infer"):
        expected = case["score"] or None
        assert read(case["prediction"], choices=lettered(case["choices"]))[0] == expected, case


@pytest.mark.parametrize("rule", ["scienceqa", "ai2d", "seedbench"])
def test_simple_rules_for_letters(shared: Path, rule: str) -> None:
    read = get_extractor(rule)
    for case in cases(shared, "simple_mcq"):
        value, _ = read(case["prediction"], choices=case["choices"])
        assert float(value == case["references"][0]) == case["score"][rule], case


def test_mme_reads_the_first_four_characters(shared: Path) -> None:
    read = get_extractor("mme")
    for case in cases(shared, "mme"):
        # a reply with a line break or tab cannot be written into the official results file (score null)
        expected = case["score"] or case["official_function_on_bare_string"]
        assert (read(case["prediction"])[0] or "other") == expected, case


@pytest.mark.parametrize("name", ["mme", "pope"])
def test_vlmevalkit_yes_no(shared: Path, name: str) -> None:
    read = get_extractor("vlmevalkit_yes_no")
    for case in cases(shared, name):
        assert (read(case["prediction"])[0] or "unknown") == case["score_vlmevalkit"].lower(), case


def test_mmmu_multiple_choice(shared: Path) -> None:
    read = get_extractor("mmmu")
    for case in cases(shared, "mmmu"):
        if case["question_type"] == "multiple-choice":
            value, rule = read(case["prediction"], choices=case["options"], question_type=case["question_type"])
            assert value == case["parsed"], case
            assert (rule == "official_random") == case["random_fallback"], case
