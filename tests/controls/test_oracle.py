"""Right answers get full marks, from every scorer, over every task: what the oracle is for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from control_runs import scored_with

from evals.data import Subset, open_dataset
from evals.metrics import get_metric
from evals.spec import find_task, task_names

sys.path.append(str(Path(__file__).parents[1] / "tasks"))
from task_layouts import layouts, open_layout

STORED = sorted(layouts())
DEMO = [task for task in task_names() if find_task(task).data.source == "generated"]
CAPTIONS = ("coco2017_cap_val", "coco_karpathy_test", "flickr30k_karpathy", "nocaps_val", "textcaps_val")
# Tasks whose references leave full marks out of reach, and why.
NO_FULL_MARKS = dict.fromkeys(CAPTIONS, "CIDEr of one caption against several that differ") | {
    "aokvqa_da": "an answer needs three annotators, and rows with fewer are in the layout",
    "mme": "the total adds up fourteen subtasks, of which the layout has one",
}


@pytest.mark.parametrize("task", [task for task in STORED if task not in NO_FULL_MARKS])
def test_right_answers_get_full_marks_under_every_preset(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for preset in ("default", *find_task(task).presets):
        spec, dataset = open_layout(task, preset, tmp_path, monkeypatch)
        scored, rows = scored_with(spec, dataset, "oracle")
        headline = scored.statistics[0]
        assert headline.value == headline.scale[1 if headline.higher_is_better else 0], preset
        assert all(row.extracted is not None for row in rows), preset


@pytest.mark.parametrize("task", sorted(NO_FULL_MARKS))
def test_no_reference_scores_higher_than_the_oracles_where_full_marks_are_out_of_reach(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, dataset = open_layout(task, "default", tmp_path, monkeypatch)
    _, rows = scored_with(spec, dataset, "oracle")
    use = next(u for u in spec.metrics if u.name in ("vqa_accuracy", "rouge_l", "mme"))
    if use.name != "vqa_accuracy":
        assert all(row.scores[use.name] == 1.0 for row in rows)
        return
    metric = get_metric(use.name, **use.options)
    for row in rows:
        others = [metric.score_samples([reference], [row.references])[0] for reference in row.references]
        assert row.scores[use.name] == max(score for score in others if score is not None)


@pytest.mark.parametrize("task", DEMO)
def test_right_answers_to_the_demo_get_full_marks(task: str, tmp_path: Path) -> None:
    for preset in ("default", *find_task(task).presets):
        spec = find_task(task, preset)
        scored, _ = scored_with(spec, open_dataset(spec, tmp_path, tmp_path, Subset(limit=40)), "oracle")
        assert scored.statistics[0].value == 1.0, preset


@pytest.mark.parametrize("task", ["nlvr", "puzzlevqa_200", "mathvision_testmini", "sroie"])
def test_right_answers_to_real_files_get_full_marks(task: str, tmp_path: Path, shared: Path) -> None:
    root = shared / "data" / "images"
    if not root.is_dir():
        pytest.skip("the local data sets are not in ../shared/data/images")
    spec = find_task(task)
    scored, _ = scored_with(spec, open_dataset(spec, root, tmp_path), "oracle")
    assert scored.statistics[0].value == 1.0
