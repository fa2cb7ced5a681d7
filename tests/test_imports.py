"""Who imports whom, what the commands import, and how long modules and functions are."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

import run_eval

PROJECT = Path(__file__).resolve().parent.parent
ROOMS = ("evals", "reports", "model_adapters")
HEAVY = {"torch", "transformers", "datasets", "evaluate"}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60


def modules(*rooms: str) -> list[Path]:
    return [path for room in rooms for path in sorted((PROJECT / room).rglob("*.py"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path, *, anywhere: bool = True) -> Iterator[str]:
    """Dotted names that a module imports: anywhere in it, or only when it is imported itself."""
    nodes = ast.walk(tree(path)) if anywhere else at_import(tree(path).body)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def at_import(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Statements that run when the module is imported: not those in functions or under TYPE_CHECKING."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        yield node
        for part in ("body", "orelse", "finalbody"):
            yield from at_import(getattr(node, part, []))


def room(name: str) -> str:
    return name.partition(".")[0]


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


@pytest.mark.parametrize("path", modules("evals"), ids=named)
def test_the_harness_knows_no_report_no_command_line_and_of_models_the_contract_only(path: Path) -> None:
    names = set(imported(path))
    assert not {name for name in names if room(name) in ("reports", "run_eval", "tests", "tools")}
    adapters = {name for name in names if room(name) == "model_adapters"}
    allowed = (
        "model_adapters.contract",
        "model_adapters.registry",
        "model_adapters.load_adapter",
        "model_adapters.probe",
    )
    if path.parent.name != "cli":  # the command line's own room: it may name what it starts, and nobody imports it
        assert {name for name in adapters if not name.startswith(allowed)} <= {"model_adapters"}
        assert not {name for name in names if name.startswith("evals.cli")}


@pytest.mark.parametrize("path", modules("reports"), ids=named)
def test_reports_know_no_model_and_no_data_set(path: Path) -> None:
    names = set(imported(path))
    assert not {name for name in names if room(name) in ("run_eval", "tests", "tools")}
    assert not {n for n in names if room(n) == "model_adapters" and not n.startswith("model_adapters.contract")}
    assert not {name for name in names if name.startswith("evals.data")}


@pytest.mark.parametrize("path", modules("model_adapters"), ids=named)
def test_models_do_not_know_the_harness(path: Path) -> None:
    assert not {name for name in imported(path) if room(name) in ("evals", "reports", "run_eval", "tests", "tools")}


@pytest.mark.parametrize("path", modules("evals", "reports"), ids=named)
def test_heavy_libraries_are_imported_late(path: Path) -> None:
    """torch is imported by models only; datasets and evaluate inside the functions that need them."""
    late = set(map(room, imported(path)))
    assert not {"torch", "transformers"} & late or path.name == "doctor.py"
    if named(path) not in ("evals/metrics/as_evaluate.py", "evals/metrics/from_evaluate.py"):
        assert not HEAVY & set(map(room, imported(path, anywhere=False)))


def test_no_module_needs_itself() -> None:
    """Data flows one way between files, too: no circle of imports, those for types and in functions included."""
    files = {
        named(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in modules(*ROOMS)
    }
    needs = {name: {n for n in imported(path) if n in files and n != name} for name, path in files.items()}
    # A package's front imports what is in it, and what is in it may import its neighbours through the front.
    fronts = {name for name, path in files.items() if path.name == "__init__.py"}
    left = {name: found - fronts for name, found in needs.items() if name not in fronts}
    while free := {name for name, found in left.items() if not found & left.keys()}:
        left = {name: found for name, found in left.items() if name not in free}
    assert set(left) == set()


@pytest.mark.parametrize("path", [*modules(*ROOMS), PROJECT / "run_eval.py"], ids=named)
def test_modules_and_functions_can_be_read_in_a_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES
    functions = [n for n in ast.walk(tree(path)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {f.name: size for f in functions if (size := (f.end_lineno or 0) - f.lineno + 1) > MOST_LINES_OF_A_FUNCTION}
    assert long == {}


WATCH = """
import json, sys
import run_eval
try:
    code = run_eval.main(sys.argv[1:])
except SystemExit as stop:
    code = stop.code or 0
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def modules_after(*arguments: object) -> tuple[int, set[str]]:
    """Exit code of a command, and the top-level names in sys.modules after it, in a process of its own."""
    command = [sys.executable, "-c", WATCH, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, check=True, timeout=300)
    code, names = json.loads(done.stderr.splitlines()[-1])
    return code, set(names)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scored run of the adapter that computes nothing."""
    folder = tmp_path_factory.mktemp("imports")
    (folder / "t.jsonl").write_text(
        "".join(json.dumps({"id": i, "question": "?", "answer": "A"}) + "\n" for i in range(30))
    )
    (folder / "t.yaml").write_text(
        json.dumps(
            {
                **{"schema": 1, "name": "t", "title": "T", "version": 1, "family": "vqa", "description": "-"},
                "data": {"source": "table", "files": ["t.jsonl"]},
                "columns": {"images": [], "fields": {"question": "question"}},
                "metrics": [{"name": "exact_match"}],
            }
        )
    )
    options = ["--model", "null", "--data-root", folder, "--out", folder / "run", "--no-report", "--quiet"]
    code, names = modules_after("run", folder / "t.yaml", *options)
    assert code == 0
    assert not (HEAVY | {"scipy", "matplotlib"}) & names
    return folder / "run"


def test_a_run_over_a_parquet_table_imports_no_pandas(finished: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (finished.parent / "t.jsonl").read_text().splitlines()]
    parquet.write_table(
        pyarrow.Table.from_pylist([row | {"id": str(row["id"])} for row in rows]), tmp_path / "t.parquet"
    )
    task = json.loads((finished.parent / "t.yaml").read_text())
    task["data"]["files"] = ["t.parquet"]
    (tmp_path / "t.yaml").write_text(json.dumps(task))
    options = ["--model", "null", "--data-root", tmp_path, "--out", tmp_path / "run", "--no-report", "--quiet"]
    code, names = modules_after("run", tmp_path / "t.yaml", *options)
    assert code == 0
    assert not (HEAVY | {"pandas", "scipy", "matplotlib"}) & names


@pytest.mark.parametrize(
    "arguments", [("--help",), ("run", "--help"), ("list",), ("list", "metrics"), ("validate", "demo")]
)
def test_commands_about_tasks_import_no_model_library(arguments: tuple[str, ...]) -> None:
    code, names = modules_after(*arguments)
    assert code == 0
    assert not (HEAVY | {"pandas", "matplotlib", "pyarrow", "scipy"}) & names


def test_help_imports_nothing_but_the_standard_library() -> None:
    _, names = modules_after("--help")
    assert not {"yaml", "rich", "numpy", "pydantic", "PIL"} & names


@pytest.mark.parametrize("command", ["score", "report", "compare", "leaderboard"])
def test_commands_about_runs_import_no_model_library(finished: Path, command: str) -> None:
    runs = [finished, finished] if command == "compare" else [finished]
    code, names = modules_after(command, *runs)
    assert code == 0
    assert not (HEAVY | {"pandas", "scipy"}) & names


def test_a_comparison_imports_only_what_reads_runs_and_compares_them(finished: Path) -> None:
    code, names = modules_after("compare", finished, finished)
    assert code == 0
    assert not {"pydantic", "yaml", "PIL", "psutil", "jinja2", "matplotlib"} & names


def test_test_files_have_names_of_their_own() -> None:
    """pytest imports them by their bare names; of two files with one name it would run only the first it meets."""
    names = [path.name for path in (PROJECT / "tests").rglob("test_*.py")]
    assert sorted(name for name in set(names) if names.count(name) > 1) == []


@pytest.mark.parametrize("given", [None, "active"])
def test_compute_threads_that_wait_let_other_programs_work_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if given:
        monkeypatch.setenv("OMP_WAIT_POLICY", given)
    assert run_eval.main(["list", "suites", "--json"]) == 0
    assert os.environ["OMP_WAIT_POLICY"] == (given or "passive")
    monkeypatch.setenv("OMP_WAIT_POLICY", "restored")  # so that the fixture takes away what the program set
