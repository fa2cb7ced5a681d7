"""A report on this machine's own address: the page of ``report``, whose samples and pictures are sent when asked for.

It only reads, answers this machine only, and knows four kinds of address: ``/``, ``/api/filters``, ``/api/categories``,
``/api/samples`` and ``/picture/<sha256>``. Nothing of an address becomes a path but a hash of 64 hexadecimal digits. A
``Host`` other than the loopback's is refused, so that no page of another site can read the answers by pointing its own
name here (DNS rebinding).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from evals.compare import Ablation, Comparison
from evals.errors import StoreError
from evals.store import Run
from reports import samples_view
from reports.browsing import FALLBACK_ROWS
from reports.sample_index import Query, SampleIndex
from reports.task_facts import all_facts

LOOPBACK = "127.0.0.1"
MOST_ROWS = 200  # of one answer
LONGEST_PARAMETER = 2_000  # characters
REQUEST_TIMEOUT_S = 30.0
_HASH = re.compile(r"/picture/([0-9a-f]{64})")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class BadRequestError(Exception):
    """A request that cannot be answered; its text says why."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is served: the page, the index of its samples, and the runs whose pictures it shows."""

    page: bytes
    index: SampleIndex
    runs: tuple[Run, ...]

    def picture(self, sha256: str) -> bytes | None:
        """A stored thumbnail, re-encoded pictures only; the first run that kept it gives it."""
        for run in self.runs:
            data = run.thumbnail(sha256)
            if data is not None and data[:3] == b"\xff\xd8\xff":
                return data
        return None

    def picture_address(self, sha256: str) -> str | None:
        """Where the page finds a picture; None where no run kept it."""
        kept = any((run.path / "thumbnails" / f"{sha256}.jpg").exists() for run in self.runs)
        return f"picture/{sha256}" if kept and re.fullmatch(r"[0-9a-f]{64}", sha256) else None


def remote_browser(index: SampleIndex) -> dict[str, Any]:
    """The sample browser's data in a page whose samples stay on the server."""
    total = sum(len(task) for task in index.tasks)
    return {
        "fields": samples_view.FIELDS,
        "server": True,
        "frozen": 0,
        "tasks": index.heads(),
        "kept": {"rows": total, "of_rows": total, "pictures": 0, "of_pictures": 0},
    }


def answer(site: Site, path: str, parameters: dict[str, str]) -> Any:
    """The JSON of one API address.

    Raises:
        BadRequestError: a parameter that is not what it should be.
        KeyError: no such address.
    """
    routes: dict[str, Callable[[], Any]] = {
        "/api/filters": site.index.filters,
        "/api/categories": lambda: site.index.categories(parameters.get("task", "")),
        "/api/samples": lambda: _samples(site, parameters),
    }
    return routes[path]()


def _samples(site: Site, parameters: dict[str, str]) -> dict[str, Any]:
    category = _category(parameters.get("category", ""))
    show = parameters.get("show", "all")
    query = Query(show, parameters.get("task", ""), category, parameters.get("text", ""))
    rows = _number(parameters, "rows", 50, 1, MOST_ROWS)
    key = _key(parameters["key"]) if parameters.get("key") else None
    page = site.index.page(query, rows, at=_number(parameters, "at", 0, 0, 10**12), key=key)
    block = site.index.block(page, site.picture_address)
    return {"total": page.total, "at": page.at, "hit": page.hit, "from": page.start, "block": block}


def _number(parameters: dict[str, str], name: str, default: int, low: int, high: int) -> int:
    text = parameters.get(name, str(default))
    if not re.fullmatch(r"\d{1,13}", text, re.ASCII) or not low <= int(text) <= high:
        raise BadRequestError(f"{name} is {text[:40]!r}; expected a whole number from {low} to {high}.")
    return int(text)


def _category(text: str) -> tuple[str, str] | None:
    if not text:
        return None
    try:
        column, value = json.loads(text)
    except ValueError:
        raise BadRequestError(
            'category is not a JSON list of a column and a value, such as ["shape","circle"].'
        ) from None
    return str(column), str(value)


def _key(text: str) -> tuple[str, str]:
    from urllib.parse import unquote

    task, slash, row_id = text.partition("/")
    if not slash:
        raise BadRequestError("key is not of the form task/row id.")
    return unquote(task), unquote(row_id)


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD; everything else is not implemented."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "omnilmm-eval", ""
    timeout = REQUEST_TIMEOUT_S
    server: Server

    def do_GET(self) -> None:
        """One request; a client that went away is let go."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._answer()
            return
        self.close_connection = True

    def _answer(self) -> None:
        if self.headers.get("Host", "").lower() not in self.server.hosts:
            self._text(HTTPStatus.MISDIRECTED_REQUEST, "This report answers to its own loopback address only.")
            return
        try:
            self._route()
        except BadRequestError as error:
            self._text(HTTPStatus.BAD_REQUEST, str(error))
        except KeyError:
            self._text(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    do_HEAD = do_GET  # noqa: N815 - http.server finds it by this name

    def _route(self) -> None:
        site, parts = self.server.site, urlsplit(self.path)
        if parts.path == "/":
            self._send(
                HTTPStatus.OK,
                "text/html; charset=utf-8",
                site.page,
                {"Content-Security-Policy": "frame-ancestors 'none'"},
            )
        elif parts.path == "/favicon.ico":  # browsers ask by themselves
            self._send(HTTPStatus.NO_CONTENT, "image/x-icon", b"")
        elif picture := _HASH.fullmatch(parts.path):
            data = site.picture(picture[1])
            if data is None:
                raise KeyError(picture[1])
            self._send(HTTPStatus.OK, "image/jpeg", data, {"Cache-Control": "private, max-age=3600"})
        else:
            given = parse_qs(parts.query, keep_blank_values=True, max_num_fields=20)
            parameters = {name: values[0] for name, values in given.items()}
            if any(len(value) > LONGEST_PARAMETER for value in parameters.values()):
                raise BadRequestError(f"a parameter is longer than {LONGEST_PARAMETER} characters.")
            body = json.dumps(answer(site, parts.path, parameters), ensure_ascii=False, allow_nan=False)
            self._send(HTTPStatus.OK, "application/json; charset=utf-8", body.encode("utf-8", "replace"))

    def _text(self, status: HTTPStatus, text: str) -> None:
        self._send(status, "text/plain; charset=utf-8", text.encode())

    def _send(self, status: HTTPStatus, kind: str, body: bytes, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in ({"Cache-Control": "no-store"} | _HEADERS | (more or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server names it so
        """Nothing is logged: stdout and stderr belong to the command."""


class Server(ThreadingHTTPServer):
    """The server; ``hosts`` are the only names it answers to."""

    daemon_threads = True

    def __init__(self, site: Site, port: int = 0) -> None:
        try:
            super().__init__((LOOPBACK, port), Handler)
        except OSError as error:
            raise StoreError(
                f"Port {port} of {LOOPBACK} cannot be used: {error.strerror}. Give another --port."
            ) from error
        self.site = site
        self.hosts = frozenset(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))

    @property
    def address(self) -> str:
        """What to open in a browser."""
        return f"http://{LOOPBACK}:{self.server_port}/"


def run_site(run: Run) -> Site:
    """The site of one run."""
    from reports.run_report import render

    index = SampleIndex([run])
    html = render(run, all_facts(run), remote_browser(index), index.telling(FALLBACK_ROWS))
    return Site(html.encode("utf-8"), index, (run,))


def comparison_site(runs: Sequence[Run], found: Sequence[Comparison], series: Ablation | None = None) -> Site:
    """The site of a comparison; arguments as :func:`reports.compare_report.build_comparison` takes them."""
    from reports.compare_report import html

    index = SampleIndex(runs)
    return Site(html(runs, found, series, remote_browser(index)).encode("utf-8"), index, tuple(runs))


def serve(site: Site, port: int = 0) -> None:
    """Serve until interrupted, after printing the address.

    Raises:
        StoreError: the port cannot be used.
    """
    with Server(site, port) as server:
        print(f"{server.address} (only from this machine; Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
