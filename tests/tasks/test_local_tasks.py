"""Tasks over files on disk, run for real from the data root to scores with an adapter that does not compute."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import run_eval
from evals.data import open_dataset
from evals.spec import find_task

# Task → samples, requests, distinct pictures.
LOCAL = {
    "nlvr": (989, 989, 989),
    "puzzlevqa_200": (200, 200, 200),
    "mathvision_testmini": (304, 304, 304),
    "sroie": (240, 240, 60),
}


@pytest.fixture(scope="session")
def data_root(shared: Path) -> Path:
    folder = shared / "data" / "images"
    if not folder.is_dir():
        pytest.skip("the local data sets are not in ../shared/data/images")
    return folder


@pytest.mark.parametrize("task", LOCAL)
def test_plan_counts_what_is_on_disk(
    task: str, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`plan` opens the real files."""
    place = ["--data-root", str(data_root), "--cache-dir", str(tmp_path)]
    assert run_eval.main(["plan", task, *place, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    samples, requests, images = LOCAL[task]
    assert (row["samples"], row["requests"]) == (samples, requests)
    assert row["images"] <= images


@pytest.mark.parametrize("task", LOCAL)
def test_a_whole_run_is_scored(task: str, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`run` with the null adapter: every sample has a score, and the sample set has a fingerprint."""
    command = ["run", task, "--model", "null", "--data-root", str(data_root), "--cache-dir", str(tmp_path)]
    assert run_eval.main([*command, "--out", str(tmp_path / "run"), "--no-report", "--quiet", "--json"]) == 0
    results: dict[str, Any] = json.loads(capsys.readouterr().out)["tasks"][task]
    assert results["n"] == LOCAL[task][0]
    assert results["coverage"] == 1.0
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert len(manifest["identity"]["tasks"][task]["data"]["samples"]) == 64


def test_puzzle_answers_are_among_the_options(data_root: Path, tmp_path: Path) -> None:
    """Numbers and texts are mixed in the files; every answer is found as text."""
    spec = find_task("puzzlevqa_200")
    dataset = open_dataset(spec, data_root, tmp_path)
    assert all(sample.references[0] in sample.fields["choices"] for sample in dataset)
    assert len({sample.fields["puzzle"] for sample in dataset}) == 20


def test_receipts_share_their_cluster(data_root: Path, tmp_path: Path) -> None:
    """Four questions on one receipt are not four independent samples."""
    dataset = open_dataset(find_task("sroie"), data_root, tmp_path)
    assert len({sample.cluster for sample in dataset}) == 60


def test_statements_about_one_scene_share_their_cluster(data_root: Path, tmp_path: Path) -> None:
    """NLVR asks several statements about permutations of one scene."""
    dataset = open_dataset(find_task("nlvr"), data_root, tmp_path)
    assert {sample.references for sample in dataset} == {("yes",), ("no",)}
    assert len({sample.cluster for sample in dataset}) < len(dataset)
