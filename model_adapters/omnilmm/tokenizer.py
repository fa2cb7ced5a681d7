"""The original tokenizer, exactly: byte-fallback BPE from ``tokenizer.model``, run by the ``tokenizers`` library.

Why not transformers' own loaders: ``LlamaTokenizer`` of transformers 5 puts a space before every piece of text after a
special token, and ``AutoTokenizer`` loses the user-defined pieces of more than one character ("...", "<td>", "。。。").
The recipe here gives SentencePiece's ids on any text: merges between normal pieces only, ordered by score, spaces as
"▁" and nothing else normalised, no splitting into words, and every user-defined piece matched before the merges.

Text is data. ``<image>``, ``</image>``, ``<unk>``, ``<s>`` and ``</s>`` in a question are spelt out as characters, so
that no question can open an image or end a conversation; ``parse_special=True`` gives the original behaviour instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, normalizers
from tokenizers.models import BPE

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.sentencepiece_model import PieceType, SentencePieceModel, read_sentencepiece_model

IMAGE_START = "<image>"
IMAGE_END = "</image>"
SPACE = "▁"  # how SentencePiece writes a space
_IMAGE_MARKS = (IMAGE_START, IMAGE_END)


@dataclass(frozen=True)
class OmniTokenizer:
    """Text to ids and back. Made by :func:`load_tokenizer`.

    Attributes:
        unk_id, bos_id, eos_id: the control pieces; ``unk_id`` is also the filler under image features and the pad id.
        image_start_id, image_end_id: the marks around an image; None in a text-only vocabulary.
    """

    model: SentencePieceModel = field(repr=False)
    unk_id: int
    bos_id: int
    eos_id: int
    image_start_id: int | None
    image_end_id: int | None

    @property
    def pad_id(self) -> int:
        """The original pads with ``<unk>``; padding is always masked, so its value never matters."""
        return self.unk_id

    @property
    def vocab_size(self) -> int:
        """Number of pieces."""
        return len(self.model.pieces)

    def encode_text(self, text: str, *, parse_special: bool = False) -> list[int]:
        """Ids of a text, without BOS.

        Args:
            text: any text; characters outside the vocabulary become bytes.
            parse_special: read ``<image>``, ``</image>``, ``<unk>``, ``<s>`` and ``</s>`` as control tokens, as the
                original tokenizer does.
        """
        return self._spell_out(self._pick(parse_special).encode(text, add_special_tokens=False).ids)

    def encode_texts(self, texts: Sequence[str], *, parse_special: bool = False) -> list[list[int]]:
        """Ids of many texts; faster than one by one."""
        encodings = self._pick(parse_special).encode_batch_fast(list(texts), add_special_tokens=False)
        return [self._spell_out(encoding.ids) for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """Text of ids, as SentencePiece makes it.

        Control pieces appear by name, and each byte that is no part of UTF-8 as one U+FFFD. (The decoder in
        ``tokenizers`` gives up a whole run of bytes for one bad one.)
        """
        parts: list[str] = []
        waiting = bytearray()
        for i in ids:
            byte = self._byte_values.get(i)
            if byte is not None:
                waiting.append(byte)
                continue
            if waiting:
                parts.append(_utf8(bytes(waiting)))
                waiting.clear()
            parts.append(self._texts[i] if i < len(self._texts) else "")  # the head may be wider than the vocabulary
        return "".join(parts) + _utf8(bytes(waiting))

    def decode_answer(self, ids: Iterable[int]) -> str:
        """Text of a generated answer as the original prints it: no filler, no BOS or EOS at its ends, stripped."""
        return self.decode_generated(ids).strip()

    def decode_generated(self, ids: Iterable[int]) -> str:
        """The same with its blanks, in which a stop string may be."""
        kept = [i for i in ids if i != self.unk_id]
        if kept and kept[0] == self.bos_id:
            kept = kept[1:]
        if kept and kept[-1] == self.eos_id:
            kept = kept[:-1]
        return self.decode(kept)

    def _spell_out(self, ids: list[int]) -> list[int]:
        """Replace characters that only live inside pieces (see :func:`_inner_characters`) by their bytes."""
        if not ids or max(ids) < self.vocab_size:
            return ids
        return [real for i in ids for real in (self._inner_bytes[i] if i >= self.vocab_size else (i,))]

    @cached_property
    def _inner_bytes(self) -> dict[int, tuple[int, ...]]:
        byte_ids = list(self._byte_values)
        inner = _inner_characters(self.model)
        return {i: tuple(byte_ids[byte] for byte in text.encode()) for text, i in inner.items()}

    def _pick(self, parse_special: bool) -> Tokenizer:
        return self._special if parse_special else self._plain

    @cached_property
    def _texts(self) -> list[str]:
        return [piece.text.replace(SPACE, " ") for piece in self.model.pieces]

    @cached_property
    def _byte_values(self) -> dict[int, int]:
        byte_ids = (i for i, piece in enumerate(self.model.pieces) if piece.type is PieceType.BYTE)
        return {i: value for value, i in enumerate(byte_ids)}  # pieces <0x00> to <0xFF> stand in this order

    @cached_property
    def _plain(self) -> Tokenizer:
        return _build(self.model, parse_special=False)

    @cached_property
    def _special(self) -> Tokenizer:
        return _build(self.model, parse_special=True)


def load_tokenizer(path: str | Path) -> OmniTokenizer:
    """Load a ``tokenizer.model``, given itself or the checkpoint folder that holds it.

    Raises:
        AdapterError: absent, damaged, or of another kind than MiniCPM's (byte-fallback BPE without normalisation).
    """
    file = Path(path)
    file = file / "tokenizer.model" if file.is_dir() else file
    model = read_sentencepiece_model(file)
    _check_kind(model, file)
    ids = {piece.text: i for i, piece in enumerate(model.pieces)}
    unknown = [i for i, piece in enumerate(model.pieces) if piece.type is PieceType.UNKNOWN]
    if len(unknown) != 1 or "<s>" not in ids or "</s>" not in ids:
        raise AdapterError(
            f"{file}: expected one unknown piece and the control pieces <s> and </s>; this is not MiniCPM's "
            "vocabulary. "
            "Use the checkpoint's own tokenizer.model."
        )
    return OmniTokenizer(model, unknown[0], ids["<s>"], ids["</s>"], ids.get(IMAGE_START), ids.get(IMAGE_END))


def _check_kind(model: SentencePieceModel, file: Path) -> None:
    found = {
        "a BPE model": model.is_bpe,
        "byte fallback": model.byte_fallback,
        "the identity normaliser": model.normalizer == "identity",
        "no dummy prefix": not model.add_dummy_prefix,
        "no removal of extra whitespace": not model.remove_extra_whitespaces,
        "escaped whitespace": model.escape_whitespaces,
        "256 byte pieces in order": [p.text for p in model.pieces if p.type is PieceType.BYTE]
        == [f"<0x{value:02X}>" for value in range(256)],
    }
    lacking = [name for name, present in found.items() if not present]
    if lacking:
        raise AdapterError(
            f"{file}: this SentencePiece model lacks {', '.join(lacking)}; MiniCPM's has all of these, and other "
            "kinds are "
            "not implemented. Use the checkpoint's own tokenizer.model."
        )


def _build(model: SentencePieceModel, *, parse_special: bool) -> Tokenizer:
    pieces = model.pieces
    vocab = {piece.text: i for i, piece in enumerate(pieces)} | _inner_characters(model)
    unknown = next(piece.text for piece in pieces if piece.type is PieceType.UNKNOWN)
    bpe = BPE(vocab=vocab, merges=_merges(model), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Replace(" ", SPACE)
    matched = [p.text for p in pieces if p.type is PieceType.USER_DEFINED and p.text not in _IMAGE_MARKS]
    if parse_special:
        control = [p.text for p in pieces if p.type in (PieceType.UNKNOWN, PieceType.CONTROL)]
        matched += control + [mark for mark in _IMAGE_MARKS if mark in vocab]
    tokenizer.add_tokens([AddedToken(text.replace(SPACE, " "), normalized=False) for text in matched])
    return tokenizer


def _utf8(data: bytes) -> str:
    text = ""
    while data:
        try:
            return text + data.decode()
        except UnicodeDecodeError as error:
            text += data[: error.start].decode() + "\ufffd" * (error.end - error.start)
            data = data[error.end :]
    return text


def _inner_characters(model: SentencePieceModel) -> dict[str, int]:
    """Characters that occur in pieces but are none themselves, with ids above the vocabulary.

    SentencePiece merges neighbours whenever the result is a piece, even if one of them is not: the zero-width joiner of
    an emoji sequence, say. ``tokenizers`` merges vocabulary entries only, so these get an entry for the while.
    """
    texts = {piece.text for piece in model.pieces}
    characters = {c for p in model.pieces if p.type is PieceType.NORMAL and len(p.text) > 1 for c in p.text}
    return {c: len(model.pieces) + i for i, c in enumerate(sorted(characters - texts))}


def _merges(model: SentencePieceModel) -> list[tuple[str, str]]:
    """Every way to put a normal piece together from two parts, best score first."""
    scores = {piece.text: piece.score for piece in model.pieces if piece.type is PieceType.NORMAL}
    parts = scores.keys() | _inner_characters(model).keys()
    merges = [
        (-score, len(whole[:cut]), whole[:cut], whole[cut:])
        for whole, score in scores.items()
        for cut in range(1, len(whole))
        if whole[:cut] in parts and whole[cut:] in parts
    ]
    merges.sort(key=lambda merge: (merge[0], -merge[1]))
    return [(left, right) for _, _, left, right in merges]
