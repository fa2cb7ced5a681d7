"""One table, four ways."""

from reports.tables import (
    Cell,
    Column,
    align_decimals,
    count_cell,
    number_cell,
    table,
    text_cell,
    to_csv,
    to_latex,
    to_markdown,
)

COLUMNS = (Column("Task", numeric=False), Column("Score, %"))


def test_decimal_points_line_up() -> None:
    cells = [Cell("93.4"), Cell("78"), Cell("5.25"), Cell("–")]
    assert [cell.pad for cell in align_decimals(cells)] == ["0", ".00", "", ""]


def test_unknown_numbers_have_no_sort_key_and_no_title() -> None:
    cell = number_cell(None, "–")
    assert cell.sort is None
    assert cell.title == ""
    assert number_cell(0.0, "0.0").sort == 0.0


def test_zero_counts_of_failures_are_muted_and_others_are_not() -> None:
    assert count_cell(0, quiet_zero=True).tone == "muted"
    assert count_cell(3, quiet_zero=True).tone == ""


def test_markdown_has_caption_alignment_rows_footer_and_note() -> None:
    found = to_markdown(
        table(
            "t",
            "A | caption",
            COLUMNS,
            [[text_cell("a|b"), Cell("1")]],
            note="Note.",
            footer=[[Cell("all"), Cell("2")]],
        )
    )
    assert found.splitlines() == [
        *(
            "**A \\| caption**",
            "",
            "| Task | Score, % |",
            "| --- | ---: |",
            "| a\\|b | 1 |",
            "| all | 2 |",
            "",
            "Note.",
        ),
    ]


def test_latex_escapes_what_latex_reads() -> None:
    found = to_latex(table("t", "50 % of a_b", COLUMNS, [[text_cell("a_b & {c}"), Cell("\u22121.2")]]))
    assert r"\textless{}b\textgreater{} \textbar{}" in to_latex(table("t", "<b> |", COLUMNS, []))
    assert r"\caption{50 \% of a\_b}" in found
    assert r"a\_b \& \{c\} & $-$1.2 \\" in found
    assert r"\begin{tabular}{lr}" in found


def test_csv_keeps_numbers_in_full_and_defuses_formulas() -> None:
    assert to_csv(["a", "b"], [[0.1 + 0.2, None], ["=1+1", "-x"]]) == "a,b\n0.30000000000000004,\n'=1+1,'-x\n"
