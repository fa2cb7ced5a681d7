"""The chat format: turns to token ids, and where the image features go.

    <s><用户><image>(filler × query_num)</image>\\nquestion<AI>answer<用户>next question<AI>

There is no system prompt, nothing between turns, and no end token after earlier answers. The one image stands at the
start of the first user turn. Markers such as ``<用户>`` are no tokens of their own: they are spelt with the text around
them, so a turn is tokenised together with its neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.tokenizer import OmniTokenizer

USER_MARK = "<用户>"
ANSWER_MARK = "<AI>"
MARKS = {"user": USER_MARK, "assistant": ANSWER_MARK}

Messages = Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, BOS first.

    Attributes:
        image_slot: position of the first of the ``query_num`` filler ids; None without an image.
    """

    ids: tuple[int, ...]
    image_slot: int | None


class PromptBuilder:
    """Builds prompts for one tokenizer and one number of visual tokens (0 for a text-only model)."""

    def __init__(self, tokenizer: OmniTokenizer, query_num: int, *, parse_special: bool = False) -> None:
        self.tokenizer = tokenizer
        self.parse_special = parse_special
        self._head: tuple[int, ...] = ()
        self._slot = 0
        if query_num:
            if tokenizer.image_start_id is None or tokenizer.image_end_id is None:
                raise AdapterError(
                    "The tokenizer has no pieces <image> and </image>; it belongs to a text-only model. Use the "
                    "checkpoint's own tokenizer.model."
                )
            opening = (tokenizer.bos_id, *tokenizer.encode_text(USER_MARK), tokenizer.image_start_id)
            self._slot = len(opening)
            self._head = (*opening, *[tokenizer.unk_id] * query_num, tokenizer.image_end_id)

    def build(self, messages: Messages, *, with_image: bool) -> Prompt:
        """The prompt of one conversation. Raises :class:`AdapterError` for turns that the format cannot hold."""
        return self.encode([self.spell(messages, with_image=with_image)], [with_image])[0]

    def spell(self, messages: Messages, *, with_image: bool) -> str:
        """What of a conversation is left to be tokenised: all of it, or what follows the image."""
        text = conversation_text(messages)
        if not with_image:
            return text
        if not self._head:
            raise AdapterError("A text-only model was asked about an image. Ask without one, or use an image model.")
        return "\n" + text.removeprefix(USER_MARK)

    def encode(self, texts: Sequence[str], with_image: Sequence[bool]) -> list[Prompt]:
        """Prompts of many :meth:`spell` results; tokenised together, which is faster."""
        bos = (self.tokenizer.bos_id,)
        ids = self.tokenizer.encode_texts(texts, parse_special=self.parse_special)
        return [
            Prompt((*self._head, *own), self._slot) if image else Prompt((*bos, *own), None)
            for own, image in zip(ids, with_image, strict=True)
        ]


def conversation_text(messages: Messages) -> str:
    """A conversation as one string, without its image, ready for the answer.

    Raises:
        AdapterError: no turns, another role than user and assistant, or a first or last turn that is not the user's.
    """
    roles = [message["role"] for message in messages]
    unknown = [role for role in roles if role not in MARKS]
    if unknown:
        raise AdapterError(
            f"A turn has the role {unknown[0]!r}; OmniLMM's chat format has only user and assistant turns, and no "
            "system "
            "prompt. Put instructions into the user's question."
        )
    if not roles or roles[0] != "user" or roles[-1] != "user":
        raise AdapterError(f"A conversation must begin and end with a user turn; found roles {roles}.")
    return "".join(MARKS[message["role"]] + message["content"] for message in messages) + ANSWER_MARK
