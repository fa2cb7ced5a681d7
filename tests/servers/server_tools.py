"""Servers in processes of their own, and small requests to ask them."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from model_adapters.contract import GenerationSettings, ImageRef, Request, Turn

PROJECT = Path(__file__).resolve().parents[2]


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`run_eval.py serve` on a free port: the process, and its base URL. It is ended in the end."""
    command = [sys.executable, "run_eval.py", "serve", "--port", "0", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    try:
        assert process.stdout is not None
        line = next((line for line in process.stdout if line.startswith("serving ")), "")
        found = re.search(r"http://\S+/v1", line)
        assert found, f"the server did not start: {line!r}"
        yield process, found.group()
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


def picture(colour: str = "red", form: str = "PNG", mode: str = "RGB") -> ImageRef:
    file = io.BytesIO()
    Image.new(mode, (64, 48), colour).save(file, form)
    data = file.getvalue()
    return ImageRef(hashlib.sha256(data).hexdigest(), f"{colour}.{form.lower()}", lambda: data)


def ask(text: str, *images: ImageRef, name: str | None = None, **settings: object) -> Request:
    generation = GenerationSettings(**{"max_new_tokens": 8, **settings})
    return Request(name or text, (Turn("user", (*images, text)),), generation)
