"""Batches that fail: the request that is to blame is found and fails alone, and memory that was full is cured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from model_adapters.contract import Response, is_memory_full

Item = TypeVar("Item")


def isolate(
    batch: list[Item],
    answer: Callable[[list[Item]], list[Response]],
    *,
    failed: Callable[[Item, Exception], Response],
    most: Callable[[], int],
    shrink: Callable[[int, str], None],
) -> Iterator[Response]:
    """Answer a batch; if that fails, halve it until the failing request is alone.

    Args:
        answer: of whole batches; may raise anything.
        failed: the response of a request that fails alone.
        most: requests of this kind that a batch may have now, >= 1; fewer than the batch has are asked at a time.
        shrink: called where memory was full, with the size that is tried next and the error's name. What did not fit
            once would not again, so ``most`` says no more than that afterwards.
    """
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        cut, full = min(len(part), most()), ""
        if cut == len(part):
            try:
                responses = answer(part)
            except Exception as error:  # noqa: BLE001 - whatever one sample breaks must not take the others along
                if len(part) == 1:
                    yield failed(part[0], error)
                    continue
                cut, full = len(part) // 2, type(error).__name__ if is_memory_full(error) else ""
            else:
                yield from responses
                continue
        if full:  # by now the error is gone, and with it the tensors that its traceback held
            shrink(cut, full)
        waiting += [part[cut:], part[:cut]]
