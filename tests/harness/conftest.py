"""What the harness tests share."""

import os

import pytest

from model_adapters.registry import ADAPTERS


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk proves nothing in these tests; those about fsync count its calls."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def adapters(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test's adapters by name, as workers and the command line know them."""
    names = {"scripted": "Scripted", "deadly": "Deadly", "dies_loading": "DiesLoading"}
    names |= {"cannot_load": "CannotLoad", "names_gpu": "NamesGpu"}
    names |= {"limited": "Limited", "roomy": "Roomy"}
    for name, kind in names.items():
        monkeypatch.setitem(ADAPTERS, name, f"scripted_adapters:{kind}")
