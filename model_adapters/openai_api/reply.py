"""What a server answers, read into a response: one JSON document, or a stream of events."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from model_adapters.contract import Request, Response, Timing, Usage
from model_adapters.openai_api.errors import RefusedError, UnsettledError, told
from model_adapters.openai_api.options import ServerOptions

MS = 1000.0
_LENGTH = ("length", "max_tokens")
_UNREADABLE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError)


@dataclass(slots=True)
class Reply:
    """An answer as far as it has come.

    Attributes:
        text: pieces of the answer, in order.
        finish: the server's finish_reason.
        usage: the server's usage object.
        scores: the server's choice scores, for likelihood requests.
        first: the likeliest first tokens with their log-probabilities, for likelihood requests.
        arrivals_s: monotonic time of each piece with tokens, when streaming.
    """

    text: list[str] = field(default_factory=list)
    finish: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    scores: list[dict[str, Any]] | None = None
    first: list[dict[str, Any]] | None = None
    arrivals_s: list[float] = field(default_factory=list)

    def take_document(self, body: bytes) -> None:
        """Read a whole answer.

        Raises:
            UnsettledError: no JSON, or no answer in it. Servers do this when they are overloaded or restarted half-way.
        """
        try:
            document = json.loads(body)
            self._take_usage(document)
            choice = document["choices"][0]
            self._take_content(choice["message"].get("content"))
            self.finish = choice.get("finish_reason")
            self.scores = choice.get("score_choices")
            if choice.get("logprobs"):
                self.first = choice["logprobs"]["content"][0]["top_logprobs"]
        except _UNREADABLE as error:
            raise UnsettledError(_unreadable(error, body)) from None

    def take_event(self, data: bytes, now_s: float) -> None:
        """Read one event of a stream.

        Raises:
            UnsettledError: no JSON, or an error of the server's in the middle of the answer.
        """
        try:
            event = json.loads(data)
            if event.get("error"):  # some servers send it as null in each event
                raise UnsettledError(f"The server broke off its answer: {told(data)}")
            self._take_usage(event)
            choices = event.get("choices") if "usage" in event else event["choices"]
            for choice in (choices or [])[:1]:
                delta = choice.get("delta") or {}
                self.finish = choice.get("finish_reason") or self.finish
                # Hidden reasoning is tokens, too; and the first token of an empty answer is its end.
                is_token = any(delta.get(key) for key in ("content", "reasoning_content", "reasoning"))
                if is_token or (self.finish and not self.arrivals_s):
                    self.arrivals_s.append(now_s)
                self._take_content(delta.get("content"))
        except _UNREADABLE as error:
            raise UnsettledError(_unreadable(error, data)) from None

    def _take_usage(self, document: dict[str, Any]) -> None:
        usage = document.get("usage")
        if isinstance(usage, dict):
            self.usage = usage

    def _take_content(self, content: Any) -> None:
        if isinstance(content, list):  # parts, of which those with reasoning have no text of the answer
            content = "".join(part["text"] for part in content if part["type"] == "text")
        if content is None:
            return
        if not isinstance(content, str):
            raise TypeError(f"content is {type(content).__name__}")
        self.text.append(content)

    def whole_text(self) -> str:
        """The answer. Halves of a surrogate pair, which some servers send in two pieces, are one character again;
        lone ones, which no file can hold, become U+FFFD."""
        return "".join(self.text).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def response_of(request: Request, reply: Reply, options: ServerOptions, begin_s: float, end_s: float) -> Response:
    """The response to a request.

    Args:
        begin_s, end_s: monotonic times just before the try that was answered was sent, and after its last byte.

    Raises:
        RefusedError: the server's content filter, or choice scores that do not fit.
    """
    if reply.finish == "content_filter":
        raise RefusedError("The server's content filter withheld the answer.", of_server=False)
    finish: Literal["stop", "length"] = "length" if reply.finish in _LENGTH else "stop"
    details = reply.usage.get("prompt_tokens_details")
    usage = Usage(
        prompt_tokens=_count(reply.usage.get("prompt_tokens")),
        image_tokens=_count(details.get("image_tokens")) if isinstance(details, dict) else None,
        new_tokens=_count(reply.usage.get("completion_tokens")),
    )
    usage = Usage(
        usage.prompt_tokens, usage.image_tokens, usage.new_tokens, options.cost(usage.prompt_tokens, usage.new_tokens)
    )
    timing = _timing(reply, usage.new_tokens, begin_s, end_s)
    if not request.choices:
        return Response(request.request_id, reply.whole_text(), finish, usage=usage, timing=timing)
    scores, tokens = (
        first_token_scores(request, reply) if options.choice_scoring == "first_token" else _scores(request, reply)
    )
    return Response(request.request_id, choice_scores=scores, choice_tokens=tokens, usage=usage, timing=timing)


def _timing(reply: Reply, new_tokens: int | None, begin_s: float, end_s: float) -> Timing:
    """The definitions of vLLM's and AIPerf's clients: TTFT to the first piece with text; TPOT over n - 1 tokens."""
    arrivals = reply.arrivals_s
    if not arrivals:
        return Timing(batch_ms=(end_s - begin_s) * MS)
    spread_ms = (arrivals[-1] - arrivals[0]) * MS
    gaps = [later - earlier for earlier, later in pairwise(arrivals)]
    return Timing(
        batch_ms=(end_s - begin_s) * MS,
        ttft_ms=(arrivals[0] - begin_s) * MS,
        tpot_ms=spread_ms / (new_tokens - 1) if new_tokens is not None and new_tokens > 1 and gaps else None,
        longest_gap_ms=max(gaps) * MS if gaps else None,
    )


def first_token_scores(request: Request, reply: Reply) -> tuple[tuple[float, ...], tuple[int, ...]]:
    """Log-probability of each choice as the answer's first token; spellings with blanks around count together.

    Raises:
        RefusedError: no log-probabilities, some that are no numbers, or a choice that is not among the likeliest
            tokens: how likely it is, is unknown then, and no number stands for that.
    """
    if not reply.first:
        raise RefusedError("The server gave no log-probabilities (top_logprobs).", of_server=False)
    shares: dict[str, float] = {}
    try:
        for entry in reply.first:
            token, logprob = str(entry["token"]).strip(), float(entry["logprob"])
            if math.isnan(logprob):
                raise ValueError("not a number")
            shares[token] = shares.get(token, 0.0) + math.exp(min(logprob, 0.0))
    except (KeyError, TypeError, ValueError) as error:
        told_it = f"The server's log-probabilities cannot be read ({type(error).__name__}: {error})."
        raise RefusedError(told_it, of_server=False) from None
    unknown = [choice for choice in request.choices if not shares.get(choice.strip())]
    if unknown:
        raise RefusedError(
            f"The choice {unknown[0]!r} is not among the {len(reply.first)} likeliest first tokens, so its likelihood "
            "is unknown. Choices must be single tokens, such as option letters.",
            of_server=False,
        )
    return tuple(min(0.0, math.log(shares[c.strip()])) for c in request.choices), (1,) * len(request.choices)


def _scores(request: Request, reply: Reply) -> tuple[tuple[float, ...], tuple[int, ...]]:
    try:
        scores = tuple(float(entry["logprob"]) for entry in reply.scores or ())
        tokens = tuple(int(entry["tokens"]) for entry in reply.scores or ())
    except (KeyError, TypeError, ValueError):
        scores, tokens = (), ()
    if len(scores) != len(request.choices) or not all(map(math.isfinite, scores)):
        raise RefusedError(
            f"The server did not score the {len(request.choices)} choices of this request; it is not one that can.",
            of_server=False,
        )
    return scores, tokens


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _unreadable(error: Exception, body: bytes) -> str:
    what = "is no JSON" if isinstance(error, ValueError | RecursionError) else "has no answer in choices[0]"
    return f"The server's answer {what}: {told(body[:2000]) or 'it is empty'}"
