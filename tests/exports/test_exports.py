"""Exports hold the run's numbers, in the shape that the other program reads."""

from __future__ import annotations

import json
import math
import re
import sqlite3
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import run_eval
from evals.exports import TARGETS, Destination, export_run
from evals.exports.lm_eval_samples import samples_files
from evals.exports.numbers import numbers_of, plain
from evals.store import Run, open_run

sys.path.append(str(Path(__file__).parents[1] / "harness"))
from small_tasks import choice_task, job_of, small_task


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Two tasks, answered by guessing; one sample of the first failed."""
    from evals.controls import load_model
    from evals.runner import execute

    folder = tmp_path_factory.mktemp("exported")
    tasks = [small_task(folder, "free", n=12), choice_task(folder, "options", n=12, protocol="vanilla")]
    execute(job_of(tasks, folder / "run", command="run_eval.py run free options"), lambda: load_model("chance"))
    journal = folder / "run" / "responses" / "free.jsonl"
    first, *others = journal.read_text().splitlines()
    broken = json.loads(first) | {"finish": "error", "text": "", "failure": {"type": "X", "message": "y"}}
    journal.write_text("\n".join([json.dumps(broken), *others]) + "\n")
    assert run_eval.main(["score", str(folder / "run")]) == 0
    return open_run(folder / "run")


def values(run: Run, task: str) -> dict[str, float]:
    return {name: about["value"] for name, about in run.results["tasks"][task]["statistics"].items()}


def test_numbers_are_flat_and_none_is_invented(run: Run) -> None:
    numbers = numbers_of(run)
    assert all(isinstance(value, float) and math.isfinite(value) for value in numbers.values())
    assert numbers["free/exact_match"] == values(run, "free")["exact_match"]
    assert numbers["free/n_errors"] == 1
    assert "free/efficiency/latency_ms/p50" not in numbers  # nothing was measured
    assert plain("language=en|x") == "language_en_x"


class TestMlflow:
    @pytest.fixture(autouse=True)
    def needed(self) -> None:
        if not (find_spec("mlflow") and find_spec("sqlalchemy")):
            pytest.skip("mlflow-skinny is not installed (requirements-dev.txt)")

    def test_numbers_settings_and_files_are_in_the_local_store(self, run: Run, tmp_path: Path) -> None:
        import mlflow

        said = export_run(run, "mlflow", Destination(tmp_path, project="mine"))
        client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("mine")
        (stored,) = client.search_runs([experiment.experiment_id])
        assert stored.info.run_id in said
        assert stored.info.status == "FINISHED"
        assert stored.data.metrics == pytest.approx(numbers_of(run))
        assert stored.data.params["model/adapter"] == "chance"
        files = {item.path for item in client.list_artifacts(stored.info.run_id)}
        assert {"manifest.json", "results.json"} <= files
        with sqlite3.connect(tmp_path / "mlflow.db") as store:
            assert store.execute("select count(*) from runs").fetchone() == (1,)

    def test_a_run_that_is_there_is_not_written_twice(self, run: Run, tmp_path: Path) -> None:
        export_run(run, "mlflow", Destination(tmp_path))
        assert "was there already" in export_run(run, "mlflow", Destination(tmp_path))
        with sqlite3.connect(tmp_path / "mlflow.db") as store:
            assert store.execute("select count(*) from runs").fetchone() == (1,)


def test_wandb_writes_an_offline_run(run: Run, tmp_path: Path) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed (an optional extra, 60 MB)")
    said = export_run(run, "wandb", Destination(tmp_path))
    (file,) = tmp_path.rglob("*.wandb")
    assert str(file.parent) in said
    assert b"exact_match" in file.read_bytes()


def test_trackio_writes_its_local_store(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not find_spec("trackio"):
        pytest.skip("trackio is not installed (an optional extra; its pillow<13 excludes the pinned one)")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
    export_run(run, "trackio", Destination(tmp_path, project="mine"))
    (file,) = tmp_path.glob("mine*.db")
    with sqlite3.connect(file) as store:
        (logged,) = store.execute("select metrics from metrics").fetchone()
    assert json.loads(logged)["free/exact_match"] == values(run, "free")["exact_match"]


class TestLmEvalSamples:
    KEYS = frozenset({
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
        "prompt_hash", "target_hash",
    })  # fmt: skip

    def test_lines_have_the_keys_and_results_the_scores(self, run: Run, tmp_path: Path) -> None:
        export_run(run, "lm-eval-samples", Destination(tmp_path))
        files = samples_files(tmp_path)
        assert [file.name.split("_")[1] for file in files] == ["free", "options"]
        lines = [json.loads(line) for line in files[0].read_text().splitlines()]
        assert len(lines) == 12
        assert all(set(line) >= self.KEYS for line in lines)
        assert [line["doc_id"] for line in lines] == list(range(12))
        assert lines[0]["arguments"]["gen_args_0"]["arg_0"].startswith("Question")
        failed = [line for line in lines if line["resps"] == [[]]]
        assert [line["metrics"] for line in failed] == [[]]
        (summary,) = tmp_path.rglob("results_*.json")
        scores = json.loads(summary.read_text())["results"]
        assert scores["options"]["accuracy,none"] == values(run, "options")["accuracy"]

    def test_our_importer_of_that_format_comes_to_the_same_scores(self, run: Run, tmp_path: Path) -> None:
        """The validation: the file is read back by the reader of that suite's files, and scored again."""
        export_run(run, "lm-eval-samples", Destination(tmp_path))
        for task, file in zip(("free", "options"), samples_files(tmp_path), strict=True):
            source = run.path.parent / f"{task}.yaml"
            words = ["import", "lmms-eval", str(source), str(file), "--name", "x", "--out", str(tmp_path / task)]
            assert run_eval.main(words) == 0
            assert values(open_run(tmp_path / task), task) == pytest.approx(values(run, task))


class TestEveryEvalEver:
    """What the schema's version 0.3.0 asks, as facts; tools/check_every_eval_ever.py asks the schema itself."""

    @pytest.fixture(scope="class")
    @classmethod
    def written(cls, run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        folder = tmp_path_factory.mktemp("every")
        path = Path(export_run(run, "every-eval-ever", Destination(folder, organization="us")))
        assert export_run(run, "every-eval-ever", Destination(folder, organization="us")) == str(path)
        document = json.loads(path.read_text())
        details = document["detailed_evaluation_results"]
        assert re.fullmatch(r"data/free\+options/unknown/chance/[0-9a-f-]{36}_samples\.jsonl", details["file_path"])
        lines = (folder / details["file_path"]).read_text().splitlines()
        assert details["total_rows"] == len(lines)
        return document, [json.loads(line) for line in lines]

    def test_the_document_has_what_is_required(self, run: Run, written: tuple[Any, Any]) -> None:
        document, _ = written
        required = {
            "schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library",
            "evaluation_results",
        }  # fmt: skip
        assert set(document) - required == {"evaluation_timestamp", "detailed_evaluation_results"}
        assert required <= set(document)
        assert document["source_metadata"]["source_organization_name"] == "us"
        assert document["source_metadata"]["evaluator_relationship"] in {"first_party", "third_party", "other"}
        assert {"name", "id"} <= set(document["model_info"])
        assert {"deployment_type", "model_availability"} <= set(document["model_info"]["additional_details"])
        assert document["retrieved_timestamp"].isdecimal()

    def test_each_result_has_a_score_a_scale_and_its_uncertainty(self, run: Run, written: tuple[Any, Any]) -> None:
        document, _ = written
        found = {result["evaluation_result_id"]: result for result in document["evaluation_results"]}
        known = {f"{task}/{name}": v for task in run.tasks for name, v in values(run, task).items() if v is not None}
        assert {name: result["score_details"]["score"] for name, result in found.items()} == known
        for result in found.values():
            metric = result["metric_config"]
            assert isinstance(metric["lower_is_better"], bool)
            assert (metric.get("score_type") == "continuous") == ({"min_score", "max_score"} <= set(metric))
            assert result["source_data"]["source_type"] in {"hf_dataset", "other", "url"}
            assert all(isinstance(text, str) for text in result["score_details"]["details"].values())
            assert set(result["generation_config"]["generation_args"]) <= {
                "temperature", "top_p", "top_k", "max_tokens", "execution_command", "prompt_template",
            }  # fmt: skip

    def test_lines_point_at_their_result_and_leave_failed_requests_out(
        self, run: Run, written: tuple[Any, Any]
    ) -> None:
        document, lines = written
        results = {result["evaluation_result_id"] for result in document["evaluation_results"]}
        assert len(lines) == 23
        allowed = {
            "schema_version", "evaluation_id", "model_id", "evaluation_name", "evaluation_result_id", "sample_id",
            "sample_hash", "interaction_type", "input", "output", "answer_attribution", "evaluation", "token_usage",
            "performance", "metadata",
        }  # fmt: skip
        for line in lines:
            assert set(line) <= allowed
            assert line["evaluation_id"] == document["evaluation_id"]
            assert line["evaluation_result_id"] in results
            assert line["evaluation"]["is_correct"] == (line["evaluation"]["score"] == 1.0)
            assert all(isinstance(text, str) for text in line["metadata"].values())


class TestCommand:
    def test_the_place_is_said_and_lies_in_the_run_by_default(
        self, run: Run, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run_eval.main(["export", str(run.path), "--to", "every-eval-ever"]) == 0
        said = Path(capsys.readouterr().out.strip())
        assert said.is_relative_to(run.path / "exports" / "every-eval-ever" / "data")
        assert said.exists()

    def test_an_unknown_target_is_named_with_the_nearest(self, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_eval.main(["export", str(run.path), "--to", "mlfow"]) == 2
        assert "Did you mean 'mlflow'" in capsys.readouterr().err

    @pytest.mark.parametrize("target", ["mlflow", "wandb", "trackio"])
    def test_a_missing_package_is_named_with_the_line_that_installs_it(
        self,
        target: str,
        run: Run,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setitem(sys.modules, target, None)
        monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))
        assert run_eval.main(["export", str(run.path), "--to", target, "--out", str(tmp_path)]) == 2
        assert f"pip install 'omnilmm-eval[{target}]'" in capsys.readouterr().err

    def test_every_target_is_documented(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
        assert all(f"`{target}`" in page for target in TARGETS)
