"""Penn Treebank tokenisation of captions, as the COCO caption scorers need it, without Java.

pycocoevalcap pipes all captions of a set through Stanford's PTBTokenizer (CoreNLP 3.4.1, ``-preserveLines -lowerCase``)
and then removes a list of punctuation tokens. This module gives the same tokens, one caption at a time: a caption never
depends on the next one, and line separators inside a caption (CR, VT, FF, NEL, LS, PS), which shift all later captions
there, are just white space here.

Things that surprise and are kept: brackets come out in lower case (``-lrb-``) and stay, because the list has them in
upper case; ``?!`` stays; ``1 1/2`` is one token with a no-break space inside; emoji and letters newer than Unicode 6.1
vanish.
"""

from __future__ import annotations

import re
from functools import lru_cache

from evals.metrics.ptb_kinds import BLANKS, KINDS, SINGLE_CHARACTERS, Kind

# Of the scorers' list the entries that a lower-case token can equal.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
SPLIT_WORDS = frozenset(["cannot", "gonna", "gotta", "lemme", "gimme", "wanna"])
LONGEST_CHUNK = 300  # characters without a blank; longer ones are cut, which bounds the time
LONGEST_CACHED = 60  # characters; longer chunks are hardly ever repeated

_PLAIN_WORDS = re.compile(r"(?:[A-Za-z]+(?: +|\Z))+")
# A chunk's tokens depend on the next chunk only where it ends and the next one begins like this ("1 1/2", "no. 5").
_OPEN_END = re.compile(r".*[.)\d]", re.DOTALL)
_CONTINUATION = re.compile(rf"[.<A-Z\d{BLANKS}\r\x0b\x0c\x85\u2028\u2029]")
_OVERLONG = re.compile(f"[^ ]{{{LONGEST_CHUNK}}}(?=[^ ])")
_LEADING_BLANKS = re.compile(f"[{BLANKS}]+")


def tokenize(caption: str) -> str:
    """A caption as the caption scorers compare it: lower-case tokens without punctuation, separated by single spaces.

    Source: pycocoevalcap 1.2, tokenizer/ptbtokenizer.py. A token may hold a no-break space (``1 1/2``).
    """
    text = caption.replace("\n", " ")
    if len(text) > LONGEST_CHUNK:
        text = _OVERLONG.sub(r"\g<0> ", text)
    plain = _PLAIN_WORDS.match(text)
    words = plain[0].lower().split() if plain else []
    if not SPLIT_WORDS.isdisjoint(words):
        words = [part for word in words for part in ((word[:3], word[3:]) if word in SPLIT_WORDS else (word,))]
    at = plain.end() if plain else 0
    return " ".join(words + _tokenize_chunks(text, at)).rstrip() if at < len(text) else " ".join(words)


def _tokenize_chunks(text: str, start: int) -> list[str]:
    """Tokens of ``text`` from ``start``, where a chunk (what blanks separate) begins."""
    chunks = text[start:].split(" ")
    line = text + "\n"
    tokens: list[str] = []
    done = start  # up to where the text is tokenised
    for number, chunk in enumerate(chunks, start=1):
        if start > 0 and (blanks := _LEADING_BLANKS.match(chunk)):
            start, chunk = start + blanks.end(), chunk[blanks.end() :]  # part of the blank before
        if chunk and start >= done:
            if number == len(chunks):
                tokens += _chunk_tokens(chunk, "\n")
            elif not _depends_on_next(chunk, chunks[number]):
                tokens += _chunk_tokens(chunk, " x")
            else:
                found, done = _lex(line, start, start + len(chunk))
                tokens += found
        start += len(chunk) + 1
    return tokens


def _depends_on_next(chunk: str, following: str) -> bool:
    """Whether a token of this chunk may reach into the next or look at it (an empty one stands for two blanks)."""
    if "<" in chunk:
        return True
    return _OPEN_END.fullmatch(chunk) is not None and (not following or _CONTINUATION.match(following) is not None)


def _tokens_of(chunk: str, before: str) -> tuple[str, ...]:
    return tuple(_lex(chunk + before, 0, len(chunk))[0])


_tokens_of_cached = lru_cache(maxsize=2**16)(_tokens_of)


def _chunk_tokens(chunk: str, before: str) -> tuple[str, ...]:
    """Tokens of a chunk that stands before ``before``."""
    return _tokens_of_cached(chunk, before) if len(chunk) <= LONGEST_CACHED else _tokens_of(chunk, before)


def _lex(text: str, at: int, end: int) -> tuple[list[str], int]:
    """Tokens of ``text`` from ``at`` to ``end`` and on to the next chunk or line feed; and where that is.

    ``text`` goes on behind ``end``, so that every look at the next character finds one.
    """
    tokens = []
    while at < end or (text[at] not in " \n" and text[at - 1] != " "):
        longest, kind = 0, None
        for candidate in _kinds_beginning_with(text[at]):
            if (match := candidate.pattern.match(text, at)) and match.end() - at > longest:
                longest, kind, token_end = match.end() - at, candidate, match.end(1)
        if kind is None:
            token = SINGLE_CHARACTERS.get(text[at], "")
            at += 1
        else:
            token = kind.rewrite(text[at:token_end])
            at = token_end
        token = token.lower()
        if token and token not in PUNCTUATION:
            tokens.append(token)
    return tokens, at


@lru_cache(maxsize=2**12)
def _kinds_beginning_with(character: str) -> tuple[Kind, ...]:
    return tuple(kind for kind in KINDS if kind.begins.match(character))
