"""The documentation keeps its word: every command parses as it stands there, every link leads somewhere."""

import re
import shlex
from pathlib import Path

import pytest

from evals.cli.arguments import parser
from evals.spec import suite_names, task_names

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


def command_lines(page: Path) -> list[str]:
    """Lines of indented blocks and fenced code that call the program, continuation lines joined."""
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
    lines = re.findall(
        r"^(?:    |\$ |)((?:python |\.venv/bin/python )?(?:run_eval\.py|omnilmm-eval) .*)$", text, re.MULTILINE
    )
    return [line for line in lines if "COMMAND" not in line and "`" not in line and "…" not in line]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_parses(page: Path) -> None:
    for line in command_lines(page):
        words = shlex.split(line, comments=True)
        start = next(i for i, word in enumerate(words) if word.endswith(("run_eval.py", "omnilmm-eval"))) + 1
        if "--help" in words:
            continue
        options = parser().parse_args(words[start:])
        assert options.command


def test_readme_begins_with_the_two_commands_and_the_makefile_has_them() -> None:
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    commands = [line.split("#")[0].strip() for line in lines if line.startswith("    ")][:2]
    assert commands == ["make demo", "make test"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("demo", "test", "check"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)


def test_the_makefiles_commands_parse_and_the_demo_ends_with_a_profile_of_the_processor() -> None:
    lines = re.findall(r"run_eval\.py (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"))
    commands = [parser().parse_args(shlex.split(line)) for line in lines]
    assert [options.command for options in commands] == ["run", "run", "compare", "profile"]
    assert (commands[-1].quick, commands[-1].device) == (True, "cpu")


def test_every_page_is_reachable_from_the_readme_and_every_link_leads_somewhere() -> None:
    reached: set[Path] = set()
    queue = [ROOT / "README.md"]
    while queue:
        page = queue.pop()
        reached.add(page)
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            found = (page.parent / target).resolve()
            assert found.exists(), f"{page.name} links to {target}, which is not there"
            if found.suffix == ".md" and found not in reached:
                queue.append(found)
    assert {page for page in PAGES if page not in reached} == set()


def test_the_task_count_in_the_readme_is_true() -> None:
    said = re.search(r"(\d+) reviewable YAML files", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert said is not None
    assert int(said[1]) == len(task_names())
    assert {"demo", "demo_full"} <= set(suite_names())
