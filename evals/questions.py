"""What was asked, kept in the run directory: scoring and reporting need neither data set nor model.

JSON lines, gzipped with a fixed time stamp, so that the same questions are the same bytes.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterable, Iterator, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from evals.errors import StoreError
from evals.files import canonical_json, write_atomically
from evals.json_lines import decode_line
from evals.records import Question

COMPRESSION = 1  # four times smaller at a tenth of the time of the default level
SAMPLES_A_WRITE = 256


class QuestionSpool:
    """Questions on their way to a run directory whose name follows from their hash, in a nameless temporary file.

    Each sample's questions are found again by the sample's place, so that they need not be made twice; that costs
    eight bytes of memory a sample, and the file as much disk as the questions have text.
    """

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the spool
        self._waiting: list[bytes] = []
        self._ends = array("q", [0])  # where in the file each sample's questions end, after a first 0

    def __len__(self) -> int:
        """Samples added so far."""
        return len(self._ends) - 1

    def add(self, questions: Sequence[Question]) -> None:
        """Take one more sample's questions.

        Raises:
            StoreError: the folder of temporary files is full.
        """
        lines = b"".join(map(_line, questions))
        self._ends.append(self._ends[-1] + len(lines))
        self._waiting.append(lines)
        if len(self._waiting) >= SAMPLES_A_WRITE:
            self._flush()

    def of(self, place: int) -> list[Question]:
        """The questions of the sample that was added as number ``place``, counted from 0."""
        self._flush()
        start, end = self._ends[place], self._ends[place + 1]
        lines = os.pread(self._file.fileno(), end - start, start).split(b"\n")
        return [_question(decode_line(line)) for line in lines[:-1]]

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            self._file.write(b"".join(self._waiting))
            self._file.flush()
        except OSError as error:
            raise StoreError(
                f"Could not write a temporary file in {tempfile.gettempdir()}: {error.strerror or error}. Free some "
                "space there, or name another folder in TMPDIR."
            ) from error
        self._waiting.clear()

    def save(self, path: Path) -> None:
        """Write all questions to their place, atomically."""
        self._flush()

        def write(file: BinaryIO) -> None:
            with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=COMPRESSION, mtime=0) as packed:
                shutil.copyfileobj(self._file, packed)

        self._file.seek(0)
        write_atomically(path, write)


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """Write a run's questions of one task."""
    spool = QuestionSpool()
    for question in questions:
        spool.add([question])
    spool.save(path)


def read_questions(path: Path) -> Iterator[Question]:
    """The questions of one task, in the data set's order, read as they are needed.

    Raises:
        StoreError: the file is missing or damaged.
    """
    try:
        with BufferedReader(gzip.GzipFile(path)) as lines:
            for line in lines:
                yield _question(decode_line(line))
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
