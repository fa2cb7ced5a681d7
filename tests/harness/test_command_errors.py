"""What a user gets for a mistake: one paragraph with the remedy, the right exit code, and no traceback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest
from scripted_adapters import Scripted
from small_tasks import SmallTask, small_task

import run_eval
from evals.cli.printing import print_table
from evals.extract import EXTRACTORS
from evals.metrics.exact import ExactMatch
from evals.runner import execute
from model_adapters.registry import ADAPTERS


@pytest.fixture
def task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SmallTask:
    monkeypatch.setitem(ADAPTERS, "scripted", "scripted_adapters:Scripted")
    return small_task(tmp_path)


class Command:
    """Runs one command in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        try:
            code = run_eval.main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = int(stop.code or 0)
        out, err = self._capsys.readouterr()
        return code, out, err


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(capsys)


def run_arguments(task: SmallTask, *more: object) -> list[object]:
    place = ["--data-root", task.folder, "--out", task.folder / "run", "--no-report", "--quiet"]
    return ["run", task.yaml, "--model", "scripted", *place, *more]


def one_paragraph(err: str, *parts: str) -> bool:
    """The error is one paragraph without a traceback, and names all parts."""
    start = err.index("error: ")
    return "Traceback" not in err and "\n\n" not in err[start:].strip() and all(part in err for part in parts)


def test_a_run_that_is_fine_ends_with_zero(task: SmallTask, command: Command) -> None:
    code, out, _ = command(*run_arguments(task))
    assert code == 0
    assert "colours" in out


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["run", "easyvqq", "--model", "null"], ["Unknown task 'easyvqq'", "Did you mean 'easyvqa'?"]),
        (["run", "demoo", "--model", "null"], ["Unknown task 'demoo'", "Did you mean 'demo'?"]),
        (["plan", "wrods_ocr"], ["Did you mean 'words_ocr'?"]),
        (["run", "nowhere/task.yaml"], ["Cannot read", "task.yaml", "No such file"]),
        (["score", "no-such-run"], ["no-such-run/manifest.json does not exist", "not a run directory"]),
        (["report", "no-such-run"], ["manifest.json does not exist"]),
        (["compare", "no-such-run", "nor-this"], ["manifest.json does not exist"]),
        (["validate", "nowhere/task.yaml"], []),
    ],
)
def test_names_that_lead_nowhere(command: Command, arguments: list[str], parts: list[str]) -> None:
    code, out, err = command(*arguments)
    assert code == 2
    assert one_paragraph(err, *parts) if arguments[0] != "validate" else "Cannot read" in out


def test_an_unknown_adapter_is_named_with_the_nearest(task: SmallTask, command: Command) -> None:
    code, _, err = command(*run_arguments(task, "--model", "omnilm"))
    assert code == 2
    assert one_paragraph(err, "Unknown adapter 'omnilm'. Did you mean 'omnilmm'?")


@pytest.mark.parametrize(
    ("option", "parts"),
    [
        (["-o", "batchsize=3"], ["has no option 'batchsize'", "Did you mean 'batch_size'?"]),
        (["-o", "batch_size"], ["expected KEY=VALUE"]),
        (["-o", "name=[1"], ["the value is not plain"]),
        (["--preset", "oficial"], ["has no preset 'oficial'"]),
        (["--limit", "0"], ["limit of 0 samples", "at least 1"]),
        (["--ids", "/no/such/file"], ["--ids /no/such/file: No such file"]),
        (["--max-error-rate", "5"], ["5 is no share; give a number from 0 to 1"]),
        (["--max-error-rate", "-0.1"], ["-0.1 is no share"]),
        (["--ids", "/dev/null"], ["--ids /dev/null: the file is empty"]),
        (["--stratify", "kind"], ["--stratify kind", "give --sample N"]),
        (["--sample", "4", "--stratify", "king"], ["no field 'king' to stratify by"]),
    ],
)
def test_options_that_are_wrong(task: SmallTask, command: Command, option: list[str], parts: list[str]) -> None:
    code, _, err = command(*run_arguments(task, *option))
    assert code == 2
    assert one_paragraph(err, *parts)


@pytest.mark.parametrize("text", ["q00003\nq00001\n", "\ufeffq00003\r\n\r\nq00001\r\n", "q00001\nq00003\nq00001"])
def test_a_file_of_ids_may_come_from_any_editor(task: SmallTask, command: Command, text: str) -> None:
    ids = task.folder / "ids.txt"
    ids.write_bytes(text.encode())
    assert command(*run_arguments(task, "--ids", ids))[0] == 0
    answers = (task.folder / "run" / "responses" / "colours.jsonl").read_text().splitlines()
    assert sorted(json.loads(line)["sample"] for line in answers) == ["q00001", "q00003"]


@pytest.mark.parametrize("content", [None, "[]", "null", '"text"', "{}"])
def test_what_is_no_run_directory_is_said_in_one_paragraph(
    tmp_path: Path, command: Command, content: str | None
) -> None:
    """A file where a folder is expected, or a manifest that is no mapping."""
    place = tmp_path / "run"
    if content is None:
        place.write_text("a file")
    else:
        place.mkdir()
        (place / "manifest.json").write_text(content)
    for arguments in (
        ["score"],
        ["report"],
        ["compare", place],
        ["leaderboard"],
        ["gate", "--baseline", place, "--candidate"],
    ):
        code, _, err = command(*arguments, place)
        assert code == 2, arguments
        assert one_paragraph(err, str(place))


def test_only_a_regression_ends_with_one(task: SmallTask, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash would end with 1 in Python, which a CI job reads as a verdict."""
    for error, parts in (
        (KeyError("x"), ["no verdict", "please report"]),
        (PermissionError(13, "denied", "f"), ["f: denied"]),
    ):
        monkeypatch.setitem(run_eval.COMMANDS, "score", Mock(side_effect=error))
        code, _, err = command("score", task.folder)
        assert code == 2
        assert all(part in err for part in parts)
        assert ("Traceback" in err) == isinstance(error, KeyError)


def test_an_unknown_flag_is_a_usage_error(task: SmallTask, command: Command) -> None:
    code, _, err = command(*run_arguments(task, "--limt", "3"))
    assert code == 2
    assert "unrecognized arguments: --limt" in err


@pytest.mark.parametrize(
    ("wrong", "right", "parts"),
    [
        ('"metrcs"', '"metrics"', ["colours.yaml:", "unknown key 'metrcs'", "Did you mean 'metrics'?"]),
        (
            '"exact_mach"',
            '"exact_match"',
            ["colours.yaml:", "unknown metric 'exact_mach'. Did you mean 'exact_match'?"],
        ),
        ('"version": "two"', '"version": 1', ["colours.yaml:5: version:", "'two'"]),
        ('"name": "colors"', '"name": "colours"', ["colours.yaml:", "the task's name is 'colors'"]),
        ("[[", "[", ["colours.yaml:", "not valid YAML"]),
    ],
)
def test_typos_in_a_task_are_found_with_file_and_line(
    task: SmallTask, command: Command, wrong: str, right: str, parts: list[str]
) -> None:
    task.yaml.write_text(task.yaml.read_text().replace(right, wrong, 1))
    code, _, err = command(*run_arguments(task))
    assert code == 2
    assert one_paragraph(err, *parts)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        ("", ["empty"]),
        ('{"id": "a"}\n', ["has no column"]),
        ('{"id": \n', ["colours.jsonl:1", "not valid JSON"]),
        (None, ["no file matches", "--data-root"]),
    ],
)
def test_data_that_is_missing_or_wrong(task: SmallTask, command: Command, data: str | None, parts: list[str]) -> None:
    path = task.folder / "colours.jsonl"
    path.unlink() if data is None else path.write_text(data)
    code, _, err = command(*run_arguments(task))
    assert code == 2
    assert one_paragraph(err, *parts)


def test_the_folder_of_another_run_is_refused_with_what_differs(task: SmallTask, command: Command) -> None:
    assert command(*run_arguments(task))[0] == 0
    code, _, err = command(*run_arguments(task, "-o", "name=another"))
    assert code == 2
    assert one_paragraph(err, "holds another run", "model.model: 'scripted' → 'another'", "--out", "--new")


def test_a_missing_gpu_is_said_plainly(task: SmallTask, command: Command) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    code, _, err = command(*run_arguments(task, "--model", "omnilmm", "--device", "cuda"))
    assert code == 2
    assert one_paragraph(err, "'cuda'", "cpu")


def test_too_many_failed_samples_end_with_five_after_results_are_written(
    task: SmallTask, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Scripted, request: object) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Scripted, "answer", fail)
    code, out, err = command(*run_arguments(task))
    assert code == 5
    assert "Traceback" not in err
    assert "colours" in out
    assert (task.folder / "run" / "results.json").exists()


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(
    task: SmallTask, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Scripted, request: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Scripted, "answer", interrupt)
    code, _, err = command(*run_arguments(task))
    assert code == 130
    assert "the same command continues" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("encoding", ["gbk", "ascii"])
def test_any_terminal_shows_the_results(task: SmallTask, encoding: str) -> None:
    """A terminal in GBK has no minus sign and no dash; JSON stays JSON there."""
    execute(task.job(task.folder / "运 行"), Scripted)
    shown = []
    for more in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, run_eval.__file__, "compare", "运 行", "运 行", *more],
            cwd=task.folder,
            env=os.environ | {"PYTHONIOENCODING": encoding},
            capture_output=True,
            check=True,
        )
        shown.append(done.stdout.decode(encoding))
    assert "colours" in shown[0]
    assert json.loads(shown[1])["comparisons"][0]["a"] == "运 行"


def test_doctor_checks_every_scorer_of_this_installation(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = command("doctor", "--scorers", "--json")
    checks = {(check["kind"], check["name"]): check for check in json.loads(out)}
    assert code == 0
    assert {name for kind, name in checks if kind == "extractor"} == set(EXTRACTORS)
    assert all(check["checked"] and not check["differences"] for check in checks.values())
    monkeypatch.setitem(EXTRACTORS, "pope", "evals.extract.mme:mme")
    code, out, _ = command("doctor", "--scorers")
    assert code == 2
    assert "expected ('no', 'negation_word')" in out


def test_debug_shows_the_traceback(task: SmallTask) -> None:
    with pytest.raises(run_eval_error()):
        run_eval.main(["--debug", "run", "no_such_task"])


def run_eval_error() -> type[Exception]:
    from evals.errors import EvalError

    return EvalError


@pytest.mark.parametrize(
    ("name", "damage", "parts"),
    [
        ("responses/colours.jsonl", "{\n", ["colours.jsonl:1 is not a journal line"]),
        ("questions/colours.jsonl.gz", "x", ["colours.jsonl.gz is damaged"]),
        ("manifest.json", "{", ["manifest.json is not valid JSON"]),
        ("manifest.json", "{}", ["schema version None"]),
    ],
)
def test_a_damaged_run_is_not_scored(
    task: SmallTask, command: Command, name: str, damage: str, parts: list[str]
) -> None:
    execute(task.job(task.folder / "run"), Scripted)
    (task.folder / "run" / name).write_text(damage)
    before = (task.folder / "run" / "results.json").read_bytes()
    code, _, err = command("score", task.folder / "run")
    assert code == 2
    assert one_paragraph(err, *parts)
    assert (task.folder / "run" / "results.json").read_bytes() == before


def test_a_score_that_was_edited_by_hand_is_not_compared(task: SmallTask, command: Command) -> None:
    for name in ("run", "other"):
        execute(task.job(task.folder / name), Scripted)
    path = task.folder / "run" / "results.json"
    results = json.loads(path.read_text())
    results["tasks"]["colours"]["statistics"]["exact_match"]["value"] += 0.25
    path.write_text(json.dumps(results))
    for arguments in (["compare", task.folder / "other"], ["leaderboard", task.folder / "other"]):
        code, _, err = command(*arguments, task.folder / "run")
        assert code == 2
        assert one_paragraph(err, "its results say that exact_match", "its samples give", "run_eval.py score")
    assert command("score", task.folder / "run")[0] == 0
    assert command("compare", task.folder / "other", task.folder / "run")[0] == 0


def test_results_without_a_part_are_refused_with_the_remedy(task: SmallTask, command: Command) -> None:
    execute(task.job(task.folder / "run"), Scripted)
    path = task.folder / "run" / "results.json"
    results = json.loads(path.read_text())
    del results["tasks"]["colours"]["statistics"]["exact_match"]["scale"]
    path.write_text(json.dumps(results))
    code, _, err = command("compare", task.folder / "run", task.folder / "run")
    assert code == 2
    assert one_paragraph(err, "task 'colours'", "scale", "run_eval.py score")


@pytest.mark.parametrize("keep_bytes", [0, 200, -8])
def test_cut_off_samples_are_named_with_the_command_that_makes_them_again(
    task: SmallTask, command: Command, keep_bytes: int
) -> None:
    execute(task.job(task.folder / "run"), Scripted)
    run, path = task.folder / "run", task.folder / "run" / "samples" / "colours.parquet"
    path.write_bytes(path.read_bytes()[:keep_bytes])
    export = ["export", "--to", "lm-eval-samples", "--out", task.folder / "out"]
    for arguments in (["report"], ["compare", run], ["leaderboard"], export):
        code, _, err = command(*arguments, run)
        assert code == 2, arguments
        assert one_paragraph(err, "colours.parquet cannot be read", f"run_eval.py score {run}")
    assert command("score", run)[0] == 0
    assert command("report", run)[0] == 0


def test_scoring_again_notes_which_scorer_gave_the_numbers(
    task: SmallTask, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run scored by a newer metric is not compared with one that an older version scored, until both are."""
    for name in ("old", "new"):
        execute(task.job(task.folder / name), Scripted)
    runs = [task.folder / name for name in ("old", "new")]
    monkeypatch.setattr(ExactMatch, "version", "2")
    assert command("score", runs[1])[0] == 0
    code, _, err = command("compare", *runs)
    assert code == 4
    assert one_paragraph(err, "scorer differs", "'1' → '2'")
    assert command("score", runs[0])[0] == 0
    assert command("compare", *runs)[0] == 0


def test_scoring_again_writes_the_same_bytes(task: SmallTask, command: Command) -> None:
    execute(task.job(task.folder / "run"), Scripted)
    before = {p: p.read_bytes() for p in (task.folder / "run").rglob("*") if p.is_file()}
    assert command("score", task.folder / "run")[0] == 0
    assert {p: p.read_bytes() for p in before} == before


def test_a_quick_validation_reads_keys_and_leaves_out_what_they_mean(task: SmallTask, command: Command) -> None:
    assert command("validate", "--quick")[0] == 0
    task.yaml.write_text(task.yaml.read_text().replace("exact_match", "exact_matsch"))
    assert command("validate", str(task.yaml), "--quick")[0] == 0
    assert command("validate", str(task.yaml))[0] == 2
    task.yaml.write_text(task.yaml.read_text().replace('"title"', '"titel"'))
    code, out, _ = command("validate", str(task.yaml), "--quick")
    assert code == 2
    assert "Did you mean 'title'?" in out


def test_a_table_that_no_terminal_shows_is_lines_of_any_length(capsys: pytest.CaptureFixture[str]) -> None:
    print_table("sizes", ["name", "n"], [["x" * 300, "1"], ["\u4e2d\u6587", "1,000"]], (1,))
    title, head, *rows = capsys.readouterr().out.splitlines()
    assert (title, head.split()) == ("sizes", ["name", "n"])
    assert rows[0] == "x" * 300 + "      1"
    assert rows[1] == "\u4e2d\u6587" + " " * 296 + "  1,000"  # two columns a character
