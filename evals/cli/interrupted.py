"""What a command that was interrupted leaves behind, and how to go on: one sentence for each kind of command."""

from __future__ import annotations

import argparse

ANSWERS = "What was answered is saved; the same command continues."
WHOLE = "Each file is written whole or not at all, so what is there is old or new. Run the same command again."
_SAID = {
    "run": ANSWERS,
    "presets": ANSWERS,
    "profile": "There is no profile yet: processes that ended left raw times, but the same command measures anew.",
    "import": "The run may be there in part: delete its folder, then import again.",
    "merge": "The merged run may be there in part: delete its folder, then merge again.",
    "export": "A part may have been exported: look at the destination before exporting again.",
    "prefetch": "Data sets that were ready are kept; the same command gets the others.",
    "serve": "The server was not ready yet, or was stopped twice: requests under way were not answered.",
}


def after_interrupt(options: argparse.Namespace) -> str:
    """The sentence for the command that was typed."""
    said = _SAID.get(options.command, WHOLE)
    if options.command == "gate":
        said = ANSWERS if getattr(options, "extend", False) else f"There may be no verdict. {WHOLE}"
    return f"Interrupted. {said}"
