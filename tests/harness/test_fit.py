"""What a model cannot do is said before the first question."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from scripted_adapters import Scripted

import run_eval
from evals.errors import AdapterError
from evals.fit import check_fit
from evals.spec import find_task
from model_adapters.contract import Capabilities
from model_adapters.registry import ADAPTERS


def plan(protocol: str = "generate", requests: int = 4, pictured: int = 4) -> Any:
    spec = replace(find_task("easyvqa"), protocol=protocol)  # type: ignore[arg-type]
    return SimpleNamespace(spec=spec, requests=requests, pictured=pictured)


@pytest.mark.parametrize(
    ("asked", "capabilities", "parts"),
    [
        ({}, {"max_images": 0, "text_only": True}, ["4 of its 4 questions", "takes text only", "image: none"]),
        ({"pictured": 0}, {"max_images": 1}, ["shows no picture", "text_only=true"]),
        ({"protocol": "likelihood"}, {}, ["likelihoods", "vanilla, circular"]),
    ],
)
def test_a_task_that_a_model_cannot_do_is_refused(
    asked: dict[str, Any], capabilities: dict[str, Any], parts: list[str]
) -> None:
    with pytest.raises(AdapterError) as refused:
        check_fit(plan(**asked), Capabilities(**capabilities), "some model")
    assert [part for part in ["easyvqa", *parts] if part not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("asked", "capabilities"),
    [
        ({}, {"max_images": 1}),
        ({"pictured": 3}, {"max_images": 1}),  # some questions have no picture: they fail alone
        ({"pictured": 0}, {"max_images": 0, "text_only": True}),
        ({"protocol": "likelihood"}, {"choice_scoring": True}),
        ({"requests": 0, "pictured": 0}, {"max_images": 1}),
    ],
)
def test_a_task_that_a_model_can_do_is_let_through(asked: dict[str, Any], capabilities: dict[str, Any]) -> None:
    check_fit(plan(**asked), Capabilities(**capabilities), "some model")


def test_a_text_model_is_refused_on_a_picture_task_before_a_run_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scripted, "capabilities", Capabilities(max_images=0, text_only=True))
    monkeypatch.setitem(ADAPTERS, "scripted", "scripted_adapters:Scripted")
    out = ["--out", str(tmp_path / "run"), "--cache-dir", str(tmp_path / "cache"), "--quiet", "--limit", "3"]
    assert run_eval.main(["run", "words_ocr", "--model", "scripted", *out]) == 2
    assert "takes text only" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
