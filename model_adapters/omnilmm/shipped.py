"""Checkpoints that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from model_adapters.contract import AdapterError, did_you_mean

SHIPPED_FOLDER = Path(__file__).resolve().parent.parent / "checkpoints"
DEFAULT = "small-final"


def shipped_names() -> list[str]:
    """Names of the checkpoints in this installation, sorted."""
    if not SHIPPED_FOLDER.is_dir():
        return []
    return sorted(folder.name for folder in SHIPPED_FOLDER.iterdir() if (folder / "config.json").is_file())


def resolve_checkpoint(name_or_path: str | Path) -> Path:
    """The folder of a checkpoint: a path that exists, or the name of a shipped one.

    Raises:
        AdapterError: neither; with the nearest shipped name.
    """
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return path
    if path.is_file():
        raise AdapterError(f"The checkpoint {path} is a file; give the folder that holds config.json and the weights.")
    names = shipped_names()
    if str(name_or_path) in names:
        return SHIPPED_FOLDER / str(name_or_path)
    hint = did_you_mean(str(name_or_path), names)
    known = f"shipped: {', '.join(names)}" if names else "none is shipped with this installation"
    raise AdapterError(
        f"There is no checkpoint {str(name_or_path)!r}: no such folder, and no shipped one of that name.{hint} Give "
        "the "
        f"path of a checkpoint folder, or a name ({known})."
    )
