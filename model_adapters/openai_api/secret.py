"""The key of a server: read from the environment or a file, and kept out of everything that is printed or written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from model_adapters.contract import AdapterError

HIDDEN = "***"
LONGEST_KEY_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Secret:
    """A key and where it came from. Its ``repr`` and ``str`` do not show it.

    Attributes:
        value: the key; empty for none.
        source: where it was read, in words, for messages.
    """

    value: str = field(default="", repr=False)
    source: str = "no key"

    def scrub(self, text: str) -> str:
        """The text with the key blotted out, wherever a server or a library put it."""
        return text.replace(self.value, HIDDEN) if self.value else text


def read_secret(env: str | None, file: str | None) -> Secret:
    """The key from the environment variable or the file that was named; no key where neither was.

    Raises:
        AdapterError: both are named, the variable is not set, the file cannot be read, or what is there is no key.
    """
    if env is not None and file is not None:
        raise AdapterError("Both api_key_env and api_key_file are given; name one place for the key.")
    if env is not None:
        if env not in os.environ:
            raise AdapterError(
                f"api_key_env names {_name(env)}, which is not set. Give the name of an environment variable that "
                "holds the key (not the key itself)."
            )
        return Secret(_checked(os.environ[env], f"environment variable {env}"), f"environment variable {env}")
    if file is not None:
        path = Path(file).expanduser()
        try:
            with path.open("rb") as stream:
                text = stream.read(LONGEST_KEY_BYTES).decode()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "no such text file"
            raise AdapterError(f"api_key_file cannot be read ({reason}); expected a file with the key.") from None
        return Secret(_checked(text, "the key file"), f"file {path}")
    return Secret()


def _name(text: str) -> str:
    """A variable's name for a message; what does not look like one may be a key that was given by mistake."""
    return repr(text) if text.isidentifier() and text.upper() == text else "something that is no variable name and"


def _checked(text: str, source: str) -> str:
    key = text.strip()
    if not key:
        raise AdapterError(f"There is no key in {source}: it is empty.")
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise AdapterError(f"What {source} holds is no key: expected one line of printable ASCII without blanks.")
    return key
