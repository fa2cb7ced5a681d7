"""Cards, listings, prefetch: what a person sees of the catalogue before running anything."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

import run_eval
from evals.cards import card_markdown, catalogue_markdown
from evals.data import prefetch as prefetching
from evals.data.prefetch import download_tsv, missing_parts
from evals.data.sources import Places
from evals.errors import DataError
from evals.spec import find_task, task_names

PROJECT = Path(__file__).resolve().parents[2]


def _json(capsys: pytest.CaptureFixture[str], *command: str) -> Any:
    assert run_eval.main([*command, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_cards_in_the_documentation_are_current() -> None:
    """tools/make_task_cards.py was run after the last change of a task."""
    path = PROJECT / "tools" / "make_task_cards.py"
    spec = importlib.util.spec_from_file_location("make_task_cards", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.main(["--check"]) == 0


def test_a_card_says_what_is_published_and_what_is_not_verified() -> None:
    """Fractions are shown as percent, other scales as they are."""
    assert "| OmniLMM-3B | 37.20 | headline | 2024-02-14 |" in card_markdown(find_task("mmmu_val"))
    assert "| OmniLMM-3B | 1,452.01 | perception |" in card_markdown(find_task("mme"))
    assert "not verified" in card_markdown(find_task("ceval"))
    assert catalogue_markdown([find_task(name) for name in task_names()]).count("\n### ") == len(task_names())


def test_show_has_an_example_where_the_data_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, picture sizes and the prompt as it is sent; with an adapter, as the model gets it."""
    place = ["--data-root", str(tmp_path), "--cache-dir", str(tmp_path)]
    card = _json(capsys, "show", "shapes_presence", *place)
    assert card["missing"] == []
    assert card["data"]["samples"] == 1000
    assert card["data"]["widths"] == [64, 64, 64]
    assert card["data"]["prompt"].endswith("yes or no.")
    asked = _json(capsys, "show", "shapes_presence", "--model", "null", *place)
    assert asked["data"]["prompt"]


def test_show_without_data_says_how_to_get_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is downloaded by looking at a card."""
    assert run_eval.main(["show", "gqa_testdev", "--data-root", str(tmp_path), "--cache-dir", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "testdev_balanced_images), split testdev" in shown
    assert "run_eval.py prefetch gqa_testdev" in shown
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--family", "math"], {"mathvision_test", "puzzlevqa"}),
        (["--language", "zh", "--family", "text"], {"ceval", "cmmlu"}),
        (["--licence", "cc-by-nc"], {"seedbench_image", "cmmlu"}),
    ],
)
def test_list_filters(options: list[str], wanted: set[str], capsys: pytest.CaptureFixture[str]) -> None:
    """By family, licence and language."""
    names = {row["task"] for row in _json(capsys, "list", *options)}
    assert wanted <= names < set(task_names())


def test_prefetch_goes_on_after_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What can be had is had; the exit code says that something is missing."""
    place = ["--data-root", str(tmp_path), "--cache-dir", str(tmp_path)]
    assert run_eval.main(["prefetch", "nlvr", "shapes_presence", *place]) == 2
    out, err = capsys.readouterr()
    assert "shapes_presence: generated, 1,000 rows" in out
    assert "no file matches" in err


def test_a_tsv_is_fetched_once_and_kept_only_if_its_sum_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong file is removed, with both sums in the message; no second attempt is made."""
    calls: list[str] = []

    def copy(url: str, file: Any) -> None:
        calls.append(url)
        file.write(b"another version")

    monkeypatch.setattr(prefetching, "_copy", copy)
    spec, places = find_task("amber"), Places(tmp_path, tmp_path / "cache")
    assert missing_parts(spec, places) == ["AMBER.tsv"]
    with pytest.raises(DataError, match="but the task names 970d94c0410916166e0a76ba75da7934"):
        download_tsv(spec, places)
    assert calls == [spec.data.url]
    assert not list(tmp_path.rglob("*.tsv"))


def test_a_download_that_breaks_off_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing partial is kept as if it were whole."""

    def copy(url: str, file: Any) -> None:
        file.write(b"half")
        raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(prefetching, "_copy", copy)
    with pytest.raises(DataError, match=r"cannot be fetched .*put AMBER\.tsv into"):
        download_tsv(find_task("amber"), Places(tmp_path, tmp_path / "cache"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_places_can_be_set_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """omnilmm-eval.yaml in the working folder says where data lies; a typo in it is an error."""
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "omnilmm-eval.yaml"
    config.write_text(f"data_root: {tmp_path / 'elsewhere'}\ncache_dir: {tmp_path / 'cache'}\n")
    assert str(tmp_path / "elsewhere") in _json(capsys, "show", "nlvr")["missing"][0]
    config.write_text("data_rot: x\n")
    assert run_eval.main(["show", "nlvr"]) == 2
    assert "unknown key 'data_rot'. Known keys: data_root, cache_dir." in capsys.readouterr().err


def test_plan_names_what_is_missing_and_which_licences_restrict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Planning never downloads: what is not there is named, the rest is planned."""
    place = ["--data-root", str(tmp_path), "--cache-dir", str(tmp_path)]
    assert run_eval.main(["plan", "seedbench_image", "shapes_presence", *place]) == 0
    out, err = capsys.readouterr()
    assert "shapes_presence" in out
    assert "seedbench_image: not on this machine: lmms-lab-encoder/SEED-Bench, split test" in err
    assert "seedbench_image has the licence CC-BY-NC-4.0" in err
