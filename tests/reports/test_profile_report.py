"""A profile as a page and as Markdown: its main numbers in words, every table, every reason for a missing number."""

import re
from pathlib import Path

import pytest
from recorded_profiles import NAME, a_profile

from evals.perf.stored import Profile
from evals.perf.timeline import Flag
from reports.profile_figures import plots
from reports.profile_report import build_profile_report
from reports.profile_tables import sentence, tables, unknown
from reports.roofline import Reached, Roof, roofline

WARNING = Flag("warning", "busy_host", "other processes took 40 % of this machine's processor time")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return a_profile(tmp_path_factory.mktemp("profiles") / "p", flags=(WARNING,))


def test_the_page_is_one_inert_file_made_again_byte_for_byte(made: Profile) -> None:
    page = build_profile_report(made)
    first = page.read_bytes()
    assert build_profile_report(made).read_bytes() == first
    assert page.name == "profile.html"
    assert NAME.encode() not in first
    assert b"<i>note</i>" not in first
    assert not re.findall(rb'(?:src|href)="(?!#|data:)', first)


def test_page_and_markdown_have_the_flags_the_figures_and_what_was_not_measured(made: Profile) -> None:
    page = build_profile_report(made)
    html, text = page.read_text(encoding="utf-8"), (page.parent / "profile.md").read_text(encoding="utf-8")
    for said in ("Warning: other processes took 40 %", "ocr b64 was not measured: out of memory at batch 64: CUDA"):
        assert said in html
    assert "- **warning**: other processes took 40 %" in text
    named = re.findall(r"\]\((\w+\.svg)\)", text)
    assert named == ["latency_batch.svg", "throughput_latency.svg", "stages.svg", "roofline.svg"]
    assert all((page.parent / name).is_file() for name in named)
    assert all(f'id="fig-{plot.name}-wide' in html for plot in plots(made.document))


def test_the_main_numbers_are_a_sentence(made: Profile) -> None:
    said = sentence(made.document)
    # medians of two processes: 65 ms (40 to the first token, two gaps of 10, 5 to the text), and 2 % more
    assert said.startswith("At batch 1 short-answer takes 65.6 ms from request to answer, 40.4 ms to its first token;")
    assert "at most 8.00 samples/s go through" in said


def test_an_invalid_profile_says_so_first(tmp_path: Path) -> None:
    invalid = a_profile(tmp_path / "p", flags=(Flag("invalid", "throttled", "clocks were held down"),))
    assert sentence(invalid.document).startswith("This is no valid measurement: clocks were held down.")
    assert 'class="verdict bad"' in build_profile_report(invalid).read_text(encoding="utf-8")


def test_tables_without_a_number_are_left_out_and_the_reasons_stand_once(tmp_path: Path, made: Profile) -> None:
    on_cpu = a_profile(tmp_path / "p", on_cpu=True).document
    names = ["once", "waiting", "rates", "stages", "memory", "card", "limits", "tail", "asked"]
    assert [table.name for table in tables(made.document)] == names
    assert [table.name for table in tables(on_cpu)] == [name for name in names if name != "card"]
    reasons = [reason for _, reason in unknown(on_cpu)]
    assert len(reasons) == len(set(reasons))
    assert "the model runs on cpu" in reasons
    titles = next(titles for titles, reason in unknown(on_cpu) if reason == "the model runs on cpu")
    assert "SM clock" in titles
    assert "energy per request" in titles


def test_marks_of_the_roofline_are_plain_numbers() -> None:
    """Formulas are not set in this style: a mark such as 6·10⁻² would show its source text."""
    points = [Reached("a", "prefill", 20.0, 0.06), Reached("b", "decode", 0.5, 0.002)]
    for roof in (None, Roof("card", 989.0, 3350.0)):
        figure = roofline(points, roof)
        figure.canvas.draw()
        [axes] = figure.axes
        labels = [label.get_text() for axis in (axes.xaxis, axes.yaxis) for label in axis.get_ticklabels(which="both")]
        assert {"0.01", "10"} <= set(labels)
        assert [label for label in labels if "$" in label or "\\" in label] == []
