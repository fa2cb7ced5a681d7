"""Whether a model can do what a task asks, known before the first question is put."""

from __future__ import annotations

from evals.errors import AdapterError
from evals.plan import TaskPlan
from model_adapters.contract import Capabilities


def check_fit(plan: TaskPlan, able: Capabilities, name: object) -> None:
    """Compare a task's questions with what the adapter of the model ``name`` says it can do.

    A set in which only some questions have no picture is let through: those become failed samples, which are counted.

    Raises:
        AdapterError: a task with pictures for a text model, a text task for a model that always answers about a
            picture, or likelihoods from a model that gives none.
    """
    task = f"Task {plan.spec.name!r}"
    if plan.pictured and able.max_images == 0:
        raise AdapterError(
            f"{task} shows a picture with {plan.pictured:,} of its {plan.requests:,} questions, and the model {name!r} "
            "takes text only. Choose a model that sees pictures, or ask without them: `image: none` in the task, or a "
            "preset that has it."
        )
    if plan.requests and not plan.pictured and not able.text_only:
        raise AdapterError(
            f"{task} shows no picture, and the model {name!r} answers about pictures only. Choose another model; some "
            "adapters take -o text_only=true."
        )
    if plan.spec.protocol == "likelihood" and not able.choice_scoring:
        raise AdapterError(
            f"{task} compares the likelihoods of its options, and the model {name!r} gives none. Use a preset with a "
            "protocol that generates answers (vanilla, circular), or an adapter that scores choices."
        )
