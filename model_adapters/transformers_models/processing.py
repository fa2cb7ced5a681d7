"""Processors without torchvision, and requests as padded batches.

Pictures are resized by PIL on every machine, also where torchvision is installed: the two resize differently, and a
score must not depend on which of them a machine has. A processor's video part insists on torchvision; it is left out,
because no request holds a video.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, AutoImageProcessor, AutoTokenizer
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING, AutoProcessor, processor_class_from_name
from transformers.video_processing_utils import VideoProcessorMixin

from model_adapters.contract import AdapterError, Request, Turn, did_you_mean
from model_adapters.transformers_models.source import Source

if TYPE_CHECKING:
    from PIL import Image

NO_TEMPLATE = "none"


class NoVideos(VideoProcessorMixin):
    """Stands where a processor wants a video processor, with what some read of it when there is no video."""

    merge_size = 2
    temporal_patch_size = 2
    num_frames = None
    fps = None
    slice_mode = False
    downsample_mode = "16x"

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, videos: Any, **_: Any) -> Any:
        """Never reached: requests hold pictures and text."""
        raise NotImplementedError("videos are not part of a request")


@dataclass(frozen=True, slots=True)
class Encoded:
    """A padded batch.

    Attributes:
        inputs: tensors by name, on the host; ``input_ids`` and ``attention_mask`` are (rows, columns), padded left.
        lengths: real prompt tokens of each row.
        image_tokens: how many of them stand for pictures.
    """

    inputs: Mapping[str, Any]
    lengths: tuple[int, ...]
    image_tokens: tuple[int, ...]


class Prompter:
    """Turns requests into model input.

    Attributes:
        processor, tokenizer: the library's.
        template_name: ``auto``, ``none`` or the digest of a given file, for the model's identity.

    Args:
        source: the checkpoint.
        config: its model's.
        sees: whether its model takes pictures.
        template: ``auto`` (the checkpoint's own), ``none`` (texts and pictures as they are), or a Jinja file.
        options: passed to the processor when it is loaded (``size``, ``max_pixels`` ...).
        parse_special: control tokens in questions are control tokens; otherwise they are text.
    """

    def __init__(
        self,
        source: Source,
        config: Any,
        *,
        sees: bool,
        template: str,
        options: Mapping[str, Any],
        parse_special: bool,
    ) -> None:
        self._sees, self._parse_special = sees, parse_special
        trusted = source.remote_code is not None
        try:
            if sees:
                self.processor = load_processor(source.folder, options, trusted)
            else:
                self.processor = AutoTokenizer.from_pretrained(source.folder, trust_remote_code=trusted, **options)
        except (ImportError, ValueError, OSError, TypeError, KeyError, AttributeError) as error:
            raise AdapterError(_why(source.name, error)) from error
        self.tokenizer = getattr(self.processor, "tokenizer", self.processor)
        self.tokenizer.padding_side = "left"
        if self.tokenizer.pad_token_id is None:
            self.tokenizer.pad_token = self.tokenizer.eos_token or self.tokenizer.unk_token
        self._template = self._read_template(template, source)
        given = template not in ("auto", NO_TEMPLATE)
        self.template_name = (
            f"sha256:{hashlib.sha256((self._template or '').encode()).hexdigest()}" if given else template
        )
        added = self.tokenizer.added_tokens_decoder.values()
        self._control_tokens = [token.content for token in added if not token.content.isspace()]
        self._image_id = getattr(config, "image_token_id", None) or getattr(config, "image_token_index", None)

    def text(self, request: Request) -> str:
        """The prompt as the model gets it; each picture's place is ``<image>``."""
        if self._template is None:
            prompt = self._plain(request)
        else:
            chat = self._chat(request, [None] * len(request.images))
            prompt = self.processor.apply_chat_template(
                chat, chat_template=self._template, tokenize=False, add_generation_prompt=True
            )
        mark = self._image_mark()
        return str(prompt).replace(mark, "<image>") if mark else str(prompt)

    def encode(self, requests: Sequence[Request], pictures: Mapping[str, Image.Image]) -> Encoded:
        """A batch of requests, all with pictures or all without.

        Args:
            pictures: RGB, by the digest of their file.
        """
        images = [[pictures[ref.sha256] for ref in request.images] for request in requests]
        if self._template is None:
            inputs = self._encode_plain(requests, images)
        else:
            chats = [self._chat(request, own) for request, own in zip(requests, images, strict=True)]
            as_text = not self._parse_special and any(map(self._holds_control_token, requests))
            inputs = self._encode_chats(chats, as_text)
        inputs.pop("labels", None)  # some processors make them, and their models would take the prompt for training
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        shown = (ids == self._image_id) & mask.bool() if self._image_id is not None else torch.zeros_like(ids)
        return Encoded(inputs, tuple(mask.sum(1).tolist()), tuple(shown.sum(1).tolist()))

    def _encode_chats(self, chats: list[list[dict[str, Any]]], as_text: bool) -> Any:
        """Batches of chats; ``as_text`` keeps control tokens in questions from being read as such."""
        common: dict[str, Any] = {
            "chat_template": self._template,
            "tokenize": True,
            "add_generation_prompt": True,
            "return_dict": True,
            "return_tensors": "pt",
            "sanitize_control_tokens": as_text,
        }
        if self._sees:
            try:
                return self.processor.apply_chat_template(chats, processor_kwargs={"padding": True}, **common)
            except ValueError as error:
                if as_text and "char_to_token" in str(error):
                    raise AdapterError(
                        "The question holds a control token of this model, and its processor cannot take one as text. "
                        "Set parse_special=true to have it read as a control token."
                    ) from error
                raise
        return self.processor.apply_chat_template(chats, padding=True, **common)

    def _encode_plain(self, requests: Sequence[Request], images: list[list[Image.Image]]) -> Any:
        texts = [self._plain(request) for request in requests]
        given = {"images": images} if any(images) else {}
        return self.processor(text=texts, padding=True, return_tensors="pt", **given)

    def _plain(self, request: Request) -> str:
        mark = self._image_mark()
        parts = [part if isinstance(part, str) else mark for turn in request.turns for part in turn.content]
        return "".join(parts)

    def _chat(self, request: Request, images: Sequence[Image.Image | None]) -> list[dict[str, Any]]:
        if not self._sees:
            return [{"role": turn.role, "content": turn.text} for turn in request.turns]
        left = iter(images)
        chat = []
        for turn in request.turns:
            content: list[dict[str, Any]] = []
            for part in turn.content:
                if isinstance(part, str):
                    content.append({"type": "text", "text": part})
                else:
                    image = next(left)
                    content.append({"type": "image"} if image is None else {"type": "image", "image": image})
            chat.append({"role": turn.role, "content": content})
        return chat

    def _holds_control_token(self, request: Request) -> bool:
        return any(token in turn.text for turn in request.turns for token in self._control_tokens)

    def _read_template(self, template: str, source: Source) -> str | None:
        if template == NO_TEMPLATE:
            return None
        if template != "auto":
            try:
                return Path(template).expanduser().read_text(encoding="utf-8")
            except OSError as error:
                raise AdapterError(
                    f"chat_template={template!r} cannot be read ({error.strerror}); expected auto, none or a "
                    "Jinja file."
                ) from error
        found = getattr(self.processor, "chat_template", None) or self.tokenizer.chat_template
        if isinstance(found, dict):
            found = found.get("default")
        if not found:
            raise AdapterError(
                f"{source.name} has no chat template, so it was not trained to chat. Set chat_template=none to give it "
                "the bare question, or chat_template=FILE.jinja."
            )
        return str(found)

    def _image_mark(self) -> str:
        mark = getattr(self.processor, "image_token", "")
        return str(getattr(mark, "content", mark) or "")

    def takes_text_alone(self) -> bool:
        """Whether a request without a picture can be prepared; some processors and templates insist on one.

        Raises:
            AdapterError: the template is no Jinja.
        """
        from jinja2 import TemplateError, TemplateSyntaxError

        try:
            self.encode([Request("probe", (Turn("user", ("?",)),))], {})
        except TemplateSyntaxError as error:
            raise AdapterError(
                f"The chat template is no Jinja ({error.message}, line {error.lineno}). Correct it, or choose another "
                "with chat_template=FILE."
            ) from error
        except (ValueError, TypeError, TemplateError):
            return False
        return True


def load_processor(folder: Path, options: Mapping[str, Any], trusted: bool) -> Any:
    """A processor whose pictures go through PIL, and without its video part.

    Args:
        options: override what preprocessor_config.json says.
        trusted: whether code in the checkpoint may run.
    """
    kind = _processor_class(folder, trusted)
    if kind is None:  # a class in the checkpoint's own code, or none that is known
        return AutoProcessor.from_pretrained(folder, trust_remote_code=trusted, backend="pil", **options)
    parts = []
    for name in kind.get_attributes():
        if "tokenizer" in name:
            parts.append(AutoTokenizer.from_pretrained(folder, trust_remote_code=trusted))
        elif name == "image_processor":
            parts.append(
                AutoImageProcessor.from_pretrained(folder, trust_remote_code=trusted, backend="pil", **options)
            )
            _check_names(options, parts[-1])
        elif name == "video_processor":
            parts.append(NoVideos())
        else:
            return kind.from_pretrained(folder, trust_remote_code=trusted, **options)
    settings, _ = kind.get_processor_dict(folder)
    return _without_videos(kind).from_args_and_dict(parts, settings)


def _check_names(options: Mapping[str, Any], processor: Any) -> None:
    """Refuse options that the image processor does not know: the library would keep them and do nothing."""
    known = getattr(getattr(processor, "valid_kwargs", None), "__annotations__", {})
    for name in options:
        if known and name not in known:
            hint = did_you_mean(name, known)
            raise AdapterError(
                f"The option processor={{{name}: ...}} is not known to {type(processor).__name__}.{hint} It knows: "
                f"{', '.join(sorted(known))}."
            )


def _without_videos(kind: Any) -> Any:
    """The same processor class, which takes :class:`NoVideos` for a video processor: the library's own check of that
    argument's class fails where torchvision is missing, whatever is given."""

    def check(self: Any, name: str, argument: Any) -> Any:
        if name == "video_processor":
            return type(argument)
        return kind.check_argument_for_proper_class(self, name, argument)

    return type(kind.__name__, (kind,), {"check_argument_for_proper_class": check, "__module__": kind.__module__})


def _processor_class(folder: Path, trusted: bool) -> Any:
    for name in ("processor_config.json", "preprocessor_config.json", "tokenizer_config.json"):
        if (folder / name).is_file():
            named = json.loads((folder / name).read_text(encoding="utf-8")).get("processor_class")
            if named and (found := processor_class_from_name(named)) is not None:
                return found
    config = AutoConfig.from_pretrained(folder, trust_remote_code=trusted)
    return PROCESSOR_MAPPING.get(type(config), None)


def _why(name: str, error: BaseException) -> str:
    """Why a processor cannot be made, with the remedy where it is known."""
    told = " ".join(str(error).split())
    if "torchvision" in told.lower():
        return (
            f"The processor of {name} works with torchvision only, which is not installed, and transformers has no PIL "
            "variant of it. Install the torchvision that belongs to this torch, or serve the model elsewhere and use "
            "the adapter openai."
        )
    if "num2words" in told:
        return f"The processor of {name} needs num2words. Install it with: pip install 'omnilmm-eval[models]'"
    return f"The processor of {name} cannot be loaded ({type(error).__name__}: {told[:300]})."
