"""LLaVA's answer files (JSON lines with ``question_id``, ``prompt``, ``text``) and the references of each benchmark."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from evals.errors import DataError
from evals.imports.rows import ImportedRow, column, read_rows, reply, text, unique

_SUFFIXES = re.compile(r"(Answer the question using a single word or phrase\.|Please answer yes or no\.)")


def _question(prompt: str) -> str:
    """A question without the sentence that asks for a short answer, white space collapsed; for joining."""
    return " ".join(_SUFFIXES.sub(" ", prompt).split())


def pope(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """POPE: references are LLaVA's question file (ids, categories) and the benchmark's label files
    (``..._random.json`` and so on), whose rows follow each other as the questions of a category do."""
    tables = {file: read_rows(file) for file in references}
    labels = {file.stem.rpartition("_")[2]: rows for file, rows in tables.items() if rows and "label" in rows[0]}
    questions = {text(r["question_id"]): r for rows in tables.values() for r in rows if "label" not in r}
    if not labels or not questions:
        raise DataError("llava-pope needs --references: the question file and the label files of the categories.")
    remaining = {category: iter(rows) for category, rows in labels.items()}
    rows = []
    for number, answer in enumerate(read_rows(path), 1):
        key = text(column(answer, "question_id", path, number))
        asked = questions.get(key, {})
        label = next(remaining.get(asked.get("category", ""), iter(())), None)
        if label is None or _question(label["text"]) != _question(asked["text"]):
            raise DataError(
                f"{path}, row {number}: question {key!r} has no label that fits it. Give the label files that belong "
                "to this question file (POPE's random split has 2,910 rows in the version LLaVA used, 3,000 now)."
            )
        rows.append(
            ImportedRow(
                sample_id=key,
                request_id=key,
                prediction=reply(column(answer, "text", path, number)),
                references=(label["label"],),
                prompt=text(answer.get("prompt")),
                image=text(label["image"]),
                fields={"category": asked["category"]},
            )
        )
    return unique(rows, path)


def mme(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """MME: the reference is the folder of the benchmark's ``<category>.txt`` files (image, question, answer)."""
    labels: dict[tuple[str, str, str], str] = {}
    for file in (file for folder in references for file in sorted(folder.glob("*.txt"))):
        for line in file.read_text(encoding="utf-8").splitlines():
            image, question, answer = line.split("\t")[:3]
            labels[file.stem, image, _question(question)] = answer
    rows, seen = [], Counter[str]()
    for number, row in enumerate(read_rows(path), 1):
        key = text(column(row, "question_id", path, number))
        category, _, image = key.partition("/")
        # Some releases keep pictures in a folder of their own: category/images/0001.png
        label = labels.get((category, image.rpartition("/")[2], _question(text(row["prompt"]))))
        if label is None:
            raise DataError(f"{path}, row {number}: no reference for picture {key!r} and question {row['prompt']!r}.")
        rows.append(
            ImportedRow(
                sample_id=f"{key}#{seen[key]}",
                request_id=f"{key}#{seen[key]}",
                prediction=reply(column(row, "text", path, number)),
                references=(label,),
                prompt=text(row["prompt"]),
                image=key,
                fields={"category": category, "image": key},
            )
        )
        seen[key] += 1
    return unique(rows, path)


def scienceqa(path: Path, references: Sequence[Path], mapping: Mapping[str, str]) -> list[ImportedRow]:
    """ScienceQA: what LLaVA's evaluation writes (``*_output.jsonl``: an object of right and wrong answers, each with
    question, reply and reference). The category ``context`` tells questions with a picture from the others."""
    stored = [row for part in read_rows(path) for rows in part.values() if isinstance(rows, list) for row in rows]
    if not stored:
        raise DataError(
            f"{path}: expected LLaVA's evaluation output, an object with the lists `correct` and `incorrect`."
        )
    rows = []
    for number, row in enumerate(stored, 1):
        key = text(column(row, "question_id", path, number))
        prompt = text(column(row, "question", path, number))
        rows.append(
            ImportedRow(
                sample_id=key,
                request_id=key,
                prediction=reply(column(row, "pred", path, number)),
                references=(text(column(row, "ground_truth", path, number)),),
                prompt=prompt,
                fields={
                    "choices": dict(_option_lines(prompt)),
                    "context": "image" if row.get("is_multimodal") else "text only",
                },
            )
        )
    return unique(rows, path)


def _option_lines(prompt: str) -> Iterator[tuple[str, str]]:
    """Option lines (``A. text``) of a prompt: the last run of lines that begins at A and goes on in order."""
    found: dict[int, list[tuple[str, str]]] = defaultdict(list)
    run = -1
    for line in prompt.splitlines():
        match = re.fullmatch(r"([A-Z])\. (.*)", line)
        if match is None:
            continue
        if match[1] == "A":
            run += 1
        if run >= 0 and match[1] == chr(ord("A") + len(found[run])):
            found[run].append((match[1], match[2]))
    yield from found.get(run, [])
