"""Requests to batches: what each asks for, checked and tokenised, and in which company it is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from model_adapters.contract import AdapterError, GenerationSettings, ImageRef, Request, check_characters
from model_adapters.omnilmm.config import LanguageConfig
from model_adapters.omnilmm.prompt import Messages, Prompt

DEFAULT_TOKENS = 2**17
WINDOW_BATCHES = 4  # requests are looked at this many batches ahead


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be answered: its prompt fits, its image is still to be decoded."""

    request: Request
    prompt: Prompt
    image: ImageRef | None


def windows(requests: Iterable[Request], size: int) -> Iterator[list[Request]]:
    """Consecutive requests, ``size`` at a time, pulled only when needed."""
    iterator = iter(requests)
    while window := list(islice(iterator, size)):
        yield window


def messages_and_image(request: Request, *, image_model: bool, text_only: bool) -> tuple[Messages, ImageRef | None]:
    """A request's turns as the chat format takes them, and its one image.

    The image always goes before the text of the first user turn, wherever in that turn it stands.

    Raises:
        AdapterError: too many images, none where one is needed, one in a later turn, settings that exclude each other,
        or a text that is none.
    """
    messages = [{"role": turn.role, "content": turn.text} for turn in request.turns]
    images = request.images
    if images and not image_model:
        raise AdapterError("MiniCPM-2B is a text model and this request has an image; use omnilmm, or ask without it.")
    if len(images) > 1:
        raise AdapterError(
            f"This request has {len(images)} images; OmniLMM takes one. Paste them into one picture, or leave this "
            "task out."
        )
    if image_model and not images and not text_only:
        raise AdapterError(
            "This request has no image, and OmniLMM always answers about one. Set the option text_only=true to ask its "
            "language model alone, which the original code never does."
        )
    first_user = next((turn for turn in request.turns if turn.role == "user"), None)
    if images and (first_user is None or images[0] not in first_user.images):
        raise AdapterError(
            "The image stands in a later turn; OmniLMM's chat format has it in the first user turn only."
        )
    check_settings(request.generation)
    check_characters(request)
    return messages, images[0] if images else None


def check_settings(settings: GenerationSettings) -> None:
    """Refuse generation settings that mean nothing. Raises :class:`AdapterError`."""
    problems = [
        ("max_new_tokens", settings.max_new_tokens, settings.max_new_tokens >= 1, "at least 1"),
        ("num_beams", settings.num_beams, settings.num_beams >= 1, "at least 1"),
        ("repetition_penalty", settings.repetition_penalty, settings.repetition_penalty > 0, "above 0"),
        ("temperature", settings.temperature, not settings.do_sample or settings.temperature > 0, "above 0"),
        ("top_p", settings.top_p, not settings.do_sample or 0 < settings.top_p <= 1, "in (0, 1]"),
        ("top_k", settings.top_k, settings.top_k >= 0, "0 (off) or more"),
        ("stop", list(settings.stop), all(settings.stop), "strings that are not empty"),
    ]
    for name, value, fine, expected in problems:
        if not fine:
            raise AdapterError(f"The generation setting {name} is {value}; expected {expected}.")
    if settings.do_sample and settings.num_beams > 1:
        raise AdapterError("Sampling and beam search exclude each other; set num_beams: 1 or do_sample: false.")
    if settings.num_beams > 1 and settings.stop:
        raise AdapterError("Stop strings are not supported with beam search; set num_beams: 1 or leave them out.")


def fitting(prompt: Prompt, config: LanguageConfig, *, truncate: bool) -> Prompt:
    """A prompt within the model's context; its tail is cut only if asked for, as the original does.

    Raises:
        AdapterError: too long.
    """
    limit = config.max_position_embeddings
    if len(prompt.ids) <= limit:
        return prompt
    if truncate:
        return Prompt(prompt.ids[:limit], prompt.image_slot)
    raise AdapterError(
        f"The prompt has {len(prompt.ids)} tokens, the model takes {limit}. Shorten the question or its examples; the "
        "option truncate=true cuts the end off, as the original code does."
    )


def plan_batches(asked: Sequence[Asked], batch_size: int, most_tokens: int = DEFAULT_TOKENS) -> list[list[Asked]]:
    """Put requests of one window into batches; the same requests always give the same batches.

    Requests with other generation settings never share a batch. Where pictures are asked about more than once, the
    order of arrival is kept, which has their questions side by side; else prompts of like length go together.

    Args:
        batch_size: rows of a batch (beams count as rows).
        most_tokens: ids of a batch, those that may still be generated included; a single request may have more.
    """
    groups: dict[tuple[GenerationSettings, bool], list[Asked]] = {}
    for item in asked:
        groups.setdefault((item.request.generation, item.image is None), []).append(item)
    batches: list[list[Asked]] = []
    for (settings, _), group in groups.items():
        images = {item.image.sha256 for item in group if item.image is not None}
        if len(images) * 1.5 > len(group) or not images:
            group.sort(key=lambda item: len(item.prompt.ids))
        else:
            first_seen = {
                sha256: i for i, sha256 in enumerate(dict.fromkeys(item.image.sha256 for item in group if item.image))
            }
            group.sort(key=lambda item: first_seen[item.image.sha256] if item.image else -1)
        rows, tokens = max(1, batch_size // settings.num_beams), 0
        for number, item in enumerate(group):
            cost = (len(item.prompt.ids) + settings.max_new_tokens) * settings.num_beams
            tokens += cost
            if number == 0 or len(batches[-1]) == rows or tokens > most_tokens:
                batches.append([])
                tokens = cost
            batches[-1].append(item)
    return batches
