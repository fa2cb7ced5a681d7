"""The pieces of a SentencePiece ``tokenizer.model``, read from its protobuf bytes.

The file is a ``ModelProto``; this reads the few fields that a tokenizer needs (field numbers from
sentencepiece_model.proto): pieces with score and type, the kind of model, and the normaliser's switches.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from model_adapters.contract import AdapterError


class PieceType(IntEnum):
    """``ModelProto.SentencePiece.Type``."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True, slots=True)
class Piece:
    """One vocabulary entry; its position in the file is its id."""

    text: str
    score: float
    type: PieceType


@dataclass(frozen=True, slots=True)
class SentencePieceModel:
    """What a ``tokenizer.model`` says. Switches that are absent have the format's default."""

    pieces: tuple[Piece, ...]
    is_bpe: bool
    byte_fallback: bool
    normalizer: str
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool
    escape_whitespaces: bool


def read_sentencepiece_model(path: Path) -> SentencePieceModel:
    """Parse a ``tokenizer.model``. Raises :class:`AdapterError` if it is absent, damaged, or something else."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AdapterError(
            f"There is no readable tokenizer at {path} ({error.strerror}). A checkpoint folder holds the "
            "SentencePiece file "
            "tokenizer.model; copy it from the original checkpoint."
        ) from error
    pieces: list[Piece] = []
    trainer: dict[int, bytes | int] = {}
    normalizer: dict[int, bytes | int] = {}
    try:
        for field, value in _fields(data):
            if field == 1 and isinstance(value, bytes):
                pieces.append(_piece(value))
            elif field == 2 and isinstance(value, bytes):
                trainer = dict(_fields(value))
            elif field == 3 and isinstance(value, bytes):
                normalizer = dict(_fields(value))
    except (ValueError, IndexError, struct.error) as error:
        raise AdapterError(
            f"{path} is not a SentencePiece model ({error}): it is damaged or a Git LFS pointer. Copy it again."
        ) from error
    if not pieces:
        raise AdapterError(f"{path} holds no vocabulary; expected a SentencePiece model. Copy it again.")
    name = normalizer.get(1, b"")
    return SentencePieceModel(
        pieces=tuple(pieces),
        is_bpe=trainer.get(3, 1) == 2,  # TrainerSpec.model_type: UNIGRAM 1, BPE 2
        byte_fallback=bool(trainer.get(35, 0)),
        normalizer=name.decode() if isinstance(name, bytes) else "",
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
        escape_whitespaces=bool(normalizer.get(5, 1)),
    )


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, PieceType.NORMAL
    for field, value in _fields(data):
        if field == 1 and isinstance(value, bytes):
            text = value.decode()
        elif field == 2 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif field == 3 and isinstance(value, int):
            kind = PieceType(value)
    return Piece(text, score, kind)


def _fields(data: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Field numbers and raw values of one protobuf message: varints as int, everything else as bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        wire = key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + length > len(data):
            raise ValueError(f"cut off at byte {at}")
        yield key >> 3, data[at : at + length]
        at += length


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"number too long at byte {at}")
