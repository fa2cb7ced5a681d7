"""OmniLMM-3B: vision tower, resampler and decoder, and the splice between them.

    pixels ─▶ VisionTower ─▶ Resampler ─▶ (n, query_num, hidden) ─┐
    prompt ids ─▶ scaled embedding ─────────────────────────────── splice ─▶ MiniCPMDecoder ─▶ logits

The modules hold no inference mode of their own and can be trained; only the methods that answer questions switch
gradients off. ``OmniLMM.from_config`` builds a model with random weights, ``OmniLMM.from_checkpoint`` reads one in
the original layout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from model_adapters.contract import AdapterError
from model_adapters.omnilmm.batching import fitting
from model_adapters.omnilmm.beam_search import beam_search
from model_adapters.omnilmm.checkpoint import load_weights
from model_adapters.omnilmm.choosing import TokenChoice
from model_adapters.omnilmm.config import LanguageConfig, OmniLMMConfig, read_language_config
from model_adapters.omnilmm.decoding import decode
from model_adapters.omnilmm.devices import resolve_device, resolve_dtype
from model_adapters.omnilmm.image_processing import preprocess
from model_adapters.omnilmm.language import MiniCPMDecoder, ScaledEmbedding, ScaledHead
from model_adapters.omnilmm.layout import MiniCPMLayout, OmniLMMLayout
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.prompt import Messages, Prompt, PromptBuilder
from model_adapters.omnilmm.reading import prefill
from model_adapters.omnilmm.resampler import CrossAttention, Resampler
from model_adapters.omnilmm.tensor_files import TensorFile
from model_adapters.omnilmm.tokenizer import OmniTokenizer, load_tokenizer
from model_adapters.omnilmm.vision import VisionTower

if TYPE_CHECKING:
    from PIL import Image

Files = Mapping[str, TensorFile]  # the file of each stored tensor


class _Answering:
    """What image model and text model share: from a prompt to logits and token ids."""

    llm: MiniCPMDecoder
    tokenizer: OmniTokenizer

    def _continue(
        self,
        prompt: Prompt,
        features: Tensor | None,
        *,
        max_new_tokens: int,
        num_beams: int,
        repetition_penalty: float,
        sampling: TokenChoice | None,
    ) -> list[int]:
        row = Row(prompt.ids, 0 if prompt.image_slot is not None else None, prompt.image_slot)
        if num_beams > 1:
            if sampling is not None:
                raise AdapterError(
                    "Sampling and beam search exclude each other here; set num_beams=1 or do_sample=False."
                )
            return beam_search(
                self.llm,
                [row],
                features,
                max_new_tokens=max_new_tokens,
                num_beams=num_beams,
                repetition_penalty=repetition_penalty,
            )[0]
        read = prefill(self.llm, [row], features)
        config = self.llm.language_config
        answers = decode(
            self.llm,
            read,
            max_new_tokens=[max_new_tokens],
            eos_id=config.eos_token_id,
            bos_id=config.bos_token_id,
            choice=sampling or TokenChoice(repetition_penalty=repetition_penalty),
        )
        return answers[0].ids

    def _last_logits(self, prompt: Prompt, features: Tensor | None) -> Tensor:
        row = Row(prompt.ids, 0 if prompt.image_slot is not None else None, prompt.image_slot)
        return self.llm.lm_head(prefill(self.llm, [row], features).last_hidden)[0].float()


class OmniLMM(nn.Module, _Answering):
    """The whole model.

    Attributes:
        config: its sizes.
        vpm, resampler, llm: its parts, named as in the checkpoint.
        tokenizer: needed for prompts; None in a model that was made from a config.
    """

    def __init__(self, config: OmniLMMConfig, tokenizer: OmniTokenizer | None = None) -> None:
        super().__init__()
        self.config = config
        self.vpm = VisionTower(config)
        self.resampler = Resampler(config)
        self.llm = MiniCPMDecoder(config.language)
        self._tokenizer = tokenizer

    @classmethod
    def from_config(cls, config: OmniLMMConfig, seed: int = 0, tokenizer: OmniTokenizer | None = None) -> OmniLMM:
        """A model with random weights, in fp32 on the CPU, ready to be trained."""
        model = cls(config, tokenizer)
        initialise(model, seed)
        return model

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, dtype: str = "auto", device: str = "auto", *, files: Files | None = None
    ) -> OmniLMM:
        """Read a checkpoint in the original layout.

        Args:
            path: folder with config.json, tokenizer.model and weights.
            dtype: ``auto`` (bfloat16 on CUDA, float32 on the CPU), ``float32``, ``bfloat16`` or ``float16``.
            device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:N``.
            files: weights to read in the place of the folder's own, see variants.py.

        Raises:
            AdapterError: whatever keeps it from loading, in one paragraph.
        """
        folder, where = Path(path), resolve_device(device)
        config = OmniLMMConfig.from_json(folder)
        tokenizer = load_tokenizer(folder)
        check_vocabulary(tokenizer, config.language, folder)
        with torch.device("meta"):
            model = cls(config, tokenizer)
        dtype_, layout = resolve_dtype(dtype, where), OmniLMMLayout(config)
        load_weights(model, folder, layout, dtype=dtype_, device=where, files=files)
        embedding, head = model.llm.model.embed_tokens.weight, model.llm.lm_head.weight
        if config.language.tie_word_embeddings or torch.equal(head, embedding):
            model.llm.tie()  # perhaps stored twice, kept once
        model.reset_buffers(where)
        return model.eval()

    @property
    def tokenizer(self) -> OmniTokenizer:
        """The tokenizer. Raises :class:`AdapterError` in a model that has none."""
        if self._tokenizer is None:
            raise AdapterError("This model was made without a tokenizer; give one, or load a checkpoint folder.")
        return self._tokenizer

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.llm.device

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the weights."""
        return self.llm.dtype

    def reset_buffers(self, device: torch.device) -> None:
        """Make what a checkpoint does not hold: position indices, interpolated key positions, the rotary table."""
        self.vpm.reset_buffers(device)
        self.resampler.reset_buffers()
        self.llm.reset_buffers(device)

    def image_features(self, pixels: Tensor) -> Tensor:
        """Visual tokens of images: (n, 3, image_size, image_size) in [-1, 1] -> (n, query_num, hidden_size)."""
        return self.resampler(self.vpm(pixels))

    def splice(self, ids: Tensor, features: Tensor, start: int | Tensor) -> Tensor:
        """Embed prompts and write image features over their slots.

        Args:
            ids: (n, length) prompt ids with ``query_num`` filler ids where the image goes.
            features: (n, query_num, hidden_size); they are not scaled, only token embeddings are.
            start: position of the first slot, one for all or (n,).

        Returns:
            (n, length, hidden_size).
        """
        embeds = self.llm.embed(ids)  # (n, length, hidden)
        first = torch.as_tensor(start, device=ids.device).reshape(-1, 1).expand(ids.shape[0], 1)  # (n, 1)
        slots = first + torch.arange(features.shape[1], device=ids.device)  # (n, queries)
        index = slots.unsqueeze(-1).expand(-1, -1, embeds.shape[-1])  # (n, queries, hidden)
        return embeds.scatter(1, index, features.to(embeds.dtype))

    def pixels(self, images: Sequence[Image.Image], *, apply_exif: bool = False) -> Tensor:
        """Pictures of any size and mode as input of :meth:`image_features`, in the model's dtype on its device."""
        array = preprocess(images, self.config.image_size, apply_exif=apply_exif)
        return torch.from_numpy(array).to(device=self.device, dtype=self.dtype)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[Image.Image], *, apply_exif: bool = False) -> Tensor:
        """Visual tokens of pictures, (n, query_num, hidden_size).

        Args:
            images: of any size and mode.
            apply_exif: turn pictures as their EXIF orientation says; the original does not.
        """
        return self.image_features(self.pixels(images, apply_exif=apply_exif))

    def prompt(self, messages: Messages, *, image: bool = True, parse_special: bool = False) -> Prompt:
        """Token ids of a conversation and the place of its image."""
        builder = PromptBuilder(self.tokenizer, self.config.query_num, parse_special=parse_special)
        return builder.build(messages, with_image=image)

    def prompt_ids(self, messages: Messages, *, image: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of a conversation, BOS first; the image goes into the first user turn.

        Args:
            messages: ``{"role": "user" | "assistant", "content": str}``; first and last are the user's.
            image: False leaves the image out, which the original never does.
            parse_special: read ``<image>``, ``</s>``, ``<unk>`` in texts as control tokens, as the original does.
        """
        return list(self.prompt(messages, image=image, parse_special=parse_special).ids)

    @torch.inference_mode()
    def next_token_logits(self, image: Image.Image | None, messages: Messages) -> Tensor:
        """Logits after a conversation, (vocab_size,) fp32."""
        features = self.encode_images([image]) if image is not None else None
        return self._last_logits(self.prompt(messages, image=image is not None), features)

    @torch.inference_mode()
    def generate_ids(
        self,
        image: Image.Image | None,
        messages: Messages,
        *,
        max_new_tokens: int = 2048,
        num_beams: int = 3,
        repetition_penalty: float = 1.2,
        sampling: TokenChoice | None = None,
        truncate: bool = False,
    ) -> list[int]:
        """Ids of the answer, the end token included if it came; ``tokenizer.decode_answer`` makes text of them.

        The defaults are those of the original ``chat``.

        Args:
            num_beams: 1 is greedy search.
            repetition_penalty: over BOS and generated ids, never over the prompt.
            sampling: draw tokens; then ``num_beams`` must be 1.
            truncate: cut a prompt that is too long behind ``max_position_embeddings`` ids, as the original does;
                it loses the end of the question. Otherwise such a prompt is an error.
        """
        features = self.encode_images([image]) if image is not None else None
        prompt = fitting(self.prompt(messages, image=image is not None), self.config.language, truncate=truncate)
        return self._continue(
            prompt,
            features,
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            repetition_penalty=repetition_penalty,
            sampling=sampling,
        )


class MiniCPM(_Answering):
    """The text-only base, MiniCPM-2B: the same decoder, ``model.*`` keys, head and embedding tied."""

    def __init__(self, llm: MiniCPMDecoder, tokenizer: OmniTokenizer) -> None:
        self.llm = llm
        self.tokenizer = tokenizer
        self.config = llm.language_config

    @classmethod
    def from_checkpoint(
        cls, path: str | Path, dtype: str = "auto", device: str = "auto", *, files: Files | None = None
    ) -> MiniCPM:
        """Read a checkpoint folder; arguments and errors as for :meth:`OmniLMM.from_checkpoint`."""
        folder, where = Path(path), resolve_device(device)
        config = read_language_config(folder)
        tokenizer = load_tokenizer(folder)
        check_vocabulary(tokenizer, config, folder)
        with torch.device("meta"):
            llm = MiniCPMDecoder(config)
        dtype_, layout = resolve_dtype(dtype, where), MiniCPMLayout(config)
        load_weights(llm, folder, layout, dtype=dtype_, device=where, files=files)
        if config.tie_word_embeddings:
            llm.tie()
        llm.reset_buffers(where)
        return cls(llm.eval(), tokenizer)

    def prompt_ids(self, messages: Messages, *, parse_special: bool = False) -> list[int]:
        """Token ids of a conversation, BOS first: ``<用户>question<AI>``."""
        builder = PromptBuilder(self.tokenizer, 0, parse_special=parse_special)
        return list(builder.build(messages, with_image=False).ids)

    @torch.inference_mode()
    def next_token_logits(self, messages: Messages) -> Tensor:
        """Logits after a conversation, (vocab_size,) fp32."""
        return self._last_logits(Prompt(tuple(self.prompt_ids(messages)), None), None)

    @torch.inference_mode()
    def generate_ids(
        self,
        messages: Messages,
        *,
        max_new_tokens: int = 512,
        num_beams: int = 1,
        repetition_penalty: float = 1.0,
        sampling: TokenChoice | None = None,
        truncate: bool = False,
    ) -> list[int]:
        """Ids of the answer; arguments as for :meth:`OmniLMM.generate_ids`."""
        prompt = fitting(Prompt(tuple(self.prompt_ids(messages)), None), self.config, truncate=truncate)
        return self._continue(
            prompt,
            None,
            max_new_tokens=max_new_tokens,
            num_beams=num_beams,
            repetition_penalty=repetition_penalty,
            sampling=sampling,
        )


def check_vocabulary(tokenizer: OmniTokenizer, config: LanguageConfig, folder: Path) -> None:
    """Refuse a tokenizer that can give ids which the model has no embedding for, or that knows not half of its ids.

    An embedding may be a little wider than the vocabulary, rounded up for the hardware.
    """
    if not config.vocab_size / 2 <= tokenizer.vocab_size <= config.vocab_size:
        raise AdapterError(
            f"{folder}: tokenizer.model has {tokenizer.vocab_size} pieces, config.json says vocab_size "
            f"{config.vocab_size}. They are of different checkpoints; copy both from the same one."
        )


@torch.no_grad()
def initialise(model: nn.Module, seed: int = 0) -> None:
    """Random weights that a small model trains well from.

    Token embeddings get a standard deviation of 1 / scale_emb (they are multiplied by it), the head 0.02, every other
    matrix 1 / sqrt(fan in); biases 0, norms 1; position tables of the resampler are sine and cosine.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(tensor: Tensor, std: float) -> None:
        tensor.copy_(torch.randn(tensor.shape, generator=generator) * std)

    for module in model.modules():
        if isinstance(module, ScaledEmbedding):
            normal(module.weight, 1.0 / module.scale)
        elif isinstance(module, ScaledHead | nn.Embedding):  # the embedding is the vision tower's position table
            normal(module.weight, 0.02)
        elif isinstance(module, nn.Linear | nn.Conv2d):
            normal(module.weight, module.weight[0].numel() ** -0.5)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, CrossAttention):
            normal(module.in_proj_weight, module.in_proj_weight.shape[1] ** -0.5)
            module.in_proj_bias.zero_()
        elif isinstance(module, Resampler):
            normal(module.query, 0.02)
            normal(module.proj, module.proj.shape[0] ** -0.5)
