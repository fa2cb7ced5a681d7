"""The run report: what it says, in every state a run can be in."""

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from report_runs import HOSTILE, demo_run, failed, sample, task_result, write_run

from evals.store import Run
from model_adapters.contract import Timing
from reports import run_tables, run_words, time_tables
from reports.page import content_security_policy, escaped_json
from reports.run_report import Written, build_report
from reports.task_facts import TaskFacts, all_facts


class Outline(HTMLParser):
    """The page's tags, its data block, and the text a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.blocks: list[str] = []
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.blocks.append("")

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "script":
            self.blocks[-1] += data
        elif self._open != "style":
            self.text.append(data)

    @property
    def data(self) -> Any:
        return json.loads(next(block for block in self.blocks if block.startswith("{")))

    def says(self, words: str) -> bool:
        return words in re.sub(r"\s+", " ", " ".join(self.text))


def page(run: Run) -> Outline:
    return Outline(build_report(run).html.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return demo_run(tmp_path_factory.mktemp("runs") / "demo")


@pytest.fixture(scope="module")
def written(demo: Run) -> Written:
    return build_report(demo)


@pytest.fixture(scope="module")
def outline(written: Written) -> Outline:
    return Outline(written.html.read_text(encoding="utf-8"))


def test_the_report_is_made_again_byte_for_byte(demo: Run, written: Written, tmp_path: Path) -> None:
    again = build_report(demo, tmp_path)
    for one, two in ((written.html, again.html), (written.markdown, again.markdown), (written.csv, again.csv)):
        assert one.read_bytes() == two.read_bytes()


def test_the_verdict_names_model_samples_and_interval(outline: Outline) -> None:
    assert outline.says("omnilmm-small (final), 5.21 M parameters, bf16 on cpu, was asked 493 samples of 3 tasks")
    assert outline.says("macro average of 71.2 % (95 % interval 69.9 to 72.4)")


def test_nothing_is_loaded_and_nothing_is_inline(outline: Outline) -> None:
    for tag, attributes in outline.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert not any(name.startswith("on") or name in {"style", "src"} for name in attributes), (tag, attributes)
    policy = next(attributes["content"] for tag, attributes in outline.tags if attributes.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy


def test_hostile_answers_reach_the_page_as_data_only(outline: Outline) -> None:
    assert [tag for tag, _ in outline.tags].count("script") == 6
    assert not any(tag == "img" for tag, _ in outline.tags)
    answers = [row[7][0][0] for row in outline.data["samples"]["tasks"][2]["rows"]]
    assert answers[0] == HOSTILE["script"]
    assert answers[list(HOSTILE).index("unbroken")] == ["x" * 4000, 996_000]


@pytest.mark.parametrize("text", HOSTILE.values())
def test_escaped_json_is_the_same_value_without_markup(text: str) -> None:
    escaped = escaped_json({"text": text[:5000]})
    assert not re.search("[<>&\u2028\u2029]", escaped)
    assert json.loads(escaped) == {"text": text[:5000]}


def test_the_policy_names_each_script_by_its_hash() -> None:
    policy = content_security_policy("", ["", "a"])
    assert "style-src 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='" in policy
    assert policy.count("sha256-") == 3


def test_every_figure_has_a_table_with_its_numbers(outline: Outline) -> None:
    tables = {attributes.get("id") for tag, attributes in outline.tags if tag == "table"}
    assert {"scores", "stages", "latency", "throughput", "resources", "lengths"} <= tables
    assert [tag for tag, _ in outline.tags].count("svg") == 8


def test_tables_have_captions_and_scopes(outline: Outline) -> None:
    tags = [tag for tag, _ in outline.tags]
    assert tags.count("caption") == tags.count("table")
    assert all("scope" in attributes for tag, attributes in outline.tags if tag == "th")


def test_published_values_bounds_and_failures_are_in_the_summary(demo: Run) -> None:
    table = run_tables.summary(demo.results, all_facts(demo))
    labels = [column.label for column in table.columns]
    assert labels[-4:] == ["Bounds", "Chance", "Majority", "Published"]
    row = {label: cell.text for label, cell in zip(labels, table.rows[0], strict=True)}
    assert row["Errors"] == "1"
    assert row["Published"] == "87.6 (OmniLMM-3B)"
    assert row["Bounds"] == "81.0 to 90.0"


def test_columns_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    rows = [sample(i, references=(f"answer {i}",)) for i in range(30)]
    run = write_run(tmp_path / "run", {"t": rows}, changes={"t": {"chance": None}})
    assert [column.label for column in run_tables.summary(run.results, all_facts(run)).columns][-1] == "Errors"


def test_csv_holds_every_number_in_full(demo: Run, written: Written) -> None:
    with written.csv.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    stored = demo.results["tasks"]["shapes_presence"]["statistics"]["accuracy"]
    assert float(rows[0]["value"]) == stored["value"]
    assert {row["category"] for row in rows} >= {"", "shape", "language", "length"}
    assert rows[-1]["task"] == "macro average"


def test_markdown_says_the_same_as_the_page(demo: Run, written: Written) -> None:
    text = written.markdown.read_text(encoding="utf-8")
    assert text.startswith("# omnilmm-small (final)\n")
    assert run_words.verdict(demo.results) in text
    assert "| Shapes, yes or no | 84 | 79 to 89 | accuracy |" in text
    assert "run_eval.py run demo" in text


def test_pictures_that_were_not_kept_are_counted(tmp_path: Path) -> None:
    rows = [sample(i, image_hashes=(f"{i:064x}",)) for i in range(3)]
    assert page(write_run(tmp_path / "run", {"t": rows})).says("0 of 3 pictures are in this file")


def test_a_run_of_errors_only_has_no_score(tmp_path: Path) -> None:
    found = page(write_run(tmp_path / "run", {"t": [failed(i) for i in range(4)]}))
    assert found.says("gave no answer that could be scored to any of 4 samples.")
    assert found.says("4 requests failed and have no score")
    assert found.says("no score")


def test_a_run_of_one_sample_warns_of_its_interval(tmp_path: Path) -> None:
    found = page(write_run(tmp_path / "run", {"t": [sample(1)]}))
    assert found.says("1 sample")
    assert found.says("They have no pictures.")
    assert found.says("Fewer than 20 independent units")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("interrupted", "This run was interrupted; 5\u00a0samples still to be asked."),
        ("failed", "This run stopped with an error; 5\u00a0samples still to be asked."),
        ("started", "This run is not finished; 5\u00a0samples still to be asked."),
        ("incomplete", "More requests failed in this run than were allowed; 5\u00a0samples still to be asked."),
    ],
)
def test_an_unfinished_run_says_so(status: str, words: str) -> None:
    results = {"tasks": {"t": task_result([sample(i) for i in range(25)], n=30)}}
    notice = run_words.notices(results, status)[0]
    assert notice.startswith(words)
    assert notice.endswith("The same command continues it.")
    assert not run_words.notices({"tasks": {"t": task_result([sample(i) for i in range(25)])}}, "complete")


def test_a_run_without_tasks_or_rows_has_a_page(tmp_path: Path) -> None:
    assert page(write_run(tmp_path / "none", {})).says("has not been asked anything yet")
    assert page(write_run(tmp_path / "empty", {"t": []})).says("This run has no samples.")


def test_a_hostile_model_name_is_only_text(tmp_path: Path) -> None:
    name = "</title><script>alert(1)</script>"
    found = page(write_run(tmp_path / "run", {"t": [sample(1)]}, model=name))
    assert [tag for tag, _ in found.tags].count("script") == 6
    assert found.says(name)


def test_an_imported_run_of_broken_names_has_a_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", {"t": [sample(1)]})
    run.results["tasks"]["t"]["title"] = "a\ud800b"
    run.manifest["command"] = ""
    found = page(run)
    assert found.says("a\ufffdb")
    assert found.says("No command was recorded")


@pytest.mark.slow
def test_twenty_thousand_samples_stay_under_twenty_megabytes(tmp_path: Path) -> None:
    rows = [sample(i, prompt=f"{sample(i).prompt} {i}", prediction="a few words " * 4) for i in range(20_000)]
    assert build_report(write_run(tmp_path / "run", {"t": rows})).html.stat().st_size < 20_000_000


def test_requests_that_waited_in_one_batch_give_no_interval() -> None:
    rows = [sample(i, timing=Timing(batch_ms=100.0)) for i in range(40)]
    table = time_tables.latency_table({"tasks": {"t": task_result(rows)}}, {"t": TaskFacts((100.0,) * 40)})
    assert table is not None
    assert [cell.text for cell in table.rows[0][3:5]] == ["99.0", "–"]
