"""Figures: the same bytes for the same numbers, nothing inline that the page's policy forbids."""

import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest

from reports import figures, svg

DOTS = [
    figures.Dot("shapes", 91.0, 88.0, 93.0, floors=(50.0,), published=(87.0,)),
    figures.Dot('<b>"style="x:y"', 40.0, 30.0, 50.0),
    figures.Dot("单词", None),
    figures.Dot("Macro average", 70.0, 68.0, 72.0, strong=True),
]


def some_figures(narrow: bool) -> list[bytes]:
    lines = [
        figures.Curve(f"line {i}", (1.0, 10.0, 100.0), (1.0, 50.0, 100.0), (0, 40, 90), (2, 60, 100)) for i in range(3)
    ]
    return [
        figures.export(figures.dot_whisker(DOTS, axis="score, %", narrow=narrow)),
        figures.export(
            figures.stacked_bars(
                [figures.Bar("a", (1.0, None, 2.0, 3.0))], ["p", "q", "r", "s"], axis="ms", narrow=narrow
            )
        ),
        figures.export(figures.curves(lines, x_axis="x", y_axis="y", narrow=narrow)),
    ]


@pytest.fixture(scope="module")
def drawn() -> list[bytes]:
    return some_figures(False)


def test_the_same_numbers_give_the_same_bytes(drawn: list[bytes]) -> None:
    assert some_figures(False) == drawn


def test_narrow_figures_differ_from_wide_ones(drawn: list[bytes]) -> None:
    assert all(one != two for one, two in zip(some_figures(True), drawn, strict=True))


@pytest.mark.parametrize("kind", ["pdf", "png"])
def test_exports_have_no_dates(kind: str) -> None:
    drawn = [figures.export(figures.dot_whisker(DOTS[:2], axis="score, %"), kind) for _ in range(2)]
    assert drawn[0] == drawn[1]


def test_text_stays_text(drawn: list[bytes]) -> None:
    assert "单词".encode() in drawn[0]


@pytest.mark.parametrize("number", range(3))
def test_a_figure_in_the_page_has_no_style_no_script_and_a_title(drawn: list[bytes], number: int) -> None:
    markup = svg.inline(drawn[number], "fig", "A <title>", "What it shows")
    tree = ET.fromstring(markup)
    names = [element.tag.rpartition("}")[2] for element in tree.iter()]
    assert not {"style", "script", "metadata", "image"} & set(names)
    assert not any("style" in element.attrib for element in tree.iter())
    assert tree.attrib["role"] == "img"
    assert tree[0].text == "A <title>"
    assert all(element.attrib["id"].startswith("fig-") for element in tree.iter() if "id" in element.attrib)


def test_colours_follow_the_theme_and_labels_are_left_alone(drawn: list[bytes]) -> None:
    markup = svg.inline(drawn[0], "fig", "t", "d")
    assert "var(--blue)" in markup
    assert figures.BLUE not in markup
    assert '&lt;b&gt;"style="x:y"' in markup


def test_reports_start_without_matplotlib() -> None:
    heavy = "{'matplotlib', 'scipy', 'PIL', 'pandas', 'torch'}"
    program = f"import sys, reports.run_report; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_logarithmic_axis_is_labelled_in_plain_numbers() -> None:
    lines = [figures.Curve("a", (1.0, 30.0, 4000.0), (0.0, 50.0, 100.0))]
    found = figures.export(figures.curves(lines, x_axis="ms", y_axis="%", steps=True)).decode()
    assert "mathdefault" not in found
    assert ">1,000<" in found
