"""Every task of the catalogue, over rows in its data set's real column layout, under every preset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from task_layouts import layouts, open_layout

from evals.metrics.registry import get_metric
from evals.prompts import questions_of, request_of
from evals.spec import find_task, task_names
from evals.spec.records import TaskSpec
from model_adapters.contract import ImageRef

EXPECTED: dict[str, Any] = json.loads((Path(__file__).parent / "expected.json").read_text(encoding="utf-8"))
STORED = [task for task in task_names() if find_task(task).data.source != "generated"]


def test_every_stored_task_has_a_layout_and_an_expectation() -> None:
    """A new task comes with two rows in its data set's layout."""
    assert sorted(layouts()) == sorted(EXPECTED) == sorted(STORED)


def test_the_catalogue_has_the_promised_breadth() -> None:
    """At least sixty tasks, in all families, each with a description, a licence and a home."""
    specs = [find_task(task) for task in task_names()]
    assert len(specs) >= 60
    assert {s.family for s in specs} == {"vqa", "ocr", "captioning", "multiple_choice", "yes_no", "math", "text"}
    assert [s.name for s in specs if not (s.description and s.licence and s.home)] == []


@pytest.mark.parametrize("task", STORED)
def test_default_prompt_is_exactly_this(task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids, pictures, the prompt of the first question, and the references of every row."""
    spec, dataset = open_layout(task, "default", tmp_path, monkeypatch)
    found = []
    for sample in dataset:
        questions = questions_of(spec, sample)
        row = {
            "id": sample.sample_id,
            "pictures": len(sample.images),
            "prompt": questions[0].prompt,
            "references": list(questions[0].references),
        }
        found.append(row | ({"questions": len(questions)} if len(questions) > 1 else {}))
    assert found == EXPECTED[task]


@pytest.mark.parametrize("task", STORED)
def test_every_preset_makes_requests_that_its_metrics_can_score(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prompts are not empty, pictures are there (and open) unless the preset hides them, metrics find their fields."""
    for preset in ("default", *find_task(task).presets):
        spec, dataset = open_layout(task, preset, tmp_path, monkeypatch)
        asked = [(sample, question) for sample in dataset for question in questions_of(spec, sample)]
        for sample, question in asked:
            request = request_of(spec, sample.images, question)
            assert request.turns[-1].text.strip()
            assert (spec.image == "none" or not spec.columns.images) == (not request.images)
        if preset == "default":
            assert all(image.open().size >= (12, 8) for sample in dataset for image in sample.images)
        _check_metric_columns(spec, set(asked[0][1].fields))


def _check_metric_columns(spec: TaskSpec, fields: set[str]) -> None:
    known = {"extracted", "group", "choice_scores", "choice_tokens", "image"}
    for use in spec.metrics:
        metric = get_metric(use.name, **use.options)
        for column in metric.columns:
            assert use.columns.get(column, column) in fields | known, f"{use.name} needs {column}"


def test_shared_pictures_are_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TSV row that names another row shows that row's picture."""
    _, dataset = open_layout("amber", "default", tmp_path, monkeypatch)
    assert dataset[0].images[0].sha256 == dataset[1].images[0].sha256
    assert dataset[0].cluster == dataset[1].cluster


def test_joined_pictures_follow_their_key_not_their_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GQA's second table is in another order, and has pictures that no question asks about."""
    _, dataset = open_layout("gqa_testdev", "default", tmp_path, monkeypatch)
    colours = [sample.images[0].open().convert("RGB").getpixel((0, 0)) for sample in dataset]
    assert colours == [(255, 0, 0), (0, 0, 255)]


@pytest.mark.parametrize(
    ("preset", "samples", "shown"), [("default", 3, [1, 1, 1]), ("all-images", 3, [1, 2, 1]), ("blind", 3, [0, 0, 0])]
)
def test_image_policy_of_mmmu(
    preset: str, samples: int, shown: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first picture, all of them, or none; and one sample has several."""
    spec, dataset = open_layout("mmmu_val", preset, tmp_path, monkeypatch)
    requests = [request_of(spec, sample.images, questions_of(spec, sample)[0]) for sample in dataset]
    assert [len(request.images) for request in requests] == shown
    assert len(dataset) == samples
    assert dataset.several_pictures == (1 if preset == "default" else 0)


def test_skipped_samples_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protocol of early 2024 did not ask questions with several pictures."""
    _, dataset = open_layout("mmmu_val", "vlmevalkit-2024-02", tmp_path, monkeypatch)
    assert [sample.sample_id for sample in dataset] == ["validation_Accounting_1", "validation_Math_3"]
    assert (dataset.several_pictures, dataset.total) == (1, 2)


def test_pictures_stand_at_their_marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under all-images the text is cut at the first mark of each picture; marks that come again stay text."""
    spec, dataset = open_layout("mmmu_val", "all-images", tmp_path, monkeypatch)
    sample = dataset[1]
    content = request_of(spec, sample.images, questions_of(spec, sample)[0]).turns[0].content
    shape = ["image" if isinstance(part, ImageRef) else part for part in content]
    assert shape[:4] == ["Compare ", "image", " and ", "image"]
    assert shape[4].startswith(". Which came first? <image 1>\n(A) <image 1>")


def test_grid_shows_all_pictures_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three pictures of 12 x 8 fill a 2 x 2 grid; its identity does not depend on how it is drawn."""
    _, dataset = open_layout("blink", "default", tmp_path, monkeypatch)
    single, three = dataset[0].images, dataset[1].images
    assert (single[0].open().size, three[0].open().size) == ((12, 8), (24, 16))
    assert dataset[1].images[0].sha256 == three[0].sha256
    assert dataset.several_pictures == 1


def test_worked_examples_are_of_the_same_subject_and_never_the_question_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """BBH draws its examples from its own rows."""
    spec, dataset = open_layout("bbh", "default", tmp_path, monkeypatch)
    for sample in dataset:
        prompt = questions_of(spec, sample)[0].prompt
        assert prompt.count(sample.fields["question"]) == 1
        assert ("Sort" in prompt) == (sample.fields["kind"] == "word_sorting")
