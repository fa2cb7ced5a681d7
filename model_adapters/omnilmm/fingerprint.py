"""What weights a checkpoint holds, as one digest: the same for the same tensors, however they are split into files."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.tensor_files import DTYPE_NAMES, TensorFile

REMEMBERED_ABOVE_BYTES = 64 * 2**20  # smaller checkpoints are hashed in a moment
_BLOCK = 2**24


def weights_fingerprint(files: Mapping[str, TensorFile], *, verify: bool = False) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of all stored tensors.

    The digest of a large checkpoint is remembered in the user's cache folder, by path, size and modification time of
    its files; nothing is ever written into the checkpoint's own folder.

    Args:
        verify: read all bytes again, whatever is remembered; what is remembered is corrected.

    Raises:
        AdapterError: with ``verify``, files of a remembered size and time hold something else.
    """
    paths = sorted({file.path.resolve() for file in files.values()})
    stats = [path.stat() for path in paths]
    key = json.dumps([[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in zip(paths, stats, strict=True)])
    note = _cache_folder() / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.txt"
    remember = sum(stat.st_size for stat in stats) > REMEMBERED_ABOVE_BYTES
    known = note.read_text().strip() if remember and note.is_file() else ""
    if len(known) == 64 and not verify:
        return known
    digest = _hash(files)
    if remember:
        _write_note(note, digest)
    if known not in ("", digest) and verify:
        raise AdapterError(
            f"The weights in {paths[0].parent} are not what they were when their fingerprint was computed, although "
            f"size and time of the files are: {known[:12]}… then, {digest[:12]}… now. Runs made in between name the "
            "old one. Restore the files, or run again with them as they are: the fingerprint is corrected."
        )
    return digest


def _hash(files: Mapping[str, TensorFile]) -> str:
    total = hashlib.sha256()
    for name in sorted(files):
        tensor = files[name].read(name).contiguous()
        total.update(f"{name} {DTYPE_NAMES[tensor.dtype]} {list(tensor.shape)} ".encode())
        data = tensor.reshape(-1).view(torch.uint8).numpy()
        own = hashlib.sha256()
        for begin in range(0, len(data), _BLOCK):
            own.update(data[begin : begin + _BLOCK])
        total.update(own.digest())
    return total.hexdigest()


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "omnilmm-eval" / "fingerprints"


def _write_note(note: Path, digest: str) -> None:
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        partial = note.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(digest + "\n")
        partial.replace(note)
    except OSError:
        return  # only a shortcut: without it the weights are hashed again next time
