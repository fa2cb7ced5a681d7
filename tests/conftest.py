"""Fixtures that several rooms share."""

from pathlib import Path

import pytest
from hypothesis import settings

# A loaded machine is no bug: properties are about answers, not about time. The same examples are tried every time, so
# that a change's tests speak of the change; `make slow` explores new ones (--hypothesis-profile=explore).
settings.register_profile("project", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None)
settings.load_profile("project")

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; tests that need it skip where it is absent."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the reference data folder ../shared is not beside this checkout")
    return folder
