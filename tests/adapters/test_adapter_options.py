"""Options that an adapter does not have, or not in that form, are refused with the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import pytest

from model_adapters import load_adapter
from model_adapters.contract import AdapterError, Capabilities, ModelAdapter, Request, Response, cut_at_stop
from model_adapters.registry import ADAPTERS


class Picky(ModelAdapter):
    """Has an option of every type."""

    capabilities = Capabilities()

    def __init__(
        self,
        folder: str,
        count: int = 1,
        share: float = 0.5,
        exact: bool = False,
        name: str | None = None,
        mode: Literal["fast", "slow"] = "fast",
        sizes: Mapping[str, int] | None = None,
        anything: Any = None,
    ) -> None:
        self.options = (folder, count, share, exact, name, mode, sizes, anything)

    def identity(self) -> Mapping[str, Any]:
        return {}

    def generate(self, requests: Iterable[Request]) -> Iterator[Response]:
        return iter(())


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ADAPTERS, "picky", f"{__name__}:Picky")


def test_options_of_the_right_type_are_taken() -> None:
    made = load_adapter("picky", folder="a", count=2, share=1, exact=True, name=None, mode="slow", sizes={"a": 1})
    assert made.options == ("a", 2, 1, True, None, "slow", {"a": 1}, None)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"folder": "a", "count": "many"}, ["'count'", "'many'", "text", "a whole number"]),
        ({"folder": "a", "count": 1.5}, ["1.5", "a number", "a whole number"]),
        ({"folder": "a", "count": True}, ["true or false", "a whole number"]),
        ({"folder": "a", "share": "half"}, ["a number"]),
        ({"folder": "a", "exact": 1}, ["true or false"]),
        ({"folder": "a", "mode": "quick"}, ["one of fast, slow"]),
        ({"folder": "a", "sizes": 3}, ["a mapping", "null"]),
        ({"folder": 12}, ["expected text", "quote it", """-o 'folder="12"'"""]),
        ({"folder": "a", "name": False}, ["text or null", "quote it"]),
        ({"folder": "a", "cuont": 3}, ["no option 'cuont'", "Did you mean 'count'?"]),
        ({}, ["needs the option 'folder'", "-o folder="]),
    ],
)
def test_other_options_are_refused_with_what_was_expected(options: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(AdapterError) as refused:
        load_adapter("picky", **options)
    assert [part for part in parts if part not in str(refused.value)] == []


def test_an_answer_is_cut_before_its_first_stop_string() -> None:
    assert cut_at_stop("one. two; three", (";", ".")) == "one"
    assert cut_at_stop("one", (";",)) == "one"
    assert cut_at_stop(" one", ("",)) == " one"
