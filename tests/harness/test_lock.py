"""One writer a run directory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from evals.errors import StoreError
from evals.lock import RunLock

PROJECT = Path(__file__).resolve().parents[2]
HOLD = """
import sys; from pathlib import Path; from evals.lock import RunLock
with RunLock(Path(sys.argv[1])): print("held", flush=True); sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Another process that holds the lock of ``tmp_path`` until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    with pytest.raises(StoreError, match=rf"being written by process {holder.pid} on {socket.gethostname()}"):
        RunLock(tmp_path).__enter__()
    holder.communicate()
    with RunLock(tmp_path):
        pass


def test_a_killed_process_does_not_keep_its_lock(tmp_path: Path, holder: subprocess.Popen[bytes]) -> None:
    """Not even if its process id was given to another process meanwhile: the system's lock decides, not the number."""
    holder.kill()
    holder.wait()
    assert json.loads((tmp_path / "lock").read_text())["pid"] == holder.pid
    (tmp_path / "lock").write_text(json.dumps({"pid": os.getppid(), "host": socket.gethostname()}))
    with RunLock(tmp_path) as lock:
        assert json.loads(lock.path.read_text())["pid"] == os.getpid()


def test_a_lock_left_by_another_host_is_respected(tmp_path: Path) -> None:
    left = json.dumps({"pid": 7, "host": "another-machine"})
    (tmp_path / "lock").write_text(left)
    with pytest.raises(StoreError, match=r"process 7 on another-machine.*If it is surely gone, delete .*lock"):
        RunLock(tmp_path).__enter__()
    assert (tmp_path / "lock").read_text() == left


@pytest.mark.parametrize("torn", ["", '{"pid": 1', "null", "[1]"])
def test_a_lock_torn_by_a_crash_is_taken(tmp_path: Path, torn: str) -> None:
    (tmp_path / "lock").write_text(torn)
    with RunLock(tmp_path):
        pass


def test_the_lock_is_gone_afterwards_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(KeyError), RunLock(tmp_path / "run"):
        raise KeyError
    assert not (tmp_path / "run" / "lock").exists()


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="Could not write"):
        RunLock(tmp_path / "file" / "run").__enter__()


def test_within_one_process_there_is_one_writer_too(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(StoreError, match="being written"):
        RunLock(tmp_path).__enter__()
