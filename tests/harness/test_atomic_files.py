"""Files appear whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.errors import StoreError
from evals.files import AtomicFile, canonical_json, sha256_json, write_bytes, write_json
from evals.store import Run


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.json"
    write_json(path, {"a": 1})
    with AtomicFile(path) as file:
        file.write(b"half")
        assert path.read_text() == '{\n "a": 1\n}\n'
        file.write(b" whole")
    assert path.read_bytes() == b"half whole"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fails_half_way() -> None:
        with AtomicFile(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(type(error)):
        fails_half_way()
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_is_a_clear_error_that_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        StoreError, match=r"No space left on device\. What was there before is unchanged. Free some space"
    ):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_while_writing_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No space left"), AtomicFile(tmp_path / "file"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [-float("inf")]])
def test_no_file_holds_a_number_that_is_none(tmp_path: Path, value: object) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "file", {"value": value})
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_the_canonical_form_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    turned = dict(reversed(value.items()))
    assert canonical_json(value) == canonical_json(turned)
    assert sha256_json(value) == sha256_json(turned)


def test_half_a_character_in_a_document_comes_back_as_it_was(tmp_path: Path) -> None:
    """A path whose bytes are no UTF-8 has them; a run whose command names one must not lose its manifest."""
    write_json(tmp_path / "a.json", {"command": "--checkpoint caf\udce9"})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"command": "--checkpoint caf\udce9"}


def test_a_run_is_refused_in_a_folder_that_arrow_could_not_open(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"no UTF-8.*--out"):
        Run(tmp_path / "caf\udce9")
