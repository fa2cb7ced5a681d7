"""Published predictions give the published scores. Sources and scores: SOURCE.txt beside each set of files."""

import json
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from evals.extract.registry import get_extractor
from evals.metrics.registry import get_metric

Row = dict[str, Any]


def json_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def spreadsheet(path: Path) -> list[Row]:
    openpyxl = pytest.importorskip("openpyxl")
    rows = list(openpyxl.load_workbook(path, read_only=True).active.iter_rows(values_only=True))
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def read(name: str, texts: list[str], contexts: list[Row] | None = None) -> list[str | None]:
    extractor = get_extractor(name)
    return [extractor(t, **c)[0] for t, c in zip(texts, contexts or [{}] * len(texts), strict=True)]


def percent(value: float | None) -> float:
    assert value is not None
    return round(100 * value, 2)


@pytest.fixture(scope="session")
def published(shared: Path) -> Path:
    return shared / "data" / "predictions"


@pytest.mark.parametrize(("part", "f1"), [("random", 87.14), ("popular", 86.25), ("adversarial", 84.46)])
def test_llava_pope(published: Path, part: str, f1: float) -> None:
    folder = published / "llava15_13b/pope"
    replies = {row["question_id"]: row["text"] for row in json_lines(folder / "answers/llava-v1.5-13b.jsonl")}
    questions = [row for row in json_lines(folder / "llava_pope_test.jsonl") if row["category"] == part]
    labels = json_lines(published / f"gt_pope_coco/coco_pope_{part}.json")
    got = get_metric("pope").compute([replies[q["question_id"]] for q in questions], [[row["label"]] for row in labels])
    assert percent(got["f1"]) == f1


def mme_truth(published: Path) -> dict[tuple[str, str, str], str]:
    truth = {}
    for path in sorted((published / "gt_mme/Your_Results").glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                image, question, answer = line.split("\t")
                truth[path.stem, Path(image).stem, "".join(question.split())] = answer
    return truth


def test_llava_mme(published: Path) -> None:
    truth = mme_truth(published)
    replies = json_lines(published / "llava15_13b/MME/answers/llava-v1.5-13b.jsonl")
    category = [row["question_id"].split("/")[0] for row in replies]
    group = [Path(row["question_id"]).stem for row in replies]
    suffix = "Answer the question using a single word or phrase."
    questions = ["".join(row["prompt"].replace(suffix, "Please answer yes or no.").split()) for row in replies]
    references = [[truth[key]] for key in zip(category, group, questions, strict=True)]
    got = get_metric("mme").compute([row["text"] for row in replies], references, category=category, group=group)
    assert len(replies) == len(truth) == 2374
    assert round(got["perception"] or 0, 2) == 1531.32
    assert round(got["cognition"] or 0, 2) == 295.36


def test_llava_scienceqa(published: Path) -> None:
    stored = json.loads((published / "llava15_13b/scienceqa/answers/llava-v1.5-13b_output.jsonl").read_text())
    rows: list[Row] = stored["correct"] + stored["incorrect"]
    replies = [row["pred"] for row in rows]
    answers = read("scienceqa_llava", replies, [{"choices": "ABCDE"}] * len(rows))
    references = [[row["ground_truth"]] for row in rows]
    metric = get_metric("multiple_choice")
    assert percent(metric.compute(replies, references, extracted=answers)["accuracy"]) == 74.39
    image = [i for i, row in enumerate(rows) if row["is_multimodal"]]
    shown = metric.compute(
        [replies[i] for i in image], [references[i] for i in image], extracted=[answers[i] for i in image]
    )
    assert percent(shown["accuracy"]) == 71.64
    parsed = [None if row["parsed_ans"] == "FAILED" else row["parsed_ans"] for row in rows]
    assert answers == parsed


def test_llava_mmbench(published: Path) -> None:
    rows = spreadsheet(published / "llava15_13b/mmbench/answers_upload/mmbench_dev_20230712/llava-v1.5-13b.xlsx")
    choices = [{letter: row[letter] for letter in "ABCD" if row[letter] is not None} for row in rows]
    replies = [str(row["prediction"]) for row in rows]
    got = get_metric("circular").compute(
        replies,
        [[row["answer"]] for row in rows],
        group=[row["index"] % 1_000_000 for row in rows],
        choices=choices,
        extracted=read("mmbench", replies, [{"choices": c} for c in choices]),
    )
    assert (percent(got["circular"]), percent(got["vanilla"])) == (67.69, 75.43)


def test_llava_mmmu(published: Path) -> None:
    """330 of 900 counts the random draws that are stored in the parsed file; the expected value needs none."""
    truth = json.loads((published / "mmmu/answer_dict_val.json").read_text())
    parsed = json.loads((published / "mmmu/example_outputs/llava1.5_13b/total_val_output.json").read_text())
    ids = sorted(truth)
    metric = get_metric("mmmu")
    references = [given if isinstance(given := truth[i]["ground_truth"], list) else [given] for i in ids]
    stored = metric.score_samples(
        [parsed[i] for i in ids],
        references,
        question_type=[truth[i]["question_type"] for i in ids],
        choices=["ABCDEFGHI"] * len(ids),
        extracted=[parsed[i] for i in ids],
    )
    assert sum(score or 0 for score in stored) == 330

    folder = published / "mmmu/example_outputs/llava1.5_13b"
    raw = [row for path in sorted(folder.glob("*/output.json")) for row in json.loads(path.read_text())]
    got = metric.compute(
        [row["response"] for row in raw],
        [given if isinstance(given := truth[row["id"]]["ground_truth"], list) else [given] for row in raw],
        question_type=[row["question_type"] for row in raw],
        choices=[row.get("index2ans") for row in raw],
    )
    assert len(raw) == 900
    # two replies cannot be read: one of the stored draws hit, half a right answer is expected
    assert round(900 * (got["accuracy"] or 0), 2) == 329.5
    assert round(900 * (got["accuracy_strict"] or 0)) == 329


@pytest.mark.parametrize(
    ("file", "right"),
    [
        ("llava/output_llava_llama_2_13b", 261),
        ("random/output_random_guess", 179),
        ("random/output_frequent_guess", 263),
    ],
)
def test_mathvista_with_the_stored_extractions(published: Path, file: str, right: int) -> None:
    rows = list(json.loads((published / f"mathvista/results/{file}.json").read_text()).values())
    scores = get_metric("mathvista").score_samples(
        [str(row["response"]) for row in rows],
        [[row["answer"]] for row in rows],
        question_type=[row["question_type"] for row in rows],
        answer_type=[row["answer_type"] for row in rows],
        choices=[row["choices"] for row in rows],
        precision=[row["precision"] for row in rows],
        extracted=[row["extraction"] for row in rows],
    )
    assert sum(score or 0 for score in scores) == right
    assert [bool(score) for score in scores] == [row["true_false"] for row in rows]


@pytest.mark.parametrize(("model", "right"), [("LLaVA-v1.5-13B", 338), ("Random-Chance", 218)])
def test_mathvision_from_raw_replies(published: Path, model: str, right: int) -> None:
    """Every stored extraction and every stored verdict of the 3,040 comes out again: no difference to list."""
    questions = {row["id"]: row for row in json_lines(published / "mathv/test.jsonl")}
    rows = json_lines(published / f"mathv/{model}.jsonl")
    asked = [questions[row["id"]] for row in rows]
    answers = read("mathvision", [row["response"] for row in rows])
    assert [answer or "" for answer in answers] == [row["model_answer"] for row in rows]
    scores = get_metric("mathvision").score_samples(
        [row["response"] for row in rows],
        [[q["answer"]] for q in asked],
        choices=[q["options"] or None for q in asked],
    )
    differences = [row["id"] for row, score in zip(rows, scores, strict=True) if bool(score) != row["correct"]]
    assert differences == []
    assert sum(score or 0 for score in scores) == right


@pytest.mark.parametrize(("part", "f1"), [("random", 85.83), ("popular", 84.87), ("adversarial", 84.18)])
def test_vila_pope_under_vlmevalkits_protocol(published: Path, part: str, f1: float) -> None:
    """That suite's file lists each question once with all parts it belongs to, and reads replies by its own rule."""
    rows = [row for row in spreadsheet(published / "vila_13b/vila_13b_POPE.xlsx") if part in row["category"].split(",")]
    replies = [str(row["prediction"]) for row in rows]
    got = get_metric("pope").compute(
        replies, [[row["answer"]] for row in rows], extracted=read("vlmevalkit_yes_no", replies)
    )
    assert len(rows) == 3000
    assert percent(got["f1"]) == f1


def test_vila_hallusion_bench_under_vlmevalkits_protocol(published: Path) -> None:
    rows = spreadsheet(published / "vila_13b/vila_13b_HallusionBench.xlsx")
    keys = [row["index"].split("_") for row in rows]  # category, subcategory, visual input, set, figure, question
    got = get_metric("hallusion_bench", protocol="vlmevalkit").compute(
        [row["prediction"] for row in rows],
        [[row["answer"]] for row in rows],
        category=[key[0] for key in keys],
        subcategory=[key[1] for key in keys],
        set_id=[key[3] for key in keys],
        figure_id=[key[4] for key in keys],
        question_id=[key[5] for key in keys],
    )
    assert [percent(got[name]) for name in ("aAcc", "fAcc", "qAcc")] == [58.04, 28.61, 28.13]


def test_vila_mmstar(published: Path) -> None:
    rows = spreadsheet(published / "vila_13b/vila_13b_MMStar.xlsx")
    replies = [str(row["prediction"]) for row in rows]
    contexts = [{"choices": {letter: row[letter] for letter in "ABCD" if row[letter] is not None}} for row in rows]
    references = [[row["answer"]] for row in rows]
    metric = get_metric("multiple_choice")
    assert (
        percent(metric.compute(replies, references, extracted=read("mmbench", replies, contexts))["accuracy"]) == 44.27
    )
    # our own rule set reads one reply more
    assert (
        percent(metric.compute(replies, references, extracted=read("robust", replies, contexts))["accuracy"]) == 44.33
    )


def test_mmbench_dev_lacks_rotations_in_53_questions(published: Path) -> None:
    """Why a group's size is taken from the data, not from the number of options."""
    rows = spreadsheet(published / "llava15_13b/mmbench/answers_upload/mmbench_dev_20230712/llava-v1.5-13b.xlsx")
    groups = defaultdict(list)
    for row in rows:
        groups[row["index"] % 1_000_000].append(sum(row[letter] is not None for letter in "ABCD"))
    sizes = Counter((len(options), options[0]) for options in groups.values())
    assert {size: n for size, n in sizes.items() if size[0] != size[1]} == {(3, 4): 53}
