"""The batch engine: requests in, responses out, fast and with the answers that one-by-one would give.

A window of requests is tokenised at once and cut into batches (batching.py). A batch decodes its pictures in threads,
encodes each distinct picture once (features.py keeps them for later batches), reads the shared beginning of its prompts
once per picture (decoding.py) and decodes greedily or by sampling in a loop of its own; beams go through transformers.

One request that fails becomes a response that says so. A batch that fails is halved until the culprit is alone; running
out of device memory is cured on the way.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model_adapters.contract import (
    AdapterError,
    Failure,
    GenerationSettings,
    ImageRef,
    Request,
    Response,
    Timing,
    Usage,
)
from model_adapters.omnilmm.batching import (
    WINDOW_BATCHES,
    Asked,
    fitting,
    messages_and_image,
    plan_batches,
    windows,
)
from model_adapters.omnilmm.beam_search import beam_search
from model_adapters.omnilmm.decoding import Continuation, Row, TokenChoice, decode, prefill
from model_adapters.omnilmm.features import FeatureStore
from model_adapters.omnilmm.following import Follower, watch
from model_adapters.omnilmm.image_processing import normalise, squash
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.prompt import PromptBuilder
from model_adapters.omnilmm.scoring import choice_log_likelihoods
from model_adapters.probe import StageClock

IMAGE_THREADS = 4
MS = 1000.0
NO_TOKEN = -1  # an id that no token has

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How requests are answered.

    Attributes:
        batch_size: rows computed at a time (beams count as rows).
        vision_batch_size: pictures encoded at a time.
        feature_cache_mib: visual tokens kept for later batches.
        share_prefix: read the common beginning of prompts once per picture.
        apply_exif: turn pictures as their EXIF orientation says.
        parse_special: texts may hold control tokens, as in the original.
        truncate: cut prompts that are too long, as the original does.
        text_only: answer requests without an image.
    """

    batch_size: int = 64
    vision_batch_size: int = 32
    feature_cache_mib: float = 512.0
    share_prefix: bool = True
    apply_exif: bool = False
    parse_special: bool = False
    truncate: bool = False
    text_only: bool = False


@dataclass(slots=True)
class _Pictures:
    """The pictures of one batch: features by position, position by digest, and what each first use cost."""

    features: Tensor | None = None
    position: dict[str, int] = field(default_factory=dict)
    image_ms: dict[str, float] = field(default_factory=dict)  # of pictures that were decoded for this batch
    vision_ms: dict[str, float] = field(default_factory=dict)

    def cost(self, item: Asked) -> tuple[float | None, float | None]:
        """(image_ms, vision_ms) of a request; who comes first pays, who reuses pays 0.0."""
        if item.image is None:
            return None, None
        return self.image_ms.pop(item.image.sha256, 0.0), self.vision_ms.pop(item.image.sha256, 0.0)


class Engine:
    """Answers requests with one model."""

    def __init__(self, model: OmniLMM | MiniCPM, options: EngineOptions = EngineOptions()) -> None:
        if options.batch_size < 1 or options.vision_batch_size < 1:
            raise AdapterError(f"batch_size is {options.batch_size}; expected at least 1.")
        self.options = options
        self.stopped = False  # set from a signal handler: the batch in flight is the last one
        self.clock = StageClock()  # told where stages begin and end while somebody measures
        self.ignore_end = False  # a profiler's answers have a fixed length
        self._vision = model if isinstance(model, OmniLMM) else None
        self._llm: MiniCPMDecoder = model.llm
        self._tokenizer = model.tokenizer
        self._query_num = model.config.query_num if isinstance(model, OmniLMM) else 0
        self._builder = PromptBuilder(model.tokenizer, self._query_num, parse_special=options.parse_special)
        self._store = FeatureStore(options.feature_cache_mib)
        self._threads = ThreadPoolExecutor(IMAGE_THREADS, thread_name_prefix="images")

    def generate(self, requests: Iterable[Request], follower: Follower | None = None) -> Iterator[Response]:
        """Answer requests, in an order that suits the engine; a follower hears answers grow."""
        return self._serve(requests, partial(self._generate_batch, follower=follower))

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Log-likelihoods of the requests' choices."""
        return self._serve(requests, self._score_batch)

    def close(self) -> None:
        """Stop the threads and forget kept features."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._store.clear()

    def forget(self) -> None:
        """Drop features kept for later batches."""
        self._store.clear()

    def _serve(
        self, requests: Iterable[Request], answer: Callable[[list[Asked]], list[Response]]
    ) -> Iterator[Response]:
        for window in windows(requests, WINDOW_BATCHES * self.options.batch_size):
            asked, failed = self._prepare(window)
            yield from failed
            for batch in plan_batches(asked, self.options.batch_size):
                if self.stopped:
                    return
                yield from self._isolate(batch, answer)

    def _prepare(self, window: Sequence[Request]) -> tuple[list[Asked], list[Response]]:
        """Check and tokenise a window; requests that cannot be asked come back as failures."""
        texts: list[str] = []
        kept: list[tuple[Request, ImageRef | None]] = []
        failed: list[Response] = []
        for request in window:
            try:
                messages, image = messages_and_image(
                    request, image_model=self._vision is not None, text_only=self.options.text_only
                )
                texts.append(self._builder.spell(messages, with_image=image is not None))
                kept.append((request, image))
            except AdapterError as error:
                failed.append(failure(request, error))
        asked: list[Asked] = []
        prompts = self._builder.encode(texts, [image is not None for _, image in kept])
        for prompt, (request, image) in zip(prompts, kept, strict=True):
            try:
                prompt = fitting(prompt, self._llm.language_config, truncate=self.options.truncate)
                asked.append(Asked(request, prompt, image))
            except AdapterError as error:
                failed.append(failure(request, error))
        return asked, failed

    def _isolate(self, batch: list[Asked], answer: Callable[[list[Asked]], list[Response]]) -> Iterator[Response]:
        """Answer a batch; if it fails, halve it until the failing request is alone. The one broad catch."""
        try:
            with torch.inference_mode():
                responses = answer(batch)
        except Exception as error:  # noqa: BLE001 - whatever one sample breaks must not take the others along
            if len(batch) == 1:
                yield failure(batch[0].request, error)
                return
            if isinstance(error, torch.OutOfMemoryError):
                self._store.clear()
                torch.cuda.empty_cache()
        else:
            yield from responses
            return
        half = len(batch) // 2
        yield from self._isolate(batch[:half], answer)
        yield from self._isolate(batch[half:], answer)

    def _generate_batch(self, batch: list[Asked], follower: Follower | None = None) -> list[Response]:
        begin = time.perf_counter()
        pictures = self._encode(batch)
        settings = batch[0].request.generation
        if settings.num_beams > 1:
            return self._beam_batch(batch, pictures, settings, begin)
        start = time.perf_counter()
        with self.clock.device("prefill"):
            read = prefill(self._llm, self._rows(batch, pictures), pictures.features, share=self.options.share_prefix)
        self._wait()
        prefill_ms = (time.perf_counter() - start) * MS / len(batch)
        start = time.perf_counter()
        config = self._llm.language_config
        with self.clock.device("decode"):
            answers = decode(
                self._llm,
                read,
                max_new_tokens=[settings.max_new_tokens] * len(batch),
                eos_id=NO_TOKEN if self.ignore_end else config.eos_token_id,
                bos_id=config.bos_token_id,
                choice=_token_choice(batch, settings),
                is_complete=watch(
                    self._tokenizer, [item.request.request_id for item in batch], settings.stop, follower
                ),
            )
        end = time.perf_counter()
        decode_ms, batch_ms = (end - start) * MS / len(batch), (end - begin) * MS
        responses = []
        for item, answer in zip(batch, answers, strict=True):
            self.clock.tokens(item.request.request_id, answer.times_s)
            image_ms, vision_ms = pictures.cost(item)
            timing = Timing(
                image_ms=image_ms,
                vision_ms=vision_ms,
                prefill_ms=prefill_ms,
                decode_ms=decode_ms,
                batch_ms=batch_ms,
                batch_size=len(batch),
                ttft_ms=(answer.times_s[0] - begin) * MS,
                tpot_ms=_tpot_ms(answer),
            )
            responses.append(self._response(item, answer.ids, answer.finished, timing))
        return responses

    def _beam_batch(
        self, batch: list[Asked], pictures: _Pictures, settings: GenerationSettings, begin: float
    ) -> list[Response]:
        start = time.perf_counter()
        with self.clock.device("decode"):
            answers = beam_search(
                self._llm,
                self._rows(batch, pictures),
                pictures.features,
                max_new_tokens=settings.max_new_tokens,
                num_beams=settings.num_beams,
                repetition_penalty=settings.repetition_penalty,
            )
        end = time.perf_counter()
        decode_ms, batch_ms = (end - start) * MS / len(batch), (end - begin) * MS  # prefill is not told apart
        responses = []
        for item, ids in zip(batch, answers, strict=True):
            image_ms, vision_ms = pictures.cost(item)
            timing = Timing(image_ms, vision_ms, None, decode_ms, batch_ms, len(batch))
            finished = ids[-1:] == [self._llm.language_config.eos_token_id]
            responses.append(self._response(item, ids, finished, timing))
        return responses

    def _score_batch(self, batch: list[Asked]) -> list[Response]:
        begin = time.perf_counter()
        tokens = [self._choice_ids(item.request) for item in batch]
        pictures = self._encode(batch)
        start = time.perf_counter()
        with self.clock.device("prefill"):
            read = prefill(self._llm, self._rows(batch, pictures), pictures.features, share=self.options.share_prefix)
        self._wait()
        prefill_ms = (time.perf_counter() - start) * MS / len(batch)
        start = time.perf_counter()
        with self.clock.device("decode"):
            scores = choice_log_likelihoods(self._llm, read, tokens)
        end = time.perf_counter()
        decode_ms, batch_ms = (end - start) * MS / len(batch), (end - begin) * MS
        responses = []
        for item, sums, ids in zip(batch, scores, tokens, strict=True):
            image_ms, vision_ms = pictures.cost(item)
            responses.append(
                Response(
                    item.request.request_id,
                    choice_scores=tuple(sums),
                    choice_tokens=tuple(map(len, ids)),
                    usage=Usage(len(item.prompt.ids), self._query_num if item.image else 0, 0),
                    timing=Timing(image_ms, vision_ms, prefill_ms, decode_ms, batch_ms, len(batch)),
                )
            )
        return responses

    def _choice_ids(self, request: Request) -> list[list[int]]:
        ids = self._tokenizer.encode_texts(request.choices, parse_special=self.options.parse_special)
        if not ids or not all(ids):
            raise AdapterError(
                f"Request {request.request_id} has no choices to score, or an empty one: {request.choices}."
            )
        return ids

    def _encode(self, batch: Sequence[Asked]) -> _Pictures:
        """Features of a batch's distinct pictures: kept ones, and new ones in as few vision batches as may be."""
        refs = {item.image.sha256: item.image for item in batch if item.image is not None}
        pictures = _Pictures(position={sha256: i for i, sha256 in enumerate(refs)})
        if not refs or self._vision is None:
            return pictures
        found = {sha256: self._store.get(sha256) for sha256 in refs}
        new = [sha256 for sha256, features in found.items() if features is None]
        step = self.options.vision_batch_size
        for begin in range(0, len(new), step):
            names = new[begin : begin + step]
            decoded = list(self._threads.map(self._decode_picture, [refs[name] for name in names]))
            pictures.image_ms |= {name: ms for name, (_, ms) in zip(names, decoded, strict=True)}
            start = time.perf_counter()
            pixels = torch.from_numpy(normalise([square for square, _ in decoded]))  # (n, 3, side, side)
            with self.clock.device("h2d"):
                pixels = pixels.to(self._vision.device, self._vision.dtype)
            features = self._vision.image_features(pixels)
            self._wait()
            spent_ms = (time.perf_counter() - start) * MS / len(names)
            for name, one in zip(names, features, strict=True):
                found[name] = one
                pictures.vision_ms[name] = spent_ms
                self._store.put(name, one.clone())
        pictures.features = torch.stack([features for features in found.values() if features is not None])
        return pictures

    def _decode_picture(self, ref: ImageRef) -> tuple[Pixels, float]:
        """Read, decode and squash one picture; also how long that took."""
        assert self._vision is not None
        start = time.perf_counter()
        with self.clock.host("image_decode"):
            image = ref.open()
        with self.clock.host("resize"):
            square = squash(image, self._vision.config.image_size, apply_exif=self.options.apply_exif)
        return square, (time.perf_counter() - start) * MS

    def _rows(self, batch: Sequence[Asked], pictures: _Pictures) -> list[Row]:
        return [
            Row(item.prompt.ids, pictures.position[item.image.sha256] if item.image else None, item.prompt.image_slot)
            for item in batch
        ]

    def _response(self, item: Asked, ids: Sequence[int], finished: bool, timing: Timing) -> Response:
        stop = item.request.generation.stop
        text = self._tokenizer.decode_answer(ids)
        cut = min((text.find(end) for end in stop if end in text), default=len(text))
        return Response(
            item.request.request_id,
            text=text[:cut].strip() if stop else text,
            finish="stop" if finished else "length",
            usage=Usage(len(item.prompt.ids), self._query_num if item.image else 0, len(ids)),
            timing=timing,
        )

    def _wait(self) -> None:
        """Let the device finish, so that a stage's time is its own."""
        if self._llm.device.type == "cuda":
            torch.cuda.synchronize(self._llm.device)


def failure(request: Request, error: BaseException) -> Response:
    """A response that says why there is no answer."""
    told = "" if isinstance(error, AdapterError) else "".join(traceback.format_exception(error))
    image = f" (image {request.images[0].name})" if request.images and not isinstance(error, AdapterError) else ""
    return Response(
        request.request_id,
        finish="error",
        failure=Failure(type(error).__name__, f"{error}{image}", told),
    )


def _token_choice(batch: Sequence[Asked], settings: GenerationSettings) -> TokenChoice:
    if not settings.do_sample:
        return TokenChoice(repetition_penalty=settings.repetition_penalty)
    generators = tuple(_generator(settings.seed, item.request.request_id) for item in batch)
    return TokenChoice(
        repetition_penalty=settings.repetition_penalty,
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        generators=generators,
    )


def _generator(seed: int, request_id: str) -> torch.Generator:
    """A generator of the request's own, so that a sampled answer does not depend on the company it was drawn in."""
    digest = hashlib.sha256(f"{seed}:{request_id}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


def _tpot_ms(answer: Continuation) -> float | None:
    """Time per output token after the first; null below two tokens."""
    if len(answer.times_s) < 2:
        return None
    return (answer.times_s[-1] - answer.times_s[0]) * MS / (len(answer.times_s) - 1)
