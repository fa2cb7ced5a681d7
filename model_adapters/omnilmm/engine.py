"""The batch engine: requests in, responses out, fast and with the answers that one-by-one would give.

A window of requests is tokenised at once and cut into batches (batching.py). A batch decodes its pictures in threads,
encodes each distinct picture once (features.py keeps them for later batches), reads the shared beginning of its prompts
once per picture (reading.py) and decodes greedily or by sampling in a loop of its own; beams go through transformers.

One request that fails becomes a response that says so. A batch that fails is halved until the culprit is alone; running
out of device memory is cured on the way.
"""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import chain, islice

import torch

from model_adapters.contract import (
    AdapterError,
    Batching,
    Failure,
    GenerationSettings,
    ImageRef,
    Request,
    Response,
    Timing,
    Usage,
    cut_at_stop,
)
from model_adapters.isolation import isolate
from model_adapters.omnilmm.batch_size import BatchSize, Memory, memory_of
from model_adapters.omnilmm.batching import WINDOW_BATCHES, Asked, fitting, messages_and_image, plan_batches
from model_adapters.omnilmm.beam_search import beam_search
from model_adapters.omnilmm.choosing import TokenChoice
from model_adapters.omnilmm.decoding import Continuation, decode
from model_adapters.omnilmm.devices import wait_for
from model_adapters.omnilmm.following import Follower, watch
from model_adapters.omnilmm.graphs import StepGraphs
from model_adapters.omnilmm.language import MiniCPMDecoder
from model_adapters.omnilmm.modeling import MiniCPM, OmniLMM
from model_adapters.omnilmm.packing import Row
from model_adapters.omnilmm.pictures import PictureEncoder, Pictures
from model_adapters.omnilmm.prompt import PromptBuilder
from model_adapters.omnilmm.reading import prefill
from model_adapters.omnilmm.scoring import choice_log_likelihoods
from model_adapters.probe import StageClock

ORIGINAL_DECODING = {"num_beams": 3, "repetition_penalty": 1.2}  # of the original's ``chat`` when it does not sample
MS = 1000.0
NO_TOKEN = -1  # an id that no token has


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How requests are answered.

    Attributes:
        batch_size: rows computed at a time (beams count as rows), or ``auto``.
        vision_batch_size: pictures encoded at a time.
        feature_cache_mib: visual tokens kept for later batches.
        share_prefix: read the common beginning of prompts once per picture.
        apply_exif: turn pictures as their EXIF orientation says.
        parse_special: texts may hold control tokens, as in the original.
        truncate: cut prompts that are too long, as the original does.
        text_only: answer requests without an image.
        original_decoding: three beams and repetition penalty 1.2, whatever a request says (unless it samples).
        graphs: replay recorded decoding steps on CUDA.
    """

    batch_size: int | str = "auto"
    vision_batch_size: int = 32
    feature_cache_mib: float = 512.0
    share_prefix: bool = True
    apply_exif: bool = False
    parse_special: bool = False
    truncate: bool = False
    text_only: bool = False
    original_decoding: bool = False
    graphs: bool = True


class Engine:
    """Answers requests with one model.

    Args:
        memory: of the device, for ``batch_size="auto"``; the model's own device's by default.
    """

    def __init__(
        self, model: OmniLMM | MiniCPM, options: EngineOptions = EngineOptions(), memory: Memory | None = None
    ) -> None:
        if options.vision_batch_size < 1:
            raise AdapterError(f"vision_batch_size is {options.vision_batch_size}; expected at least 1.")
        self.options = options
        self.stopped = False  # set from a signal handler: the batch in flight is the last one
        self._clock = StageClock()
        self.ignore_end = False  # a profiler's answers have a fixed length
        self._is_image_model = isinstance(model, OmniLMM)
        self._llm: MiniCPMDecoder = model.llm
        self._tokenizer = model.tokenizer
        self._query_num = model.config.query_num if isinstance(model, OmniLMM) else 0
        self._memory = memory or memory_of(model.llm.device)
        use_graphs = options.graphs and model.llm.device.type == "cuda"
        self._graphs = StepGraphs(model.llm) if use_graphs else None
        self.set_batch_size(options.batch_size)
        self._builder = PromptBuilder(model.tokenizer, self._query_num, parse_special=options.parse_special)
        self._text = lru_cache(maxsize=4096)(model.tokenizer.decode_generated)  # short answers come again and again
        self._pictures = PictureEncoder(
            model if isinstance(model, OmniLMM) else None,
            batch_size=options.vision_batch_size,
            cache_mib=options.feature_cache_mib,
            apply_exif=options.apply_exif,
        )

    def set_batch_size(self, size: int | str) -> None:
        """Compute so many rows at a time from the next call on, or ``auto``."""
        self._size = BatchSize(size, self._llm, self._memory)

    @property
    def batching(self) -> Batching:
        """Rows and ids computed at a time now, and each time that memory was full."""
        return self._size.batching

    @contextmanager
    def eager(self) -> Iterator[None]:
        """Decoding steps are not replayed inside."""
        graphs, self._graphs = self._graphs, None
        try:
            yield
        finally:
            self._graphs = graphs

    @property
    def clock(self) -> StageClock:
        """Told where stages begin and end while somebody measures."""
        return self._clock

    @clock.setter
    def clock(self, clock: StageClock) -> None:
        self._clock = self._pictures.clock = clock

    def generate(self, requests: Iterable[Request], follower: Follower | None = None) -> Iterator[Response]:
        """Answer requests, in an order that suits the engine; a follower hears answers grow."""
        return self._serve(requests, partial(self._generate_batch, follower=follower))

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Log-likelihoods of the requests' choices."""
        return self._serve(requests, self._score_batch)

    def close(self) -> None:
        """Stop the threads and forget kept features."""
        self._pictures.close()

    def forget(self) -> None:
        """Drop features kept for later batches."""
        self._pictures.forget()

    def _serve(
        self, requests: Iterable[Request], answer: Callable[[list[Asked]], list[Response]]
    ) -> Iterator[Response]:
        stream = iter(requests)
        while window := list(islice(stream, WINDOW_BATCHES * self._size.limits.rows)):
            asked, failed = self._prepare(window)
            yield from failed
            batches = plan_batches(asked, self._size.limits.rows, self._size.limits.tokens)
            for number, batch in enumerate(batches):
                if self.stopped:
                    return
                if self.options.share_prefix:
                    self._pictures.look_ahead([item.image for item in chain(*batches[number : number + 2])])
                yield from self._isolate(batch, answer)
                self._size.look(batch)

    def _prepare(self, window: Sequence[Request]) -> tuple[list[Asked], list[Response]]:
        """Check and tokenise a window; requests that cannot be asked come back as failures."""
        texts: list[str] = []
        kept: list[tuple[Request, ImageRef | None]] = []
        failed: list[Response] = []
        for request in window:
            try:
                messages, image = messages_and_image(
                    request, image_model=self._is_image_model, text_only=self.options.text_only
                )
                texts.append(self._builder.spell(messages, with_image=image is not None))
                if self.options.original_decoding and not request.generation.do_sample:
                    request = replace(request, generation=replace(request.generation, **ORIGINAL_DECODING))
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
        """Answer a batch; a request that fails does so alone."""
        beams = batch[0].request.generation.num_beams
        yield from isolate(
            batch,
            torch.inference_mode()(answer),
            failed=lambda item, error: failure(item.request, error),
            most=lambda: max(1, self._size.limits.rows // beams),
            shrink=lambda size, error: self._make_room(size * beams, error),
        )

    def _make_room(self, rows: int, error: str) -> None:
        """Free what can be had again, and compute no more rows at a time than this."""
        self._pictures.forget()
        if self._graphs is not None:
            self._graphs.forget()
        torch.cuda.empty_cache()
        self._size.shrink(rows, error)

    def _generate_batch(self, batch: list[Asked], follower: Follower | None = None) -> list[Response]:
        begin = time.perf_counter()
        pictures = self._pictures.encode([item.image for item in batch])
        settings = batch[0].request.generation
        if settings.num_beams > 1:
            return self._beam_batch(batch, pictures, settings, begin)
        start = time.perf_counter()
        with self.clock.device("prefill"):
            read = prefill(self._llm, self._rows(batch, pictures), pictures.features, share=self.options.share_prefix)
        wait_for(self._llm.device)
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
                graphs=self._graphs,
                is_complete=watch(
                    self._tokenizer, [item.request.request_id for item in batch], settings.stop, follower
                ),
            )
        end = time.perf_counter()
        decode_ms, batch_ms = (end - start) * MS / len(batch), (end - begin) * MS
        responses = []
        for item, answer in zip(batch, answers, strict=True):
            self.clock.tokens(item.request.request_id, answer.times_s)
            image_ms, vision_ms = pictures.cost(item.image)
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
        self, batch: list[Asked], pictures: Pictures, settings: GenerationSettings, begin: float
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
            image_ms, vision_ms = pictures.cost(item.image)
            timing = Timing(image_ms, vision_ms, None, decode_ms, batch_ms, len(batch))
            finished = ids[-1:] == [self._llm.language_config.eos_token_id]
            responses.append(self._response(item, ids, finished, timing))
        return responses

    def _score_batch(self, batch: list[Asked]) -> list[Response]:
        begin = time.perf_counter()
        tokens = [self._choice_ids(item.request) for item in batch]
        pictures = self._pictures.encode([item.image for item in batch])
        start = time.perf_counter()
        with self.clock.device("prefill"):
            read = prefill(self._llm, self._rows(batch, pictures), pictures.features, share=self.options.share_prefix)
        wait_for(self._llm.device)
        prefill_ms = (time.perf_counter() - start) * MS / len(batch)
        start = time.perf_counter()
        with self.clock.device("decode"):
            scores = choice_log_likelihoods(self._llm, read, tokens)
        end = time.perf_counter()
        decode_ms, batch_ms = (end - start) * MS / len(batch), (end - begin) * MS
        responses = []
        for item, sums, ids in zip(batch, scores, tokens, strict=True):
            image_ms, vision_ms = pictures.cost(item.image)
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

    def _rows(self, batch: Sequence[Asked], pictures: Pictures) -> list[Row]:
        return [
            Row(item.prompt.ids, pictures.position[item.image.sha256] if item.image else None, item.prompt.image_slot)
            for item in batch
        ]

    def _response(self, item: Asked, ids: Sequence[int], finished: bool, timing: Timing) -> Response:
        text = cut_at_stop(self._text(tuple(ids)), item.request.generation.stop)
        return Response(
            item.request.request_id,
            text=text.strip(),
            finish="stop" if finished else "length",
            usage=Usage(len(item.prompt.ids), self._query_num if item.image else 0, len(ids)),
            timing=timing,
        )


def failure(request: Request, error: BaseException) -> Response:
    """A response that says why there is no answer."""
    told = "" if isinstance(error, AdapterError) else "".join(traceback.format_exception(error))
    name = request.images[0].name if request.images and not isinstance(error, AdapterError) else ""
    image = f" (image {name})" if name and name not in str(error) else ""
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
