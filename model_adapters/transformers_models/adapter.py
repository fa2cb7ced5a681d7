"""The adapter ``transformers``: any image-text-to-text or text model of that library."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from model_adapters.contract import (
    AdapterError,
    Batching,
    Capabilities,
    Failure,
    ImageRef,
    MemoryFull,
    ModelAdapter,
    Request,
    Response,
    Timing,
    Usage,
    check_characters,
    cut_at_stop,
)
from model_adapters.isolation import isolate
from model_adapters.omnilmm.batching import check_settings, windows
from model_adapters.omnilmm.fingerprint import weights_fingerprint
from model_adapters.omnilmm.image_processing import to_rgb
from model_adapters.omnilmm.quantize import stored_bytes
from model_adapters.omnilmm.tensor_files import open_tensor_files
from model_adapters.probe import StageClock
from model_adapters.torch_probe import TorchProbe
from model_adapters.transformers_models.choices import choice_ids, score
from model_adapters.transformers_models.generating import Generated, VisionClock, generate, wait
from model_adapters.transformers_models.loading import LoadOptions, check_options, context_limit, load_model
from model_adapters.transformers_models.processing import Encoded, Prompter
from model_adapters.transformers_models.source import Source, find_source

ADAPTER_VERSION = "1"
IMAGE_THREADS = 4
WINDOW_BATCHES = 4
MS = 1000.0
MIB = 2**20

Answer = Callable[[list[Request]], list[Response]]


class TransformersAdapter(ModelAdapter):
    """A chat model of the transformers library behind the adapter contract.

    Args:
        checkpoint: a folder, or a hub repository ``owner/name``.
        revision: the repository's commit, branch or tag; without it, the newest.
        dtype: ``auto`` (bfloat16 on CUDA, float32 on the CPU), ``float32``, ``bfloat16``, ``float16``.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda``, ``cuda:N``.
        device_map: accelerate's placement over several devices (``auto``, ``balanced`` ...) in place of ``device``.
        attention: ``auto`` (the model's choice), ``sdpa``, ``eager``, ``flash_attention_2``.
        quantize: ``int8``, ``int4`` (torchao, the language model's matrices), ``bnb-int8``, ``bnb-nf4`` (bitsandbytes).
        lora: folder of a PEFT adapter, merged at load.
        batch_size: rows computed at a time (beams count as rows).
        chat_template: ``auto`` (the checkpoint's), ``none`` (the bare question), or a Jinja file.
        processor: options for the image processor, such as ``{max_pixels: 401408}``; for a text model, the tokenizer.
        apply_exif: turn pictures as their EXIF orientation says.
        parse_special: read control tokens in questions as such; otherwise they are text.
        trust_remote_code: run the checkpoint's own code; only for a folder, or a revision of 40 digits.
    """

    name = "transformers"

    def __init__(
        self,
        checkpoint: str,
        revision: str | None = None,
        dtype: str = "auto",
        device: str = "auto",
        device_map: str | None = None,
        attention: str = "auto",
        quantize: str | None = None,
        lora: str | None = None,
        batch_size: int = 8,
        chat_template: str = "auto",
        processor: Mapping[str, Any] | None = None,
        apply_exif: bool = False,
        parse_special: bool = False,
        trust_remote_code: bool = False,
    ) -> None:
        if batch_size < 1:
            raise AdapterError(f"batch_size is {batch_size}; expected at least 1.")
        options = LoadOptions(dtype, device, device_map, attention, quantize, lora)
        check_options(options)
        source = find_source(checkpoint, revision, trust_remote_code=trust_remote_code)
        loaded = load_model(source, options)
        self.model = loaded.model
        self.batch_size, self.ignore_end, self.stopped = batch_size, False, False
        self._full: list[MemoryFull] = []
        self._apply_exif, self._limit = apply_exif, context_limit(self.model)
        shown = dict(processor or {})
        self.prompter = Prompter(
            source,
            self.model.config,
            sees=loaded.sees,
            template=chat_template,
            options=shown,
            parse_special=parse_special,
        )
        self.clock = StageClock()
        self._clock = VisionClock(self.model)
        self._threads = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="images")
        parameters = list(self.model.parameters())
        self._weights_bytes = sum(map(stored_bytes, parameters))
        self._device = parameters[0].device
        self.capabilities = Capabilities(
            max_images=None if loaded.sees else 0,
            text_only=self.prompter.takes_text_alone(),
            choice_scoring=True,
            stage_timing=self._clock.is_there or not loaded.sees,
            streaming=True,
        )
        chosen = {
            "chat_template": self.prompter.template_name,
            "processor_options": shown,
            "apply_exif": apply_exif,
            "parse_special": parse_special,
        }
        self._identity = self._identified(source, options, chosen | loaded.identity)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def _identified(self, source: Source, options: LoadOptions, more: Mapping[str, Any]) -> dict[str, Any]:
        on_cuda = self._device.type == "cuda"
        return {
            "adapter": self.name,
            "adapter_version": ADAPTER_VERSION,
            "model": "+".join([source.name, *_suffixes(options)]),
            "architecture": type(self.model).__name__,
            "revision": source.revision,
            "weights": weights_fingerprint(open_tensor_files(source.folder)),
            "processor": source.processor_digest(),
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "device": self._device.type,
            "device_name": torch.cuda.get_device_name(self._device) if on_cuda else None,
            "parameters": self.model.num_parameters(),
            "remote_code": source.remote_code,
            **more,
        }

    def identity(self) -> Mapping[str, Any]:
        """Names, digests and every option that can change an answer."""
        return dict(self._identity)

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests in batches of like settings and number of pictures."""
        return self._serve(requests, self._generate_batch)

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Log-likelihood of each request's choices."""
        return self._serve(requests, self._score_batch)

    def prompt_text(self, request: Request) -> str:
        """The prompt as the model gets it; each picture's place is ``<image>``."""
        return self.prompter.text(request)

    def memory_mib(self) -> Mapping[str, float | None]:
        """Device memory in MiB; peaks are known on CUDA only."""
        peaks: dict[str, float | None] = {"peak_allocated_mib": None, "peak_reserved_mib": None}
        if self._device.type == "cuda":
            peaks["peak_allocated_mib"] = torch.cuda.max_memory_allocated(self._device) / MIB
            peaks["peak_reserved_mib"] = torch.cuda.max_memory_reserved(self._device) / MIB
        return {**peaks, "weights_mib": self._weights_bytes / MIB}

    @classmethod
    def verify_weights(
        cls, checkpoint: str = "", revision: str | None = None, trust_remote_code: bool = False, **_: Any
    ) -> str | None:
        """Read the checkpoint's tensors again; a LoRA adapter's files are read at every load anyway."""
        source = find_source(checkpoint, revision, trust_remote_code=trust_remote_code)
        return weights_fingerprint(open_tensor_files(source.folder), verify=True)

    def batching(self) -> Batching:
        """Rows computed at a time, and each time that memory was full."""
        return Batching(self.batch_size, full=tuple(self._full))

    def probe(self) -> ModelProbe:
        """Tokens' times, batch size and fixed lengths for a profiler; stages are in each response's timing."""
        return ModelProbe(self)

    def stop(self) -> None:
        """Let the batch in flight be the last one."""
        self.stopped = True

    def close(self) -> None:
        """Free the model."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._clock.remove()
        del self.model, self.prompter, self._clock
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _serve(self, requests: Iterable[Request], answer: Answer) -> Iterator[Response]:
        for window in windows(requests, WINDOW_BATCHES * self.batch_size):
            fine = []
            for request in window:
                try:
                    self._check(request)
                    fine.append(request)
                except AdapterError as error:
                    yield failure(request, error)
            for batch in batches(fine, self.batch_size):
                if self.stopped:
                    return
                yield from self._isolate(batch, answer)

    def _check(self, request: Request) -> None:
        check_characters(request)
        check_settings(replace(request.generation, stop=()))  # beams are cut at their stop strings afterwards
        if request.images and self.capabilities.max_images == 0:
            raise AdapterError(
                f"{self._identity['model']} is a text model and this request has a picture; choose a model that sees, "
                "or ask without it."
            )
        if not request.images and not self.capabilities.text_only:
            raise AdapterError(f"{self._identity['model']} answers about pictures only, and this request has none.")

    def _isolate(self, batch: list[Request], answer: Answer) -> Iterator[Response]:
        """Answer a batch; a request that fails does so alone."""
        beams = batch[0].generation.num_beams
        yield from isolate(
            batch,
            torch.inference_mode()(answer),
            failed=failure,
            most=lambda: max(1, self.batch_size // beams),
            shrink=lambda size, error: self._make_room(size * beams, error),
        )

    def _make_room(self, rows: int, error: str) -> None:
        torch.cuda.empty_cache()
        self.batch_size = rows
        self._full.append(MemoryFull(rows, error))

    def _generate_batch(self, batch: list[Request]) -> list[Response]:
        begin = time.perf_counter()
        encoded, image_ms = self._encode(batch)
        if (failed := self._too_long(batch, encoded)) is not None:
            return failed
        found = generate(self.model, self.prompter.tokenizer, encoded, batch, self._clock, ignore_end=self.ignore_end)
        responses = []
        for row, request in enumerate(batch):
            self.clock.tokens(request.request_id, found.token_s[: len(found.ids[row])])
            text = self.prompter.tokenizer.decode(found.ids[row], skip_special_tokens=True)
            responses.append(
                Response(
                    request.request_id,
                    text=cut_at_stop(text, request.generation.stop).strip(),
                    finish="stop" if found.ended[row] else "length",
                    usage=Usage(encoded.lengths[row], encoded.image_tokens[row], len(found.ids[row])),
                    timing=_timing(found, begin, len(batch), len(found.ids[row]), image_ms[row], bool(request.images)),
                )
            )
        return responses

    def _score_batch(self, batch: list[Request]) -> list[Response]:
        begin = time.perf_counter()
        choices = [choice_ids(self.prompter.tokenizer, request) for request in batch]
        encoded, image_ms = self._encode(batch)
        if (failed := self._too_long(batch, encoded)) is not None:
            return failed
        self._clock.spent_s, rows = 0.0, len(batch)
        again = lambda requests: self._encode(requests)[0]  # noqa: E731 - the times of repetitions are not told apart
        sums = score(self.model, self.prompter.tokenizer, batch, encoded, again, choices, self.batch_size)
        wait()
        batch_ms = (time.perf_counter() - begin) * MS
        vision_ms = self._clock.spent_s * MS / rows
        return [
            Response(
                request.request_id,
                choice_scores=tuple(sums[row]),
                choice_tokens=tuple(map(len, choices[row])),
                usage=Usage(encoded.lengths[row], encoded.image_tokens[row], 0),
                timing=Timing(
                    image_ms=image_ms[row],
                    vision_ms=vision_ms if request.images else None,
                    batch_ms=batch_ms,
                    batch_size=rows,
                ),
            )
            for row, request in enumerate(batch)
        ]

    def _encode(self, batch: Sequence[Request]) -> tuple[Encoded, list[float | None]]:
        """A batch's tensors, and what reading and preparing its pictures took, a row."""
        refs = {ref.sha256: ref for request in batch for ref in request.images}
        start = time.perf_counter()
        with self.clock.host("image_decode"):
            pictures = dict(zip(refs, self._threads.map(self._open, refs.values()), strict=True))
        encoded = self.prompter.encode(batch, pictures)
        spent = (time.perf_counter() - start) * MS / len(batch)
        return encoded, [spent if request.images else None for request in batch]

    def _open(self, ref: ImageRef) -> Image.Image:
        try:
            return to_rgb(ref.open(), apply_exif=self._apply_exif)
        except OSError as error:
            raise OSError(f"{error} (image {ref.name})" if ref.name not in str(error) else str(error)) from error

    def _too_long(self, batch: list[Request], encoded: Encoded) -> list[Response] | None:
        """Responses where a prompt is longer than the model's context: its own failure, and the rest asked again."""
        long = [row for row, length in enumerate(encoded.lengths) if self._limit and length > self._limit]
        if not long:
            return None
        responses = [
            failure(
                batch[row],
                AdapterError(
                    f"The prompt has {encoded.lengths[row]} tokens, {encoded.image_tokens[row]} of them for pictures; "
                    f"the model takes {self._limit}. Shorten it, or make pictures smaller with the option processor."
                ),
            )
            for row in long
        ]
        rest = [request for row, request in enumerate(batch) if row not in long]
        answer = self._score_batch if batch[0].choices else self._generate_batch
        return responses + (answer(rest) if rest else [])


class ModelProbe(TorchProbe):
    """The probe of a model of the transformers library."""

    def __init__(self, adapter: TransformersAdapter) -> None:
        self._adapter = adapter
        super().__init__(adapter.model, parts={}, tell=lambda clock: setattr(adapter, "clock", clock))

    def set_batch_size(self, size: int) -> bool:
        self._adapter.batch_size = size
        return True

    def fixed_length(self, on: bool) -> bool:
        self._adapter.ignore_end = on
        return True


def batches(requests: Sequence[Request], batch_size: int) -> list[list[Request]]:
    """Requests in batches of the same settings and number of pictures, texts of like length together."""
    groups: dict[Any, list[Request]] = {}
    for request in requests:
        groups.setdefault((request.generation, len(request.images), bool(request.choices)), []).append(request)
    made = []
    for (settings, _, _), group in groups.items():
        group.sort(key=lambda request: sum(len(turn.text) for turn in request.turns))
        size = max(1, batch_size // settings.num_beams)
        made += [group[begin : begin + size] for begin in range(0, len(group), size)]
    return made


def failure(request: Request, error: BaseException) -> Response:
    """A response that says why there is no answer."""
    told = "" if isinstance(error, AdapterError) else "".join(traceback.format_exception(error))
    return Response(request.request_id, finish="error", failure=Failure(type(error).__name__, str(error), told))


def _timing(
    found: Generated, begin_s: float, rows: int, tokens: int, image_ms: float | None, has_images: bool
) -> Timing:
    """A request's share of its batch; beams do not tell prefill from decoding."""
    first = found.token_s[0] if found.token_s else None
    vision_ms = found.vision_s * MS / rows
    prefill_ms = None if first is None else max(0.0, (first - found.start_s) * MS / rows - vision_ms)
    own = found.token_s[:tokens]
    return Timing(
        image_ms=image_ms,
        vision_ms=vision_ms if has_images else None,
        prefill_ms=prefill_ms,
        decode_ms=(found.end_s - (first if first is not None else found.start_s)) * MS / rows,
        batch_ms=(found.end_s - begin_s) * MS,
        batch_size=rows,
        ttft_ms=None if first is None else (first - begin_s) * MS,
        tpot_ms=(own[-1] - own[0]) * MS / (len(own) - 1) if len(own) > 1 else None,
    )


def _suffixes(options: LoadOptions) -> list[str]:
    """What was done to a checkpoint, as its name tells it."""
    lora = [Path(options.lora).expanduser().resolve().name] if options.lora else []
    return lora + ([options.quantize] if options.quantize else [])
