"""TSV files in VLMEvalKit's layout: read, written, and read again as the same samples."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import pytest
from data_specs import opened, png, task
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evals.data import separated
from evals.data.vlmevalkit import write_vlmevalkit
from evals.errors import DataError
from evals.files import sha256_json
from evals.records import Sample
from model_adapters.contract import ImageRef

TSV: dict[str, Any] = {
    "data": {"source": "vlmevalkit", "files": [], "tsv": "SET"},
    "columns": {"id": "index", "images": ["image"], "choices": list("ABCD"), "fields": {"question": "question"}},
}


def _picture(data: bytes) -> ImageRef:
    return ImageRef(hashlib.sha256(data).hexdigest(), "p", lambda: data)


def _sample(sample_id: str, question: str, options: list[str], answer: tuple[str, ...], *pictures: bytes) -> Sample:
    images = tuple(map(_picture, pictures))
    fields = {"question": question, "choices": options}
    hashes = [image.sha256 for image in images]
    return Sample(sample_id, images, fields, answer, hashes[0], sha256_json([sample_id, fields, answer, hashes]))


def _b64(colour: str) -> str:
    return base64.b64encode(png(colour)).decode()


def _write(root: Path, *lines: str) -> None:
    (root / "SET.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


cells = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(question="\r", options=["0", "0", "0", "\r"])
@given(question=cells, options=st.lists(cells.filter(bool), min_size=4, max_size=4))
def test_samples_come_back_with_the_same_fingerprint(question: str, options: list[str], tmp_path: Path) -> None:
    """Quotes, tabs, line ends of any kind, "nan" and "NA" survive; a shared picture is written once."""
    samples = [
        _sample("0", question, options, ("A",), png("red")),
        _sample("1", "nan", ["nan", "NA", "None"], ("B",), png("red")),
        _sample("2", "1.0", ["007", "1e5"], ("A",), png("blue"), png("red")),
    ]
    assert write_vlmevalkit(samples, tmp_path / "SET.tsv") == 3
    assert (tmp_path / "SET.tsv").read_text(encoding="utf-8").count(_b64("red")) == 2
    again = list(opened(task(**TSV), tmp_path))
    assert [s.content_hash for s in again] == [s.content_hash for s in samples]
    assert [i.read() for i in again[2].images] == [png("blue"), png("red")]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(answers=["\n[1"], sample_id="题\r1")
@example(answers=["['a']"], sample_id="=1+1")
@given(answers=st.lists(cells.filter(bool), min_size=1, max_size=3), sample_id=cells.filter(bool))
def test_answers_and_ids_come_back_as_they_were(answers: list[str], sample_id: str, tmp_path: Path) -> None:
    """One answer that looks like a list is not read as several."""
    sample = _sample(sample_id, "q", [], tuple(answers), png("red"))
    write_vlmevalkit([sample], tmp_path / "SET.tsv")
    derive = {"answers": {"column": "answer", "apply": ["literal_list_or_text"]}}
    columns = {"id": "index", "references": "answers", "images": ["image"], "fields": {"question": "question"}}
    (again,) = opened(task(data=TSV["data"] | {"derive": derive}, columns=columns), tmp_path)
    assert (again.sample_id, again.references) == (sample_id, tuple(answers))


def test_absent_options_are_empty_cells(tmp_path: Path) -> None:
    """An empty cell is no option; the text "nan" is one."""
    _write(tmp_path, "index\timage\tquestion\tA\tB\tC\tD\tanswer", f"5\t{_b64('red')}\tq\tx\tnan\t\t\tB")
    (sample,) = opened(task(**TSV), tmp_path)
    assert sample.fields["choices"] == ["x", "nan"]


def test_image_paths_lie_in_the_folder_of_the_set(tmp_path: Path) -> None:
    """Without a column `image`, `image_path` names files below images/<name>/."""
    folder = tmp_path / "images" / "SET"
    folder.mkdir(parents=True)
    (folder / "7.png").write_bytes(png("green"))
    _write(tmp_path, "index\timage_path\tquestion\tA\tB\tC\tD\tanswer", "7\t7.png\tq\tx\ty\t\t\tA")
    spec = task(data=TSV["data"], columns=TSV["columns"] | {"images": ["image_path"]})
    assert opened(spec, tmp_path)[0].images[0].read() == png("green")


def test_another_checksum_is_refused_with_both_sums(tmp_path: Path) -> None:
    """Nothing is downloaded again, nothing is deleted."""
    _write(tmp_path, "index\timage\tquestion\tA\tB\tC\tD\tanswer", f"5\t{_b64('red')}\tq\tx\ty\t\t\tB")
    found = hashlib.md5((tmp_path / "SET.tsv").read_bytes()).hexdigest()
    spec = task(data=TSV["data"] | {"md5": "0" * 32}, columns=TSV["columns"])
    for _ in range(2):  # the second time the remembered sum is compared
        with pytest.raises(DataError, match=f"md5 is {found}, but the task names {'0' * 32}"):
            opened(spec, tmp_path)
    assert len(opened(task(data=TSV["data"] | {"md5": found}, columns=TSV["columns"]), tmp_path)) == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["index\timage\tquestion\tA\tB\tC\tD\tanswer", "5\tiVBORw0KGgoAAAANSUhEUgAAA\tq\tx\ty\t\t\tA"],
            "sample '5'.*base64",
        ),
        (["index\timage\tquestion\tA\tB\tC\tD\tanswer", "5\tabc"], r"SET.tsv:2: found 2 cells, expected 8"),
        (["index\tquestion\tanswer", "1\tq\tx"], "expected 'index', and 'image' or 'image_path'"),
        ([""], "is empty"),
    ],
)
def test_a_damaged_file_says_where(lines: list[str], message: str, tmp_path: Path) -> None:
    """A line or a sample id, and what was expected."""
    _write(tmp_path, *lines)
    with pytest.raises(DataError, match=message):
        list(opened(task(**TSV), tmp_path))


def test_a_missing_file_says_how_to_get_it(tmp_path: Path) -> None:
    """Both places are named."""
    with pytest.raises(DataError, match=r"run_eval\.py prefetch unit"):
        opened(task(**TSV), tmp_path)


def test_large_files_are_copied_to_arrow_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy gives the same rows, is used again, and is made anew when the file changes."""
    monkeypatch.setattr(separated, "COPY_FROM_BYTES", 1)
    monkeypatch.setattr(separated, "BATCH_BYTES", 100)
    header = "index\timage\tquestion\tA\tB\tC\tD\tanswer"
    _write(tmp_path, header, *(f"{i}\t{_b64('red')}\tq{i}\tx\ty\t\t\tA" for i in range(20)))
    assert [s.fields["question"] for s in opened(task(**TSV), tmp_path)] == [f"q{i}" for i in range(20)]
    copies = list((tmp_path / "cache" / "tables").iterdir())
    opened(task(**TSV), tmp_path)
    assert list((tmp_path / "cache" / "tables").iterdir()) == copies
    _write(tmp_path, header, f"1\t{_b64('red')}\tnew\tx\ty\t\t\tA")
    assert [s.fields["question"] for s in opened(task(**TSV), tmp_path)] == ["new"]
