"""Published predictions, imported and scored: the table in docs/published_scores.md.

    python tools/published_scores.py ../shared/data/predictions --runs runs/published

Each row of TABLE is one published number: where the predictions lie, which task and preset score them, and which
statistic (or category) of the result is the number. Runs are kept, so that they can be compared, ranked and reported.
"""

from __future__ import annotations

import argparse
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.imports import import_predictions
from evals.spec import find_task

HERE = Path(__file__).parent / "published"


@dataclass(frozen=True, slots=True)
class Source:
    """One predictions file and how it is scored.

    Attributes:
        run: the run that it becomes a task of; name of the model in it.
        task, preset, form, predictions, references, mapping: as ``run_eval.py import`` takes them.
    """

    run: str
    task: str
    preset: str
    form: str
    predictions: str
    references: tuple[str, ...] = ()
    mapping: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Number:
    """One published number: its label, the value, where ours stands in results.json, its unit there, and a remark.

    ``where`` is a statistic's name, or ``column=value`` for the headline within a category. ``unit`` is what the
    published number counts 1 of our scale as: 100 for percent, 1000 for OCRBench, 1 for MME.
    """

    label: str
    published: float
    where: str
    unit: float = 100.0
    remark: str = ""


LLAVA, VILA = "LLaVA-1.5-13B", "VILA-13b"
POPE_LABELS = tuple(f"gt_pope_coco/coco_pope_{part}.json" for part in ("random", "popular", "adversarial"))
DRAW = "two replies cannot be read: the official draw hit once, its expectation is 0.5"
SWAP = "VLMEvalKit wrote 42.88 / 74.56 / 58.72 with swapped arguments; this is the paper's definition"


TABLE: tuple[tuple[Source, tuple[Number, ...]], ...] = (
    (
        Source(LLAVA, "pope", "official", "llava-pope", "llava15_13b/pope/answers/llava-v1.5-13b.jsonl",
               ("llava15_13b/pope/llava_pope_test.jsonl", *POPE_LABELS)),
        (
            Number("POPE random, F1", 87.14, "category=random"),
            Number("POPE popular, F1", 86.25, "category=popular"),
            Number("POPE adversarial, F1", 84.46, "category=adversarial"),
        ),
    ),
    (
        Source(LLAVA, "mme", "default", "llava-mme", "llava15_13b/MME/answers/llava-v1.5-13b.jsonl",
               ("gt_mme/Your_Results",), (("picture", "image"),)),
        (
            Number("MME perception", 1531.32, "perception", 1.0),
            Number("MME cognition", 295.36, "cognition", 1.0),
        ),
    ),
    (
        Source(LLAVA, "scienceqa.yaml", "default", "llava-scienceqa",
               "llava15_13b/scienceqa/answers/llava-v1.5-13b_output.jsonl"),
        (
            Number("ScienceQA", 74.39, "accuracy"),
            Number("ScienceQA, image", 71.64, "context=image"),
        ),
    ),
    (
        Source(LLAVA, "mmbench_dev_en", "official", "vlmevalkit",
               "llava15_13b/mmbench/answers_upload/mmbench_dev_20230712/llava-v1.5-13b.xlsx"),
        (
            Number("MMBench dev, circular", 67.69, "circular"),
            Number("MMBench dev, vanilla", 75.43, "vanilla"),
        ),
    ),
    (
        Source(LLAVA, "mmmu_val", "default", "mmmu", "mmmu/example_outputs/llava1.5_13b",
               ("mmmu/answer_dict_val.json",)),
        (Number("MMMU val", 36.67, "accuracy", remark=DRAW),),
    ),
    (
        Source("LLaVA-LLaMA-2-13B", "mathvista.yaml", "default", "mathvista",
               "mathvista/results/llava/output_llava_llama_2_13b.json", (), (("prediction", "extraction"),)),
        (Number("MathVista testmini", 26.1, "accuracy", remark="extractions of the judge model as stored"),),
    ),
    (
        Source("random guess", "mathvista.yaml", "default", "mathvista",
               "mathvista/results/random/output_random_guess.json", (), (("prediction", "extraction"),)),
        (Number("MathVista testmini", 17.9, "accuracy"),),
    ),
    (
        Source("frequent guess", "mathvista.yaml", "default", "mathvista",
               "mathvista/results/random/output_frequent_guess.json", (), (("prediction", "extraction"),)),
        (Number("MathVista testmini", 26.3, "accuracy"),),
    ),
    (
        Source(LLAVA, "mathvision_test", "default", "mathvision", "mathv/LLaVA-v1.5-13B.jsonl", ("mathv/test.jsonl",)),
        (Number("MATH-Vision", 11.12, "accuracy", remark="no stored verdict of the 3,040 differs"),),
    ),
    (
        Source("random chance", "mathvision_test", "default", "mathvision", "mathv/Random-Chance.jsonl",
               ("mathv/test.jsonl",)),
        (Number("MATH-Vision", 7.17, "accuracy", remark="no stored verdict of the 3,040 differs"),),
    ),
    (
        Source(VILA, "chartqa", "default", "vlmevalkit", "vila_13b/vila_13b_ChartQA_TEST.xlsx", (),
               (("type", "split"),)),
        (
            Number("ChartQA human", 42.56, "type=test_human", remark=SWAP),
            Number("ChartQA augmented", 74.56, "type=test_augmented"),
            Number("ChartQA", 58.56, "relaxed_accuracy"),
        ),
    ),
    (
        Source(VILA, "ocrbench", "default", "vlmevalkit-lists", "vila_13b/vila_13b_OCRBench.xlsx", (),
               (("question_type", "category"), ("dataset", "category"))),
        (Number("OCRBench, of 1,000", 458, "ocrbench", 1000.0),),
    ),
    (
        Source(VILA, "textvqa_val", "default", "vlmevalkit-lists", "vila_13b/vila_13b_TextVQA_VAL.xlsx"),
        (Number("TextVQA val", 61.03, "textvqa_accuracy"),),
    ),
    (
        Source(VILA, "hallusion_bench", "vlmevalkit", "vlmevalkit", "vila_13b/vila_13b_HallusionBench.xlsx"),
        (
            Number("HallusionBench aAcc", 58.04, "aAcc"),
            Number("HallusionBench fAcc", 28.61, "fAcc"),
            Number("HallusionBench qAcc", 28.13, "qAcc"),
        ),
    ),
    (
        Source(VILA, "pope", "vlmevalkit", "vlmevalkit", "vila_13b/vila_13b_POPE.xlsx"),
        (
            Number("POPE random, F1", 85.83, "category=random"),
            Number("POPE popular, F1", 84.87, "category=popular"),
            Number("POPE adversarial, F1", 84.18, "category=adversarial"),
        ),
    ),
    (
        Source(VILA, "mmstar", "vlmevalkit", "vlmevalkit", "vila_13b/vila_13b_MMStar.xlsx"),
        (Number("MMStar", 44.27, "accuracy"),),
    ),
    (
        Source(VILA, "coco_raw.yaml", "default", "vlmevalkit-lists", "vila_13b/vila_13b_COCO_VAL.xlsx"),
        (
            Number("COCO BLEU-1, raw strings", 10.60, "bleu_1"),
            Number("COCO BLEU-4, raw strings", 1.68, "bleu_4"),
            Number("COCO ROUGE-L, raw strings", 11.60, "rouge_l"),
            Number("COCO CIDEr, raw strings", 0.0559, "cider"),
        ),
    ),
)  # fmt: skip

# Our own numbers beside them, which nobody published: the official protocol where the published one was another.
BESIDE: tuple[tuple[Source, tuple[tuple[str, str], ...]], ...] = (

    (
        Source(f"{VILA} official", "coco_ptb.yaml", "default", "vlmevalkit-lists", "vila_13b/vila_13b_COCO_VAL.xlsx"),
        (
            ("COCO BLEU-4, PTB tokens", "bleu_4"),
            ("COCO ROUGE-L, PTB tokens", "rouge_l"),
            ("COCO CIDEr, PTB tokens", "cider"),
        ),
    ),
)  # fmt: skip


def scored(source: Source, data: Path, runs: Path) -> dict[str, Any]:
    """Import one source and return its task's results."""
    name = str(HERE / source.task) if source.task.endswith(".yaml") else source.task
    spec = find_task(name, source.preset)
    run = import_predictions(
        spec,
        source.preset,
        source.form,
        data / source.predictions,
        runs / source.run.replace(" ", "-").lower(),
        model=source.run,
        references=[data / path for path in source.references],
        mapping=dict(source.mapping),
    )
    results: dict[str, Any] = run.results["tasks"][spec.name]
    return results


def value_at(results: dict[str, Any], where: str) -> float:
    """The value of a statistic, or of the headline within a category."""
    column, equals, category = where.partition("=")
    found = results["categories"][column][category] if equals else results["statistics"][column]
    return float(found["value"])


def main() -> None:
    """Import everything and print the table as Markdown."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("data", type=Path, help="folder of the published predictions")
    arguments.add_argument("--runs", type=Path, default=Path("runs/published"), help="folder for the imported runs")
    options = arguments.parse_args()
    shutil.rmtree(options.runs, ignore_errors=True)
    print("| model | number | published | ours | difference | remark |\n|---|---|--:|--:|--:|---|")
    for source, numbers in TABLE:
        results = scored(source, options.data, options.runs)
        for number in numbers:
            ours = value_at(results, number.where) * number.unit
            digits = len(str(number.published).partition(".")[2])
            gap = round(ours, digits) - number.published
            shown = "0" if abs(gap) < 10**-digits / 2 else f"{gap:+.{digits}f}"
            cells = [source.run, number.label, f"{number.published}", f"{ours:.{digits}f}", shown, number.remark]
            print(f"| {' | '.join(cells)} |")
    for source, labels in BESIDE:
        results = scored(source, options.data, options.runs)
        for label, where in labels:
            print(f"| {source.run} | {label} | – | {value_at(results, where) * 100:.4g} | – | ours beside it |")


if __name__ == "__main__":
    main()
