"""Hub data sets through the `datasets` library: prepared once, found again offline, errors in one paragraph."""

from __future__ import annotations

import io
import sys
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from data_specs import opened, png, task

from evals.data import Subset
from evals.errors import DataError
from evals.spec.records import TaskSpec

datasets = pytest.importorskip("datasets")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A data set repository on disk, with two configurations as the hub's copies have them."""
    folder = tmp_path / "repository"
    folder.mkdir()
    for config in ("one", "two"):
        rows = [
            {"id": f"{config}{i}", "question": f"q{i}", "answer": "a", "image": {"bytes": png(), "path": None}}
            for i in range(3)
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / f"{config}.parquet")
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        + "".join(
            f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}.parquet\n" for c in ("one", "two")
        )
        + "---\n"
    )
    return folder


def _hub(repository: Path, **data: Any) -> TaskSpec:
    parts = {"source": "hub", "files": [], "id": str(repository), "configs": ["one"], "split": "test"}
    return task(data=parts | data, columns={"images": ["image"], "fields": {"question": "question"}})


def test_rows_and_pictures_are_read_and_found_again_without_the_library(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second time nothing is asked of `datasets`: the Arrow files are mapped straight away."""
    first = [sample.content_hash for sample in opened(_hub(repository), tmp_path)]
    assert len(first) == 3
    monkeypatch.setitem(sys.modules, "datasets", None)  # importing it is an error from here
    again = opened(_hub(repository), tmp_path)
    assert [sample.content_hash for sample in again] == first
    assert again[0].images[0].open().size == (12, 8)


def test_several_configurations_follow_each_other(repository: Path, tmp_path: Path) -> None:
    """A column `config` says where each row came from."""
    spec = _hub(repository, configs=["one", "two"], derive={"key": {"template": "{config}/{id}"}})
    spec = task(
        data={"source": "hub", "files": [], "id": str(repository), "configs": ["one", "two"], "split": "test"},
        columns={"images": [], "fields": {"config": "config"}},
    )
    assert [sample.fields["config"] for sample in opened(spec, tmp_path)] == ["one"] * 3 + ["two"] * 3


def test_a_damaged_copy_is_prepared_again(repository: Path, tmp_path: Path) -> None:
    """A file that is not as long as it was is not used."""
    first = [sample.content_hash for sample in opened(_hub(repository), tmp_path)]
    for path in (tmp_path / "cache" / "hub").rglob("*.arrow"):
        path.unlink()
    assert [sample.content_hash for sample in opened(_hub(repository), tmp_path)] == first


def test_streaming_reads_as_far_as_the_limit(repository: Path, tmp_path: Path) -> None:
    """Two rows, nothing kept; without a limit it is refused."""
    spec = _hub(repository, streaming=True, expected_count=3)
    dataset = opened(spec, tmp_path, Subset(limit=2))
    assert [sample.sample_id for sample in dataset] == ["one0", "one1"]
    assert not (tmp_path / "cache" / "hub" / "prepared").exists()
    with pytest.raises(DataError, match="give --limit"):
        opened(spec, tmp_path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"split": "tset"}, r"split 'tset'.*Correct data\.configs or data\.split"),
        ({"configs": ["three"]}, r"\(three\).*Correct data\.configs or data\.split"),
        ({"expected_count": 4}, r"found 3 rows, expected 4.*data\.expected_count"),
        ({"expected_count": 4, "verified": False}, r"never seen in the data \(verified: false\)"),
        ({"hidden_splits": {"test": "at the server"}}, r"has no public answers \(at the server\)"),
    ],
)
def test_what_does_not_fit_is_said(data: dict[str, Any], message: str, repository: Path, tmp_path: Path) -> None:
    """Wrong split, wrong configuration, another count, hidden answers."""
    with pytest.raises(DataError, match=message):
        opened(_hub(repository, **data), tmp_path)


class GatedRepoError(OSError):
    """Stands for the hub client's error of this name."""


class RevisionNotFoundError(OSError):
    """Stands for the hub client's error of this name."""


class RepositoryNotFoundError(OSError):
    """Stands for the hub client's error of this name."""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (GatedRepoError("403 Client Error"), "is gated. Accept its terms"),
        (RevisionNotFoundError("404: no such revision"), r"revision .* does not exist .*Correct data\.revision"),
        (ConnectionError("name or service not known"), r"hub cannot be reached .*run_eval\.py prefetch"),
        (OSError("unexpected end of data"), "half downloaded, delete it and fetch again"),
    ],
)
def test_errors_of_the_hub_have_a_remedy(
    error: Exception, message: str, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One paragraph instead of the client's traceback."""

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(DataError, match=message):
        opened(_hub(repository), tmp_path)


def test_an_alias_stands_in_for_an_id_that_is_gone(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids are tried in order; if none is there, all are named."""
    load = datasets.load_dataset

    def moved(name: str, *rest: Any, **options: Any) -> Any:
        if name.startswith("gone"):
            raise RepositoryNotFoundError("404")
        return load(name, *rest, **options)

    monkeypatch.setattr(datasets, "load_dataset", moved)
    assert len(opened(_hub(repository, id="gone/a", aliases=[str(repository)]), tmp_path)) == 3
    with pytest.raises(DataError, match=r"gone/b(.|\n)*gone/c"):
        opened(_hub(repository, id="gone/b", aliases=["gone/c"]), tmp_path)


def test_image_folders_have_labels(tmp_path: Path) -> None:
    """The folder's name is the label."""
    for colour in ("red", "blue"):
        (tmp_path / "pictures" / colour).mkdir(parents=True)
        (tmp_path / "pictures" / colour / "0.png").write_bytes(png(colour))
    spec = task(
        data={"source": "imagefolder", "files": ["pictures"]},
        columns={"id": None, "images": ["image"], "references": "label", "fields": {}},
    )
    found = {s.references[0]: s.images[0].open().convert("RGB").getpixel((0, 0)) for s in opened(spec, tmp_path)}
    assert found == {"red": (255, 0, 0), "blue": (0, 0, 255)}


def _shard(path: Path, n: int) -> None:
    with tarfile.open(path, "w") as shard:
        for i in range(n):
            for ending, content in (("png", png()), ("json", f'{{"q": "q{i}", "a": "x"}}'.encode())):
                entry = tarfile.TarInfo(f"{i:04d}.{ending}")
                entry.size = len(content)
                shard.addfile(entry, io.BytesIO(content))


def test_webdataset_shards(tmp_path: Path) -> None:
    """Files of one key are one sample; a shard that is cut off is an error, and nothing of it is kept."""
    _shard(tmp_path / "0.tar", 4)
    spec = task(
        data={
            "source": "webdataset",
            "files": ["*.tar"],
            "derive": {"q": {"column": "json.q"}, "a": {"column": "json.a"}},
        },
        columns={"id": "__key__", "images": ["png"], "references": "a", "fields": {"question": "q"}},
    )
    assert [sample.fields["question"] for sample in opened(spec, tmp_path)] == ["q0", "q1", "q2", "q3"]
    whole = (tmp_path / "0.tar").read_bytes()
    (tmp_path / "0.tar").write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"webdataset \*\.tar: it cannot be read"):
        opened(spec, tmp_path)
