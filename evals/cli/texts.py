"""Lists and pairs that the command line gives as text; light, for commands that ask no model."""

from __future__ import annotations

from evals.errors import SpecError


def parts_of(texts: list[str]) -> list[str]:
    """Identity parts of ``--allow``, given one by one or with commas."""
    return [part for text in texts for part in text.split(",")]


def mapping_of(pairs: list[str]) -> dict[str, str]:
    """``OURS=THEIRS`` column names. Raises :class:`SpecError` for anything else."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise SpecError(f"--map {pair!r}: expected OURS=THEIRS, for example --map prediction=answer.")
        mapping[ours] = theirs
    return mapping
