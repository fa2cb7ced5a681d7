"""Watching answers grow: stop strings end them, and whoever listens hears each new piece of text.

A piece is told only when nothing that comes later can change it. Blanks at the end wait (an answer is stripped), so do
the first bytes of a character that takes several tokens, and a beginning of a stop string.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from model_adapters.contract import Response
from model_adapters.omnilmm.tokenizer import OmniTokenizer

OnText = Callable[[str, str], None]
_HALF_CHARACTER = "\ufffd"


class Follower:
    """Tells pieces of many requests' texts.

    Args:
        on_text: called with a request's id and a piece; the pieces of an answer, joined, are its text.
    """

    def __init__(self, on_text: OnText) -> None:
        self._on_text = on_text
        self._told: dict[str, int] = {}  # characters, by request; a batch that is tried again tells nothing twice

    def grown(self, request_id: str, text: str, stop: Sequence[str]) -> None:
        """A request's text so far, with its blanks."""
        self._tell(request_id, settled(text, stop))

    def finished(self, response: Response) -> None:
        """Tell what is left of an answer."""
        self._tell(response.request_id, response.text)
        self._told.pop(response.request_id, None)

    def _tell(self, request_id: str, text: str) -> None:
        told = self._told.get(request_id, 0)
        if len(text) > told:
            self._told[request_id] = len(text)
            self._on_text(request_id, text[told:])


def settled(text: str, stop: Sequence[str]) -> str:
    """The part of a growing text that will not change any more."""
    cut = min((text.find(end) for end in stop if end in text), default=len(text))
    text = text[:cut].rstrip(_HALF_CHARACTER)
    held = max((_overlap(text, end) for end in stop), default=0)
    return text[: len(text) - held].strip()


def _overlap(text: str, end: str) -> int:
    """Length of the longest beginning of ``end`` with which ``text`` ends."""
    return next((n for n in range(min(len(text), len(end) - 1), 0, -1) if text.endswith(end[:n])), 0)


def watch(
    tokenizer: OmniTokenizer, request_ids: Sequence[str], stop: Sequence[str], follower: Follower | None
) -> Callable[[int, list[int]], bool] | None:
    """What the decoding loop asks after each token of a row; True ends the row. None where nobody needs to know."""
    if not stop and follower is None:
        return None

    def is_complete(row: int, ids: list[int]) -> bool:
        text = tokenizer.decode_generated(ids)
        if follower is not None:
            follower.grown(request_ids[row], text, stop)
        return any(end in text for end in stop)

    return is_complete
