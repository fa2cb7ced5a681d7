"""The adapter contract: what the harness asks of a model and what it gets back.

This is the one module that both sides share. It holds types only and imports nothing heavy: no torch, no
transformers, no PIL at import time. Everything in it is a frozen record, except :class:`ModelAdapter` itself.

    Request ──▶ ModelAdapter.generate / score_choices ──▶ Response

A request carries its turns (text and images, in order), its generation settings and, for the likelihood protocol, the
choices to be scored. An adapter may answer requests in any order and in batches of its own making; the request id is
what joins answer and question again.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from PIL import Image

    from model_adapters.probe import Footprint, Probe


class EvalError(Exception):
    """Root of every error this project raises on purpose.

    The message is one paragraph for the user: what was found and where, what was expected, and the remedy.
    """

    exit_code = 2


class AdapterError(EvalError):
    """A model cannot be loaded, or cannot do what is asked of it."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The hint for a name that does not exist: " Did you mean 'x'?" with the nearest known one, or nothing."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image that is decoded late, by whoever needs its pixels.

    Attributes:
        sha256: hex digest of the encoded bytes (the file as stored), the image's identity everywhere.
        name: where it came from (file name, row), for messages only.
        read: returns the encoded bytes.
    """

    sha256: str
    name: str = field(compare=False)
    read: Callable[[], bytes] = field(repr=False, compare=False)

    def open(self) -> Image.Image:
        """Decode the image completely.

        Raises:
            OSError: the file is truncated, corrupt, no picture, or so large that it looks like an attack. It is raised
                here and nowhere later, whichever exception Pillow's decoders chose.
        """
        from PIL import Image, UnidentifiedImageError

        data = self.read()
        try:
            image = Image.open(io.BytesIO(data))
            image.load()
        except UnidentifiedImageError:  # Pillow's words hold a memory address, which differs each time
            raise UnidentifiedImageError(f"{self.name}: {len(data)} bytes that are no picture") from None
        except (SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise OSError(f"{self.name}: {error}") from error
        return image


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation: strings and images in the order in which the model shall see them."""

    role: Literal["system", "user", "assistant"]
    content: tuple[str | ImageRef, ...]

    @property
    def text(self) -> str:
        """The turn's text, without its images."""
        return "".join(part for part in self.content if isinstance(part, str))

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """The turn's images, in order."""
        return tuple(part for part in self.content if isinstance(part, ImageRef))


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How an answer is decoded. Part of a result's identity, field by field.

    Attributes:
        max_new_tokens: most tokens to generate, >= 1.
        num_beams: 1 is greedy (or sampling); more is beam search.
        repetition_penalty: 1.0 is off; > 1 divides positive logits of tokens already generated.
        do_sample: draw from the distribution instead of taking the maximum.
        temperature, top_p, top_k: only read when ``do_sample`` is true; ``top_k`` 0 is off.
        stop: strings that end an answer; the answer is cut before the first one.
        seed: of the sampling generator; recorded.
    """

    max_new_tokens: int = 64
    num_beams: int = 1
    repetition_penalty: float = 1.0
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    seed: int = 0


def cut_at_stop(text: str, stop: tuple[str, ...]) -> str:
    """An answer up to the first of its stop strings, without the blanks before it; the whole text if there is none."""
    found = [at for end in stop if end and (at := text.find(end)) >= 0]
    return text[: min(found)].strip() if found else text


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    Attributes:
        request_id: unique within a task; ``sample_id`` or ``sample_id#k`` for the k-th rotation of a question.
        turns: the conversation so far; the last turn is the user's.
        generation: decoding settings.
        choices: for ``score_choices``: the continuations whose likelihood is asked, in order.
    """

    request_id: str
    turns: tuple[Turn, ...]
    generation: GenerationSettings = GenerationSettings()
    choices: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[ImageRef, ...]:
        """All images of the conversation, in order."""
        return tuple(image for turn in self.turns for image in turn.images)


def check_characters(request: Request) -> None:
    """Refuse half a surrogate pair, which JSON can spell: it is no character, and no tokenizer takes it.

    Raises:
        AdapterError: a turn or a choice has one.
    """
    for text in (*(turn.text for turn in request.turns), *request.choices):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise AdapterError(
                f"A text of this request has \\u{ord(text[error.start]):04x} without its other half, which is no "
                f"character: ...{text[max(0, error.start - 20) : error.start]!r}. Correct the data."
            ) from None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one request; null where an adapter cannot know."""

    prompt_tokens: int | None = None  # text and image together
    image_tokens: int | None = None
    new_tokens: int | None = None
    cost: float | None = None  # of this request, in the currency of the prices that the adapter was given


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the time of one request went, in milliseconds; null is unknown, never zero.

    In a batch, ``vision_ms``, ``prefill_ms`` and ``decode_ms`` are the batch's time divided by its rows, so that they
    add up over a run; ``batch_ms`` is the wall time that this request really waited. A stage whose result was reused
    (vision features kept from an earlier question on the same image) took 0.0 ms.
    """

    image_ms: float | None = None  # read, decode, resize, normalise
    vision_ms: float | None = None  # vision tower and resampler
    prefill_ms: float | None = None
    decode_ms: float | None = None
    batch_ms: float | None = None
    batch_size: int | None = None
    ttft_ms: float | None = None  # submit to first token on the host
    tpot_ms: float | None = None  # (last token - first token) / (n - 1); null below two tokens
    longest_gap_ms: float | None = None  # between two pieces of a streamed answer


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one request has no answer."""

    type: str
    message: str
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """What a model made of one request. Either ``failure`` is set, or ``text`` (or ``choice_scores``) is the answer.

    Attributes:
        choice_scores: sum of log-probabilities of each choice's tokens (natural log), for ``score_choices``.
        choice_tokens: number of tokens of each choice, for length normalisation.
        finish: ``stop`` (end token or stop string), ``length`` (max_new_tokens), ``error``.
        cached: it was not asked now but taken from earlier answers to the same request; such an answer has no times.
    """

    request_id: str
    text: str = ""
    finish: Literal["stop", "length", "error"] = "stop"
    choice_scores: tuple[float, ...] | None = None
    choice_tokens: tuple[int, ...] | None = None
    usage: Usage = Usage()
    timing: Timing = Timing()
    failure: Failure | None = None
    cached: bool = False


@dataclass(frozen=True, slots=True)
class MemoryFull:
    """One time that memory was full and an adapter made its batches smaller by itself.

    Attributes:
        batch_size: most requests at a time from then on.
        error: name of the error that said so.
    """

    batch_size: int
    error: str


@dataclass(frozen=True, slots=True)
class Batching:
    """How an adapter computes requests together.

    Attributes:
        size: most requests at a time now.
        is_auto: it was left to the adapter to find that size.
        tokens: most ids of prompts and answers at a time; None where only requests are counted.
        full: each time that memory was full, in order.
    """

    size: int
    is_auto: bool = False
    tokens: int | None = None
    full: tuple[MemoryFull, ...] = ()


def is_memory_full(error: BaseException) -> bool:
    """Whether an error says that memory, the device's or the host's, was not enough."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which is not imported
        return True
    # torch's allocator of the host raises a plain RuntimeError
    return isinstance(error, RuntimeError) and tells_of_full_memory(str(error))


def tells_of_full_memory(failure: str) -> bool:
    """Whether the text of an error, its type's name in front or not, says the same."""
    said = failure.lower()
    return any(sign in said for sign in ("out of memory", "outofmemory", "memoryerror", "can't allocate memory"))


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do; the harness asks before it plans.

    Attributes:
        max_images: images a request may carry; 0 is text only, None is any number.
        text_only: requests without an image are answered.
        choice_scoring: ``score_choices`` works.
        stage_timing: the stages of :class:`Timing` are filled in.
        streaming: TTFT and inter-token times are measured.
    """

    max_images: int | None = 1
    text_only: bool = False
    choice_scoring: bool = False
    stage_timing: bool = False
    streaming: bool = False


class ModelAdapter(ABC):
    """One model behind one interface. Built by ``model_adapters.load_adapter(name, **options)``.

    Promises every adapter keeps (checked by ``tests/adapter_contract.py``): each request id comes back exactly once;
    one failing request becomes a response with ``failure`` set and does not disturb the others; greedy answers are the
    same at any batch size within the documented tolerance; no global state is changed.
    """

    capabilities: Capabilities

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """What makes this model this model, as plain JSON values.

        At least ``adapter``, ``adapter_version``, ``model`` (a name for people), ``weights`` (fingerprint or null),
        ``dtype``, ``device``, ``parameters`` (number or null) and every option that can change an answer.
        """

    @abstractmethod
    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer requests, in any order. Pulls from ``requests`` lazily, at most a few batches ahead."""

    def stream(self, requests: Iterable[Request], on_text: Callable[[str, str], None]) -> Iterator[Response]:
        """Like :meth:`generate`, and tells an answer while it grows.

        Args:
            on_text: called with a request's id and the next piece of its text, from the thread that pulls the
                responses. An answer's pieces, joined, are its text; an adapter that cannot tell gives it in one piece.
        """
        for response in self.generate(requests):
            if response.text:
                on_text(response.request_id, response.text)
            yield response

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Log-likelihood of each request's choices. Only where ``capabilities.choice_scoring``."""
        raise AdapterError(
            f"{self.identity().get('model', type(self).__name__)} cannot score choices by likelihood; "
            "use a protocol that generates answers (vanilla, circular), or an adapter that can."
        )

    def prompt_text(self, request: Request) -> str:
        """The prompt exactly as the model gets it, for people to read; images appear as ``<image>``."""
        return "\n".join(turn.text for turn in request.turns)

    def memory_mib(self) -> Mapping[str, float | None]:
        """Device memory in MiB (2**20 bytes): ``peak_allocated_mib``, ``peak_reserved_mib``, ``weights_mib``."""
        return {}

    def batching(self) -> Batching | None:
        """How requests are computed together now, and how it came to that; None where the adapter does not say."""
        return None

    def probe(self) -> Probe:
        """What a profiler may ask of this adapter's device; by default the host's clock and nothing else."""
        from model_adapters.probe import Probe

        return Probe()

    @classmethod
    def footprint(cls, **options: Any) -> Footprint | None:
        """Memory that loading with these options would take, found without loading; None if it cannot be said."""
        return None

    @classmethod
    def verify_weights(cls, **options: Any) -> str | None:
        """Read all stored weights that loading with these options would use, and return their fingerprint; what was
        remembered of them is corrected. None where there are none on this machine.

        Raises:
            AdapterError: what was remembered of files of this size and time is not what they hold.
        """
        return None

    def stop(self) -> None:  # noqa: B027 - an adapter that answers one by one stops when its requests end
        """Begin no further batch: the run was interrupted. Requests already taken may stay unanswered.

        Called from a signal handler while ``generate`` runs, so it only sets a flag.
        """

    def close(self) -> None:  # noqa: B027 - an adapter that holds nothing has nothing to free
        """Free the model's memory. The adapter is not used afterwards."""
