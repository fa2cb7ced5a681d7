"""A profile on disk: how it is told apart from a run, read and written. Light, since `compare` asks of every folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from evals.errors import StoreError
from evals.files import write_json

SCHEMA_VERSION = 1
KIND = "profile"
FILE = "profile.json"


@dataclass(frozen=True)
class Profile:
    """A profile on disk: its file and the document in it."""

    path: Path
    document: Mapping[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        return str(self.document["profile_id"])

    @property
    def hardware_key(self) -> str:
        """Profiles of different keys say nothing about each other."""
        return str(self.document["hardware_key"])

    @cached_property
    def invalid(self) -> list[str]:
        """What makes the numbers worthless; empty where nothing does."""
        return [flag["detail"] for flag in self.document["flags"] if flag["severity"] == "invalid"]


def write_profile(folder: Path, document: Mapping[str, Any]) -> Profile:
    """Write profile.json into a folder."""
    write_json(folder / FILE, document)
    return Profile(folder / FILE, document)


def is_profile(path: Path) -> bool:
    """Whether a path is a profile: the file, or its folder."""
    return path.name == FILE or (path / FILE).is_file()


def open_profile(path: Path) -> Profile:
    """Read a profile by its file or folder.

    Raises:
        StoreError: missing, not JSON, no profile, or of another schema.
    """
    file = path if path.name == FILE else path / FILE
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise StoreError(f"{file}: {error.strerror}. Give a folder that `profile --out` made.") from error
    except ValueError as error:
        raise StoreError(f"{file} is not valid JSON ({error}). Measure again.") from error
    found = (document.get("kind"), document.get("schema_version")) if isinstance(document, dict) else None
    if found != (KIND, SCHEMA_VERSION):
        raise StoreError(
            f"{file} is no profile that this program reads: kind and schema version {found}, expected "
            f"{(KIND, SCHEMA_VERSION)}. Measure again, or use the program that wrote it."
        )
    return Profile(file, document)
