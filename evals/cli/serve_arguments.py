"""Arguments of ``serve``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from evals.cli.argument_groups import add_command, add_model

if TYPE_CHECKING:
    from evals.cli.argument_groups import Subcommands


def add_serve(commands: Subcommands) -> None:
    """A model as a server."""
    serve = add_command(commands, "serve", "serve a model over the OpenAI chat completions protocol; Ctrl-C ends")
    add_model(serve)
    place = serve.add_argument_group("where")
    place.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    place.add_argument("--port", type=int, default=8000, help="port (default: 8000; 0: any free one, which is printed)")
    place.add_argument("--name", help="the model's name for clients (default: the checkpoint's)")
    place.add_argument("--api-key-file", type=Path, help="file with the key that clients must send")
    load = serve.add_argument_group("load")
    load.add_argument("--max-batch", type=int, default=64, help="requests that are answered together (default: 64)")
    load.add_argument(
        "--window-ms", type=float, default=3.0, help="how long a request waits for others to join it (default: 3)"
    )
    load.add_argument("--max-waiting", type=int, default=1024, help="requests that may wait; more get 429")
    load.add_argument("--max-body-mib", type=float, default=32.0, help="largest request, pictures included")
