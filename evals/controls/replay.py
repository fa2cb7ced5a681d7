"""Answers from an earlier or an imported run, put through today's scorers and reports without a model."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.controls.planned import PlannedAdapter, Table, all_questions
from evals.files import sha256_json
from evals.journal import JournalIndex
from evals.store import Run
from model_adapters.contract import AdapterError, Failure, ModelAdapter, Request, Response, did_you_mean

if TYPE_CHECKING:
    from evals.plan import TaskPlan

MATCHES = ("content", "id")


class Replay(PlannedAdapter):
    """Answers as another run did: that run's reply to the same request of the same task, its failures too. A request
    that it did not answer fails. Times are not replayed.

    Args:
        run: a run directory.
        match: ``content``: the sample must be the same, byte for byte; ``id``: the request id is enough, as for
            imported runs, which know no content hashes of ours.
    """

    def __init__(self, run: str, match: str = "content") -> None:
        if match not in MATCHES:
            raise AdapterError(
                f"replay: match={match!r} is not known.{did_you_mean(match, MATCHES)} Use content or id."
            )
        self._run, self._match, self._open = Run(Path(run)), match, ExitStack()
        model = self._run.manifest["identity"]["model"]
        self._identity = {
            **{key: model.get(key) for key in ("model", "weights", "dtype", "parameters")},
            "adapter": "replay",
            "adapter_version": "1",
            "device": None,
            "replayed": {"run": self._run.manifest["run_id"], "model": model, "answers": self._digest()},
            "match": match,
        }

    def _digest(self) -> str:
        """Fingerprint of all answers."""
        files = {task: self._run.responses_path(task) for task in sorted(self._run.tasks)}
        return sha256_json({t: hashlib.sha256(p.read_bytes()).hexdigest() for t, p in files.items() if p.exists()})

    def identity(self) -> Mapping[str, Any]:
        return dict(self._identity)

    def for_plan(self, plan: TaskPlan) -> ModelAdapter:
        """Raises :class:`AdapterError` where the run has not this task."""
        name = plan.spec.name
        if name not in self._run.tasks:
            hint = did_you_mean(name, self._run.tasks)
            held = ", ".join(self._run.tasks)
            raise AdapterError(f"replay: the run {self._run.path} has no task {name!r}.{hint} It has {held}.")
        answers = self._open.enter_context(JournalIndex(self._run.responses_path(name)))
        hashes = {q.request_id: q.content_hash for q in all_questions(plan)} if self._match == "content" else {}

        def reply(request: Request) -> Response:
            answer = answers.get(request.request_id)
            if answer is None:
                return _missing(request, "has no answer to this request")
            if hashes and answer.content_hash != hashes.get(request.request_id):
                return _missing(request, "was asked another sample under this id (match=id takes its answer anyway)")
            return Response(
                request.request_id,
                answer.text,
                "error" if answer.failure else "length" if answer.finish == "length" else "stop",
                choice_scores=answer.choice_scores,
                choice_tokens=answer.choice_tokens,
                usage=answer.usage,
                failure=answer.failure,
            )

        return Table(self, reply)

    def close(self) -> None:
        self._open.close()


def _missing(request: Request, why: str) -> Response:
    return Response(request.request_id, finish="error", failure=Failure("NoAnswer", f"The replayed run {why}."))
