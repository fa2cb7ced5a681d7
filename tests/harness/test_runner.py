"""A run from start to end: what it writes, how it continues, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from scripted_adapters import Scripted, results_without_times
from small_tasks import choice_task, job_of, small_task

from evals.data import Subset
from evals.errors import DataError, StoreError
from evals.runner import execute
from evals.store import open_run


def test_a_run_leaves_all_its_files_and_says_complete(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    outcome = execute(task.job(tmp_path / "run"), Scripted)
    assert outcome.exit_code == 0
    assert open_run(tmp_path / "run").manifest["status"] == "complete"
    files = {str(path.relative_to(tmp_path / "run")) for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert {f for f in files if "thumbnails" not in f} == {
        "manifest.json",
        "results.json",
        "questions/colours.jsonl.gz",
        "responses/colours.jsonl",
        "samples/colours.parquet",
    }
    assert sum("thumbnails" in f for f in files) == 4
    result = outcome.results["tasks"]["colours"]
    assert (result["n"], result["n_scored"], result["coverage"], result["metric"]) == (12, 12, 1.0, "exact_match")


def test_the_adapter_is_closed_even_when_the_run_is_refused(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    execute(task.job(tmp_path / "run"), Scripted)
    other = Scripted(name="another")
    with pytest.raises(StoreError):
        execute(task.job(tmp_path / "run"), lambda: other)
    assert other.closed


def test_a_text_task_has_no_thumbnails(tmp_path: Path) -> None:
    task = small_task(tmp_path, images=0)
    execute(task.job(tmp_path / "run"), Scripted)
    assert not (tmp_path / "run" / "thumbnails").exists()


def test_thumbnails_are_left_out_on_request(tmp_path: Path) -> None:
    execute(small_task(tmp_path).job(tmp_path / "run", thumbnails=False), Scripted)
    assert not (tmp_path / "run" / "thumbnails").exists()


def test_running_again_asks_nothing_and_changes_no_number(tmp_path: Path) -> None:
    job = small_task(tmp_path).job(tmp_path / "run")
    first = execute(job, Scripted)
    before = (tmp_path / "run" / "results.json").read_bytes()
    again = Scripted()
    second = execute(job, lambda: again)
    assert again.asked == []
    assert first.results["tasks"]["colours"]["efficiency"] == second.results["tasks"]["colours"]["efficiency"]
    after = (tmp_path / "run" / "results.json").read_bytes()
    assert json.loads(before)["tasks"] == json.loads(after)["tasks"]


@pytest.mark.parametrize(("first_batch", "second_batch"), [(1, 5), (5, 1), (64, 3)])
def test_an_interrupted_run_continues_at_any_batch_size_with_equal_results(
    tmp_path: Path, first_batch: int, second_batch: int
) -> None:
    """results.json differs in nothing but what was measured, and no finished sample is asked again."""
    task = small_task(tmp_path, n=40)
    execute(task.job(tmp_path / "a" / "run"), Scripted)

    def stop_at_20(request: object) -> None:
        if len(broken.asked) == 20:
            raise KeyboardInterrupt

    broken = Scripted(first_batch, hook=stop_at_20)
    with pytest.raises(KeyboardInterrupt):
        execute(task.job(tmp_path / "b" / "run"), lambda: broken)
    run = open_run(tmp_path / "b" / "run")
    assert run.manifest["status"] == "interrupted"
    kept = {json.loads(line)["id"] for line in run.responses_path("colours").read_text().splitlines()}
    assert len(kept) == 19
    rest = Scripted(second_batch)
    assert execute(task.job(tmp_path / "b" / "run"), lambda: rest).exit_code == 0
    assert len(rest.asked) == 40 - len(kept)
    assert not kept & set(rest.asked)
    assert results_without_times(tmp_path / "a/run/results.json") == results_without_times(
        tmp_path / "b/run/results.json"
    )


def test_questions_on_one_picture_are_asked_together(tmp_path: Path) -> None:
    adapter = Scripted()
    execute(small_task(tmp_path, n=12, images=4).job(tmp_path / "run"), lambda: adapter)
    pictures = [int(request_id[1:]) % 4 for request_id in adapter.asked]
    assert pictures == sorted(pictures)


def test_a_second_run_of_another_model_is_refused_with_what_differs(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    execute(task.job(tmp_path / "run"), Scripted)
    with pytest.raises(StoreError, match=r"holds another run.*\n  model\.model: 'scripted' → 'other'\n.*--out.*--new"):
        execute(task.job(tmp_path / "run"), lambda: Scripted(name="other"))


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"prompt": {"template": "{question} One word."}}, r"tasks\.colours\.prompt"),
        ({"generation": {"max_new_tokens": 3}}, r"tasks\.colours\.generation\.max_new_tokens: 64 → 3"),
        ({"version": 2}, r"tasks\.colours\.task\.version: 1 → 2"),
        ({"extractor": "robust"}, r"tasks\.colours\.scorer\.extractor"),
        ({"metrics": [{"name": "anls"}]}, r"tasks\.colours\.scorer\.metrics"),
        ({"image": "none"}, r"tasks\.colours\.task\.image"),
    ],
)
def test_a_changed_task_is_refused_with_what_differs(tmp_path: Path, changes: dict[str, object], where: str) -> None:
    execute(small_task(tmp_path).job(tmp_path / "run"), Scripted)
    with pytest.raises(StoreError, match=where):
        execute(small_task(tmp_path, **changes).job(tmp_path / "run"), Scripted)  # type: ignore[arg-type]


def test_changed_data_is_refused(tmp_path: Path) -> None:
    execute(small_task(tmp_path, n=12).job(tmp_path / "run"), Scripted)
    with pytest.raises(StoreError, match=r"tasks\.colours\.data\.samples"):
        execute(small_task(tmp_path, n=13).job(tmp_path / "run"), Scripted)


def test_another_subset_is_refused(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    execute(task.job(tmp_path / "run"), Scripted)
    with pytest.raises(StoreError, match=r"data\.subset: None → 'first 3 of 12'"):
        execute(task.job(tmp_path / "run", subset=Subset(limit=3)), Scripted)


def test_new_starts_beside(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    paths = [execute(task.job(tmp_path / "run", new=True), Scripted).run.path for _ in range(3)]
    assert [path.name for path in paths] == ["run", "run-2", "run-3"]


def test_without_a_folder_the_name_follows_from_the_identity(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    one, same, other = (
        execute(task.job(None, runs_dir=tmp_path / "runs"), lambda name=name: Scripted(name=name))
        for name in ("my model/7b", "my model/7b", "b")
    )
    assert one.run.path == same.run.path
    assert one.run.path != other.run.path
    assert one.run.path.name.startswith("colours-my-model-7b-")


def test_long_chinese_names_make_a_folder_that_file_systems_take(tmp_path: Path) -> None:
    """A file's name may have 255 bytes, and a Chinese letter has three."""
    tasks = [small_task(tmp_path, f"{number}号" + "很长的任务名字" * 5, n=2) for number in range(3)]
    job = job_of(tasks, None, runs_dir=tmp_path / "runs")
    run = execute(job, lambda: Scripted(name="模型" * 60)).run
    assert len(run.path.name.encode()) < 200
    assert run.manifest["status"] == "complete"
    assert run.tasks == [task.name for task in tasks]


def test_a_folder_with_other_things_in_it_is_refused_and_left_alone(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(StoreError, match="is not empty and holds no run"):
        execute(task.job(tmp_path / "mine"), Scripted)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_run_of_another_schema_is_refused(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    execute(task.job(tmp_path / "run"), Scripted)
    manifest = tmp_path / "run" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"schema_version": 1', '"schema_version": 99'))
    with pytest.raises(StoreError, match="schema version 99"):
        execute(task.job(tmp_path / "run"), Scripted)


def test_data_is_checked_before_the_model_is_loaded(tmp_path: Path) -> None:
    task = small_task(tmp_path)
    (tmp_path / "colours.jsonl").write_text("")

    def load() -> Scripted:
        raise AssertionError("loaded")

    with pytest.raises(DataError, match="empty"):
        execute(task.job(tmp_path / "run"), load)


def test_two_tasks_have_a_macro_mean_and_one_has_none(tmp_path: Path) -> None:
    tasks = [small_task(tmp_path, "one", n=20), choice_task(tmp_path, "two", n=8)]
    both = execute(job_of(tasks, tmp_path / "both"), Scripted).results
    values = [both["tasks"][name]["statistics"][both["tasks"][name]["headline"]]["value"] for name in ("one", "two")]
    assert both["macro"]["value"] == pytest.approx(sum(values) / 2)
    assert execute(tasks[0].job(tmp_path / "single"), Scripted).results["macro"] is None


def test_circular_asks_each_rotation_once(tmp_path: Path) -> None:
    adapter = Scripted()
    result = execute(choice_task(tmp_path, n=6).job(tmp_path / "run"), lambda: adapter).results["tasks"]["options"]
    assert sorted(adapter.asked) == [f"q{i:05d}#{k}" for i in range(6) for k in range(4)]
    assert (result["n"], result["n_requests"]) == (6, 24)


def test_an_open_scale_is_null_in_results(tmp_path: Path) -> None:
    result = execute(small_task(tmp_path, metrics=[{"name": "wer"}]).job(tmp_path / "run"), Scripted).results
    assert result["tasks"]["colours"]["statistics"]["wer"]["scale"] == [0.0, None]
    text = (tmp_path / "run" / "results.json").read_text()
    assert "Infinity" not in text
    assert "NaN" not in text


def test_the_metric_that_owns_the_headline_is_named(tmp_path: Path) -> None:
    metrics = [{"name": "exact_match"}, {"name": "wer"}]
    task = small_task(tmp_path, metrics=metrics, headline="wer")
    result = execute(task.job(tmp_path / "run"), Scripted).results["tasks"]["colours"]
    assert (result["metric"], result["headline"]) == ("wer", "wer")
    assert next(iter(result["statistics"])) == "wer"
