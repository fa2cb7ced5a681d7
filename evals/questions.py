"""What was asked, kept in the run directory: scoring and reporting need neither data set nor model.

JSON lines, gzipped with a fixed time stamp, so that the same questions are the same bytes.
"""

from __future__ import annotations

import gzip
import json
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from evals.errors import StoreError
from evals.files import canonical_json, write_atomically
from evals.records import Question

COMPRESSION = 1  # four times smaller at a tenth of the time of the default level
LINES_A_WRITE = 256


class QuestionSpool:
    """Questions on their way to a run directory whose name follows from their hash, in a nameless temporary file."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the spool
        self._packed = gzip.GzipFile(filename="", fileobj=self._file, mode="wb", compresslevel=COMPRESSION, mtime=0)
        self._lines: list[bytes] = []

    def add(self, question: Question) -> None:
        """Take one more question."""
        self._lines.append(_line(question))
        if len(self._lines) >= LINES_A_WRITE:
            self._flush()

    def _flush(self) -> None:
        self._packed.write(b"".join(self._lines))
        self._lines.clear()

    def save(self, path: Path) -> None:
        """Write all questions to their place, atomically; nothing can be added afterwards."""
        self._flush()
        self._packed.close()
        self._file.seek(0)
        write_atomically(path, lambda file: shutil.copyfileobj(self._file, file))


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write a run's questions of one task."""
    spool = QuestionSpool()
    for question in questions:
        spool.add(question)
    spool.save(path)


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of one task, in the data set's order, read as they are needed.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for line in lines:
                yield _question(json.loads(line))
    except FileNotFoundError:
        raise StoreError(f"{path} does not exist: nothing was asked yet. Run the same `run` command again.") from None
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}). Delete it and run the same `run` command again.") from error


def _line(question: Question) -> bytes:
    return (
        canonical_json(
            {
                "request_id": question.request_id,
                "sample_id": question.sample_id,
                "content_hash": question.content_hash,
                "cluster": question.cluster,
                "prompt": question.prompt,
                "image_hashes": question.image_hashes,
                "references": question.references,
                "fields": question.fields,
                "categories": question.categories,
            }
        )
        + b"\n"
    )


def _question(line: dict[str, Any]) -> Question:
    line["image_hashes"] = tuple(line["image_hashes"])
    line["references"] = tuple(line["references"])
    return Question(**line)
