"""Writing files so that a reader never sees half of one, and finding the folders the project keeps things in."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from evals.errors import StoreError

PROJECT = Path(__file__).resolve().parent.parent
TASKS_DIR = PROJECT / "tasks"


def cache_dir() -> Path:
    """Where generated and downloaded data is kept: ``$XDG_CACHE_HOME/omnilmm-eval`` or ``~/.cache/omnilmm-eval``."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "omnilmm-eval"


def write_atomically(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file beside its place, fsync it, and move it there in one step; on failure the old file stays.

    Raises:
        StoreError: the disk is full or the folder cannot be written; nothing is left behind.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(
            f"Could not write {path}: {error.strerror or error}. What was there before is unchanged. "
            "Free some space or choose another folder, then run the same command again."
        ) from error
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""

    def write(file: BinaryIO) -> None:
        file.write(data)

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON document for people: indented, keys in the order given, no NaN."""
    text = json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value: sorted keys, no spaces, UTF-8; hashes are taken over it.

    Lone surrogates, which UTF-8 cannot carry, are kept as ``\\udXXX`` escapes.
    """
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "backslashreplace")


def sha256_json(value: Any) -> str:
    """Hex sha256 of a JSON value's canonical form."""
    return hashlib.sha256(canonical_json(value)).hexdigest()
