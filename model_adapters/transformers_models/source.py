"""Where a checkpoint lies, and whether code that it brings may run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_adapters.contract import AdapterError

COMMIT = re.compile(r"[0-9a-f]{40}")
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_WANTED = ("*.json", "*.safetensors", "*.model", "*.txt", "*.jinja")
# Files beside the weights that decide how a prompt becomes numbers.
_PROCESSOR_FILES = re.compile(
    r"(tokenizer|special_tokens|added_tokens|vocab|merges|preprocessor|processor|video_preprocessor|chat_template)"
    r".*\.(json|txt|jinja)|.*\.model"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint on this machine.

    Attributes:
        folder: with config.json, processor files and weights.
        name: for people: the repository, or the folder's name.
        revision: the hub's commit; None for a folder.
        remote_code: digest of the code that comes with the checkpoint and may run; None where none may.
    """

    folder: Path
    name: str
    revision: str | None = None
    remote_code: str | None = None

    def config(self) -> dict[str, Any]:
        """config.json, as stored. Raises :class:`AdapterError` where it is missing or no mapping."""
        path = self.folder / "config.json"
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AdapterError(
                f"{path} cannot be read ({error}). Give the folder of a transformers checkpoint."
            ) from error
        if not isinstance(raw, dict):
            raise AdapterError(f"{path} holds no mapping. Copy it again from the checkpoint.")
        return raw

    def processor_digest(self) -> str:
        """SHA-256 over the names and contents of tokenizer, image processor and chat template."""
        digest = hashlib.sha256()
        for path in sorted(self.folder.iterdir()):
            if _PROCESSOR_FILES.fullmatch(path.name) and path.is_file():
                digest.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()} ".encode())
        return digest.hexdigest()


def find_source(checkpoint: str, revision: str | None, *, trust_remote_code: bool) -> Source:
    """A folder as it is, or a hub repository, downloaded unless it is in the cache.

    Raises:
        AdapterError: no such folder, a revision for a folder, remote code without a pinned commit, or a repository that
            cannot be fetched.
    """
    folder = Path(checkpoint).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise AdapterError(f"{folder} is a folder and has no revision; leave revision={revision!r} out.")
        code = _code_digest(folder) if trust_remote_code else None
        return Source(folder, folder.resolve().name, None, code)
    if not _REPOSITORY.fullmatch(checkpoint):
        raise AdapterError(
            f"There is no folder {checkpoint!r}, and it is no name of a hub repository (owner/name) either. Give one."
        )
    if trust_remote_code and not (revision and COMMIT.fullmatch(revision)):
        raise AdapterError(
            f"trust_remote_code=true runs code out of {checkpoint}. It needs revision=COMMIT with all 40 hexadecimal "
            f"digits of a commit that you have read, not {revision!r}: a branch or tag can change under you."
        )
    found = _download(checkpoint, revision, (*_WANTED, *(("*.py",) if trust_remote_code else ())))
    code = _code_digest(found) if trust_remote_code else None
    return Source(found, checkpoint, found.name if COMMIT.fullmatch(found.name) else revision, code)


def _download(repository: str, revision: str | None, wanted: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=list(wanted)))
    except Exception as error:
        # The library raises many kinds (no network, no such repository, gated, no such revision), all for this reason.
        at = f" at {revision}" if revision else ""
        raise AdapterError(
            f"The checkpoint {repository}{at} cannot be fetched ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}). Check name, revision, network and access, or give a "
            "folder that holds it."
        ) from error


def _code_digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()} ".encode())
    return digest.hexdigest()
