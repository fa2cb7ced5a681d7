"""Each format becomes the same rows, whatever its container; what does not fit is refused with its place."""

import json
from pathlib import Path

import openpyxl
import pytest

from evals.errors import DataError, SpecError
from evals.imports.formats import FORMATS, reader
from evals.imports.rows import ImportedRow, read_rows


def write_lines(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_sheet(path: Path, rows: list[dict[str, object]]) -> Path:
    book = openpyxl.Workbook()
    book.active.append(list(rows[0]))
    for row in rows:
        book.active.append(list(row.values()))
    book.save(path)
    return path


def read(form: str, path: Path, *references: Path, **mapping: str) -> list[ImportedRow]:
    return reader(form)(path, references, mapping)


class TestContainers:
    ROWS = ({"id": "1", "text": "nan"}, {"id": "2", "text": '猫, "quoted"\nsecond line'})

    def test_all_containers_give_the_same_cells(self, tmp_path: Path) -> None:
        import csv

        files = [write_lines(tmp_path / "a.jsonl", list(self.ROWS)), write_sheet(tmp_path / "a.xlsx", list(self.ROWS))]
        files.append(tmp_path / "a.json")
        files[-1].write_text(json.dumps(self.ROWS), encoding="utf-8")
        for suffix, delimiter in ((".csv", ","), (".tsv", "\t")):
            files.append(tmp_path / f"a{suffix}")
            with files[-1].open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, ["id", "text"], delimiter=delimiter)
                writer.writeheader()
                writer.writerows(self.ROWS)
        for file in files:
            assert read_rows(file) == list(self.ROWS), file.suffix

    def test_an_object_of_objects_becomes_rows_with_its_keys_as_ids(self, tmp_path: Path) -> None:
        path = tmp_path / "a.json"
        path.write_text('{"7": {"answer": "x"}}')
        assert read_rows(path) == [{"id": "7", "answer": "x"}]

    @pytest.mark.parametrize(
        ("name", "content", "told"),
        [
            ("a.jsonl", '{"id": 1}\n{broken\n', "a.jsonl:2"),
            ("a.jsonl", "[1, 2]\n", "row 1"),
            ("a.csv", "id,text\n1\n", "row 2"),
            ("a.parquet", "", ".parquet"),
        ],
    )
    def test_malformed_files_are_refused_with_the_line(
        self, tmp_path: Path, name: str, content: str, told: str
    ) -> None:
        (tmp_path / name).write_text(content)
        with pytest.raises(DataError, match=told):
            read_rows(tmp_path / name)

    def test_a_missing_file_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"nothing\.jsonl does not exist"):
            read_rows(tmp_path / "nothing.jsonl")


class TestPlain:
    def test_columns_are_mapped_and_the_rest_become_fields(self, tmp_path: Path) -> None:
        path = write_lines(
            tmp_path / "p.jsonl", [{"qid": 7, "out": "B", "gold": "B", "kind": "x", "A": "cat", "B": "dog"}]
        )
        (row,) = read("plain", path, id="qid", prediction="out", references="gold", category="kind")
        assert (row.sample_id, row.prediction, row.references) == ("7", "B", ("B",))
        assert row.fields["category"] == "x"
        assert row.fields["choices"] == {"A": "cat", "B": "dog"}

    def test_references_may_lie_in_another_file(self, tmp_path: Path) -> None:
        answers = write_lines(tmp_path / "p.jsonl", [{"id": "1", "prediction": "x"}])
        truth = write_lines(tmp_path / "t.jsonl", [{"id": "1", "references": ["x", "y"]}])
        assert read("plain", answers, truth)[0].references == ("x", "y")

    def test_an_empty_cell_is_no_answer_but_the_text_none_is_one(self, tmp_path: Path) -> None:
        rows = [{"id": 1, "prediction": None, "references": "a"}, {"id": 2, "prediction": "None", "references": "a"}]
        assert [row.prediction for row in read("plain", write_sheet(tmp_path / "p.xlsx", rows))] == [None, "None"]

    def test_duplicate_ids_are_refused(self, tmp_path: Path) -> None:
        row = {"id": "1", "prediction": "x", "references": "a"}
        with pytest.raises(DataError, match=r"row 2: the id '1' comes twice"):
            read("plain", write_lines(tmp_path / "p.jsonl", [row, row]))

    def test_a_missing_column_lists_the_columns_there_are(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no column 'prediction'; it has id, references"):
            read("plain", write_lines(tmp_path / "p.jsonl", [{"id": "1", "references": "a"}]))

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no predictions"):
            read("plain", write_lines(tmp_path / "p.jsonl", []))


class TestVlmEvalKit:
    def test_rotations_share_their_question(self, tmp_path: Path) -> None:
        rows = [
            {"index": i, "question": "q", "answer": "A", "A": "cat", "B": "nan", "prediction": "A"}
            for i in (5, 1000005)
        ]
        first, second = read("vlmevalkit", write_sheet(tmp_path / "p.xlsx", rows))
        assert first.sample_id == second.sample_id == "5"
        assert (first.request_id, second.request_id) == ("5#0", "5#1")
        assert first.fields["choices"] == {"A": "cat"}

    def test_only_the_list_variant_reads_answers_as_lists(self, tmp_path: Path) -> None:
        rows = [{"index": 1, "question": "q", "answer": "['a', 'b']", "prediction": "a"}]
        sheet = write_sheet(tmp_path / "p.xlsx", rows)
        assert read("vlmevalkit-lists", sheet)[0].references == ("a", "b")
        assert read("vlmevalkit", sheet)[0].references == ("['a', 'b']",)

    def test_an_answer_that_is_code_is_refused(self, tmp_path: Path) -> None:
        rows = [{"index": 1, "question": "q", "answer": "[__import__('os')]", "prediction": "a"}]
        with pytest.raises(DataError, match="row 1"):
            read("vlmevalkit-lists", write_sheet(tmp_path / "p.xlsx", rows))

    def test_hallusion_bench_keys_are_read_from_the_index(self, tmp_path: Path) -> None:
        rows = [{"index": "VD_illusion_1_0_3_2", "question": "q", "answer": "Yes", "prediction": "Yes"}]
        fields = read("vlmevalkit", write_sheet(tmp_path / "p.xlsx", rows))[0].fields
        assert (fields["set_id"], fields["figure_id"], fields["question_id"]) == ("0", "3", "2")

    def test_a_row_of_several_categories_counts_in_each(self, tmp_path: Path) -> None:
        rows = [{"index": 1, "question": "q", "answer": "Yes", "category": "random,popular", "prediction": "Yes"}]
        read_back = read("vlmevalkit", write_sheet(tmp_path / "p.xlsx", rows))
        assert [row.fields["category"] for row in read_back] == ["random", "popular"]


class TestLmmsEval:
    def test_the_raw_reply_is_taken_not_the_filtered_one(self, tmp_path: Path) -> None:
        row = {"doc_id": 3, "target": "Yes", "resps": [["Yes."]], "filtered_resps": ["yes"], "doc": {"category": "c"}}
        (read_back,) = read("lmms-eval", write_lines(tmp_path / "s.jsonl", [row]))
        assert read_back.prediction == "Yes."
        assert read_back.fields["category"] == "c"


class TestExams:
    def test_mmmu_takes_the_subject_from_the_id_and_the_answer_from_the_dictionary(self, tmp_path: Path) -> None:
        folder = tmp_path / "outputs" / "Art_Theory"
        folder.mkdir(parents=True)
        row = {"id": "validation_Art_Theory_2", "index2ans": {"A": "x"}, "response": "A", "answer": "B"}
        (folder / "output.json").write_text(json.dumps([row]))
        truth = tmp_path / "truth.json"
        truth.write_text('{"validation_Art_Theory_2": {"question_type": "multiple-choice", "ground_truth": "A"}}')
        (read_back,) = read("mmmu", tmp_path / "outputs", truth)
        assert read_back.references == ("A",)
        assert read_back.fields["subject"] == "Art_Theory"

    def test_a_folder_without_outputs_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match=r"output\.json"):
            read("mmmu", tmp_path)


class TestLlava:
    def test_published_pope_answers_find_their_labels(self, shared: Path) -> None:
        folder = shared / "data" / "predictions"
        labels = [folder / "gt_pope_coco" / f"coco_pope_{c}.json" for c in ("random", "popular", "adversarial")]
        questions = folder / "llava15_13b" / "pope" / "llava_pope_test.jsonl"
        rows = read(
            "llava-pope", folder / "llava15_13b" / "pope" / "answers" / "llava-v1.5-13b.jsonl", questions, *labels
        )
        assert len(rows) == 8910
        assert {row.references for row in rows} == {("yes",), ("no",)}

    def test_labels_of_another_version_are_refused(self, tmp_path: Path) -> None:
        answers = write_lines(tmp_path / "a.jsonl", [{"question_id": 1, "text": "Yes", "prompt": "Is there a cat?"}])
        asked = write_lines(tmp_path / "q.jsonl", [{"question_id": 1, "text": "Is there a cat?", "category": "random"}])
        labels = tmp_path / "coco_pope_random.json"
        write_lines(labels, [{"text": "Is there a dog?", "label": "no", "image": "1.jpg"}])
        with pytest.raises(DataError, match="no label that fits"):
            read("llava-pope", answers, asked, labels)

    def test_every_mme_answer_finds_its_reference(self, shared: Path) -> None:
        folder = shared / "data" / "predictions"
        answers = folder / "llava15_13b" / "MME" / "answers" / "llava-v1.5-13b.jsonl"
        assert len(read("llava-mme", answers, folder / "gt_mme" / "Your_Results")) == 2374

    def test_scienceqa_options_are_read_from_the_prompt(self, shared: Path) -> None:
        folder = shared / "data" / "predictions" / "llava15_13b" / "scienceqa"
        rows = read("llava-scienceqa", folder / "answers" / "llava-v1.5-13b_output.jsonl")
        assert len(rows) == 4241
        assert sum(row.fields["context"] == "image" for row in rows) == 2017
        assert all(row.references[0] in row.fields["choices"] for row in rows)


def test_an_unknown_format_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="Did you mean 'vlmevalkit'"):
        reader("vlmevalkt")
    assert all(callable(reader(name)) for name in FORMATS)
