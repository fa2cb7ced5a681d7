"""What the harness tests share."""

import os

import pytest


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for the disk proves nothing in these tests; those about fsync count its calls."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
