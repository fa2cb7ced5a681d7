"""An adapter in front of another: what the store holds is answered from it, everything else is asked and then kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.caching.keys import Keys
from evals.caching.store import ResponseStore
from evals.controls.planned import PlannedAdapter
from model_adapters.contract import Batching, ModelAdapter, Request, Response, Usage

if TYPE_CHECKING:
    from model_adapters.probe import Probe

MOST_WAITING = 512  # answers found while the model looks for its next batch

Put = Callable[[Iterable[Request]], Iterator[Response]]


def behind_cache(adapter: ModelAdapter, folder: Path) -> ModelAdapter:
    """The adapter with a folder of kept answers in front of it; as it is for controls, which have their answers from
    the task and at once."""
    return adapter if isinstance(adapter, PlannedAdapter) else CachingAdapter(adapter, folder)


class CachingAdapter(ModelAdapter):
    """Answers from a folder of earlier answers where it can. A failure is never kept, and an answer that comes from the
    folder is marked as such and carries no times.

    Args:
        adapter: is asked what the folder does not hold. It is closed with this one.
        folder: may be shared by runs and by processes of one machine.
    """

    def __init__(self, adapter: ModelAdapter, folder: Path) -> None:
        self._adapter = adapter
        self.capabilities = adapter.capabilities
        self._keys = Keys(adapter)
        self._store = ResponseStore(folder).__enter__()

    def identity(self) -> Mapping[str, Any]:
        """The adapter's own: the same model gave these answers."""
        return self._adapter.identity()

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        return self._serve(requests, self._adapter.generate, "generate")

    def score_choices(self, requests: Iterable[Request]) -> Iterator[Response]:
        return self._serve(requests, self._adapter.score_choices, "score_choices")

    def prompt_text(self, request: Request) -> str:
        return self._adapter.prompt_text(request)

    def memory_mib(self) -> Mapping[str, float | None]:
        return self._adapter.memory_mib()

    def batching(self) -> Batching | None:
        return self._adapter.batching()

    def probe(self) -> Probe:
        return self._adapter.probe()

    def stop(self) -> None:
        self._adapter.stop()

    def close(self) -> None:
        self._store.close()
        self._adapter.close()

    def _serve(self, requests: Iterable[Request], put: Put, kind: str) -> Iterator[Response]:
        stream = iter(requests)
        while True:
            look = _Look(stream, self._keys, self._store, kind)
            yield from look.kept()
            if look.first is None:
                return
            for response in put(look):
                key = look.keys.pop(response.request_id, None)
                if key is not None and response.failure is None:
                    self._store.put(key, _stored(response))
                yield response
                yield from look.found()
            yield from look.found()


class _Look:
    """A stream of requests of which the answers are not kept; those that are kept wait to be taken.

    Attributes:
        first: the first request that has to be asked; None where there is none any more.
        keys: of the requests that were asked.
    """

    def __init__(self, stream: Iterator[Request], keys: Keys, store: ResponseStore, kind: str) -> None:
        self.first: Request | None = None
        self.keys: dict[str, str | None] = {}
        self._stream, self._make, self._store, self._kind = stream, keys, store, kind
        self._found: list[Response] = []

    def kept(self) -> Iterator[Response]:
        """Answers until one has to be asked."""
        for request in self._stream:
            response = self._kept(request)
            if response is None:
                self.first = request
                return
            yield response

    def found(self) -> list[Response]:
        """Answers that came up while others were asked."""
        found, self._found = self._found, []
        return found

    def __iter__(self) -> Iterator[Request]:
        for request in chain([] if self.first is None else [self.first], self._stream):
            response = None if request is self.first else self._kept(request)
            if response is None:
                yield request
                continue
            self._found.append(response)
            if len(self._found) >= MOST_WAITING:
                return  # so that they are written down before more are looked for

    def _kept(self, request: Request) -> Response | None:
        key = self._make.of(request, self._kind)
        value = None if key is None else self._store.get(key)
        response = None if value is None else _response(request, value)
        if response is None:
            self.keys[request.request_id] = key
        return response


def _stored(response: Response) -> dict[str, Any]:
    return {
        "text": response.text,
        "finish": response.finish,
        "choice_scores": response.choice_scores,
        "choice_tokens": response.choice_tokens,
        "usage": asdict(replace(response.usage, cost=None)),  # an answer taken from here is not paid for again
    }


def _response(request: Request, value: Mapping[str, Any]) -> Response:
    scores, tokens = value["choice_scores"], value["choice_tokens"]
    return Response(
        request.request_id,
        text=value["text"],
        finish=value["finish"],
        choice_scores=None if scores is None else tuple(scores),
        choice_tokens=None if tokens is None else tuple(tokens),
        usage=Usage(**value["usage"]),
        cached=True,
    )
