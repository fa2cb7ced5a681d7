"""The journal: whole lines or none, the right line wins, and a full disk loses nothing that was written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals import journal as journal_module
from evals.errors import StoreError
from evals.journal import Journal, JournalIndex, decode_answer, encode_answer, read_answers
from evals.records import Answer
from model_adapters.contract import Failure, Timing, Usage


def answer(request_id: str, text: str = "yes", **changes: Any) -> Answer:
    return Answer(request_id, request_id.split("#")[0], "ab" * 32, text, **changes)


def failure(request_id: str) -> Answer:
    return answer(request_id, "", finish="error", failure=Failure("OSError", "truncated", "Traceback"))


def written(path: Path, *answers: Answer) -> Path:
    with Journal(path) as journal:
        journal.append(answers)
    return path


def counts(path: Path, request_id: str) -> Answer | None:
    with JournalIndex(path) as index:
        return index.get(request_id)


@given(st.text(), st.text(st.characters(codec="utf-8")), st.floats(-1e6, 1e6), st.integers(0, 10**9))
@settings(max_examples=60, deadline=None)
def test_an_answer_is_one_line_and_comes_back(text: str, message: str, ms: float, tokens: int) -> None:
    """Whatever the text: line separators and controls are escaped, lone surrogates become question marks."""
    usage, timing = Usage(new_tokens=tokens), Timing(decode_ms=round(ms, 4))
    given_answer = answer("q#1", text, usage=usage, timing=timing, choice_scores=(-0.5, ms), choice_tokens=(1, 2))
    line = encode_answer(given_answer).encode("utf-8", "replace")
    assert line.count(b"\n") == 1
    back = decode_answer(json.loads(line))
    assert back == answer(
        "q#1",
        text.encode("utf-8", "replace").decode(),
        usage=usage,
        timing=timing,
        choice_scores=(-0.5, ms),
        choice_tokens=(1, 2),
    )


def test_what_is_unknown_is_not_written(tmp_path: Path) -> None:
    assert set(json.loads(encode_answer(answer("q")))) == {"id", "sample", "hash", "text", "finish"}


def test_answers_come_back_in_the_order_written_and_by_id(tmp_path: Path) -> None:
    answers = [answer(f"q{i}", f"text {i}\u2028\r\n") for i in range(100)]
    path = written(tmp_path / "r" / "task.jsonl", *answers)
    assert list(read_answers(path)) == answers
    with JournalIndex(path) as index:
        assert len(index) == 100
        assert [index.get(f"q{i}") for i in range(100)] == answers
        assert index.get("q100") is None


def test_a_journal_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert counts(tmp_path / "none.jsonl", "q") is None
    assert list(read_answers(tmp_path / "none.jsonl")) == []


def test_the_last_answer_of_a_request_counts(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", answer("a", "first"), answer("b"), answer("a", "second"))
    found = counts(path, "a")
    assert found is not None
    assert found.text == "second"


def test_a_failure_never_beats_an_answer_and_an_answer_always_beats_a_failure(tmp_path: Path) -> None:
    path = written(
        tmp_path / "t.jsonl", answer("a"), failure("a"), failure("b"), answer("b"), failure("c"), failure("c")
    )
    kinds = {request_id: found.failure is None for request_id in "abc" if (found := counts(path, request_id))}
    assert kinds == {"a": True, "b": True, "c": False}


@pytest.mark.parametrize("cut", [1, 5, 60])
def test_a_torn_last_line_is_cut_on_open_and_only_its_request_is_lost(tmp_path: Path, cut: int) -> None:
    path = written(tmp_path / "t.jsonl", answer("a"), answer("b"))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert [a.request_id for a in read_answers(path)] == ["a"]
    with Journal(path) as journal:
        assert journal.torn_bytes == len(whole) // 2 - cut
        journal.append([answer("c")])
    assert [a.request_id for a in read_answers(path)] == ["a", "c"]


def test_a_journal_of_nothing_but_a_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'{"id": "a", "te' + b"x" * (3 << 20))
    with Journal(path) as journal:
        assert journal.torn_bytes == 15 + (3 << 20)
    assert path.read_bytes() == b""


@pytest.mark.parametrize("damage", ["{not json}", "{}", "[]", '{"id": "a"}'])
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, damage: str) -> None:
    path = written(tmp_path / "t.jsonl", answer("a"), answer("b"))
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], damage, lines[1]]) + "\n")
    with pytest.raises(StoreError, match=r"t\.jsonl:2 is not a journal line .* delete that line"):
        JournalIndex(path)


def test_an_edited_line_is_found_when_its_answer_is_wanted(tmp_path: Path) -> None:
    path = written(tmp_path / "t.jsonl", answer("a"), answer("b", usage=Usage(new_tokens=1)))
    path.write_text(path.read_text().replace("new_tokens", "tokens"))
    assert counts(path, "a") == answer("a")
    with pytest.raises(StoreError, match=r"t\.jsonl, at byte \d+, is not a journal line"):
        counts(path, "b")
    with pytest.raises(StoreError, match=r"t\.jsonl:2 is not a journal line"):
        list(read_answers(path))


class FullDisk:
    """A file that takes so many bytes and then no more."""

    def __init__(self, file: Any, room: int) -> None:
        self._file, self._room = file, room

    def write(self, data: bytes) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        took = self._file.write(data[: self._room])
        self._room -= took
        return int(took)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("room", [0, 1, 150, 400])
def test_a_full_disk_leaves_whole_lines_only_and_says_what_to_do(tmp_path: Path, room: int) -> None:
    path = tmp_path / "t.jsonl"
    with Journal(path) as journal:
        journal.append([answer("a"), answer("b")])
        before = path.read_bytes()
        journal._file = FullDisk(journal._file, room)  # type: ignore[assignment]
        with pytest.raises(StoreError, match=r"No space left on device\. All answers written before are safe"):
            journal.append([answer(f"c{i}", "x" * 100) for i in range(5)])
        assert path.read_bytes() == before


def test_a_disk_that_fails_to_sync_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    journal = Journal(tmp_path / "t.jsonl").__enter__()
    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(StoreError, match="Input/output error"):
        journal.__exit__(None, None, None)


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Could not write"), Journal(tmp_path / "file" / "t.jsonl"):
        pass


def test_batches_are_synced_every_two_seconds_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, synced = [100.0], [0]
    monkeypatch.setattr(journal_module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.__setitem__(0, synced[0] + 1))
    with Journal(tmp_path / "t.jsonl") as journal:
        for step in range(50):  # 10 s in steps of 0.2 s
            now[0] = 100.0 + 0.2 * step
            journal.append([answer(f"q{step}")])
        assert 4 <= synced[0] <= 5
    assert synced[0] in (5, 6)


def test_a_batch_is_one_write(tmp_path: Path) -> None:
    with Journal(tmp_path / "t.jsonl") as journal:
        writes: list[bytes] = []
        real = journal._file
        journal._file = SimpleNamespace(  # type: ignore[assignment]
            write=lambda data: writes.append(data) or real.write(data), fileno=real.fileno, close=real.close
        )
        journal.append(answer(f"q{i}") for i in range(300))
    assert len(writes) == 1
