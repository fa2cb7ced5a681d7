"""The served report, asked over real connections to the loopback."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from report_runs import demo_run, jpeg

from evals.errors import StoreError
from evals.store import Run
from reports.serve import MOST_ROWS, Server, run_site

Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("served")
    (folder / "secret.jpg").write_bytes(jpeg((1, 2, 3)))
    return demo_run(folder / "run", count=120)


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[Server]:
    with Server(run_site(run)) as served:
        thread = threading.Thread(target=served.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield served
        served.shutdown()
        thread.join()


def ask(server: Server, path: str, *, method: str = "GET", host: str = "") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    try:
        connection.putrequest(method, path, skip_host=True)
        connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
        connection.endheaders()
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


def samples(server: Server, **parameters: Any) -> dict[str, Any]:
    status, _, body = ask(server, f"/api/samples?{urlencode(parameters)}")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def test_the_page_is_the_report_with_a_policy_that_allows_its_own_server_only(server: Server) -> None:
    status, headers, body = ask(server, "/")
    assert status == 200
    assert b"connect-src &#39;self&#39;" in body or b"connect-src 'self'" in body
    assert b"Scores by task" in body
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in headers


def test_it_listens_on_the_loopback_only(server: Server) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "127.0.0.1.evil.example"]
)
def test_another_host_name_is_refused(server: Server, host: str) -> None:
    for path in ("/", "/api/filters"):
        status, _, body = ask(server, path, host=host)
        assert status == 421
        assert b"report" in body


def test_localhost_with_the_port_is_accepted(server: Server) -> None:
    assert ask(server, "/api/filters", host=f"localhost:{server.server_port}")[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.jpg",
        "/picture/../secret.jpg",
        "/picture/..%2f..%2fsecret.jpg",
        "/picture/%2e%2e/secret",
        "/picture/" + "0" * 63 + "/",
        "/picture/" + "A" * 64,
        "/picture/" + "0" * 64,
        "/thumbnails/x.jpg",
        "/manifest.json",
        "/api/../manifest.json",
        "/api/unknown",
        "//etc/passwd",
        "http://evil.example/",
    ],
)
def test_nothing_else_can_be_reached(server: Server, path: str) -> None:
    status, _, body = ask(server, path)
    assert status == 404 or (path.startswith("http://") and b"Scores by task" in body)


def test_pictures_are_sent_as_they_are_stored(server: Server, run: Run) -> None:
    block = samples(server, rows=3)["block"]
    address = block["pictures"][0]
    status, headers, body = ask(server, f"/{address}")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert body == run.thumbnail(address.removeprefix("picture/"))


def test_a_stored_file_that_is_no_picture_is_not_sent(server: Server, run: Run) -> None:
    name = "f" * 64
    (run.path / "thumbnails" / f"{name}.jpg").write_text("<script>alert(1)</script>")
    assert ask(server, f"/picture/{name}")[0] == 404


def test_pages_of_samples_follow_each_other(server: Server) -> None:
    total = dict(json.loads(ask(server, "/api/filters")[2]))["all"]
    seen: list[Any] = []
    for at in range(0, total, 40):
        found = samples(server, rows=40, at=at)
        assert (found["total"], found["from"]) == (total, at)
        seen += [(task, row[0]) for task, row in found["block"]["rows"]]
    assert len(set(seen)) == len(seen) == total


def test_filter_category_and_search_are_answered_by_the_server(server: Server) -> None:
    found = samples(server, task="words_ocr", category='["length","4"]', text="BOATS")
    assert found["total"] > 0
    assert {row[7][0][0] for _, row in found["block"]["rows"]} == {"a harbour with boats"}
    assert samples(server, show="errors")["total"] == 1


def test_a_sample_is_found_by_its_key(server: Server) -> None:
    found = samples(server, key="words_ocr/" + quote("q00077", safe=""))
    assert found["hit"]
    assert found["block"]["rows"][found["at"] - found["from"]][1][0] == "q00077"


NONSENSE = {
    **{name: f"rows={name}" for name in ("0", str(MOST_ROWS + 1), "x")},
    **{"before the first": "at=-1", "not whole": "at=1e9", "too large": "at=" + "9" * 20},
    **{"no list": "category=x", "half a list": "category=[1]", "no task": "key=x", "too long": "text=" + "x" * 2001},
}


@pytest.mark.parametrize("query", NONSENSE.values(), ids=NONSENSE)
def test_what_makes_no_sense_is_a_bad_request(server: Server, query: str) -> None:
    status, headers, body = ask(server, f"/api/samples?{query}")
    assert status == 400
    assert headers["Content-Type"].startswith("text/plain")
    assert body


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_it_only_reads(server: Server, method: str) -> None:
    assert ask(server, "/", method=method)[0] == 501


def test_head_has_the_headers_and_no_body(server: Server) -> None:
    status, headers, body = ask(server, "/", method="HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


def test_it_goes_on_after_a_client_that_hangs_up(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.server_port)) as broken:
        broken.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
    assert ask(server, "/api/filters")[0] == 200


def test_a_port_in_use_is_an_error_with_the_remedy(server: Server, run: Run) -> None:
    with pytest.raises(StoreError, match="Give another --port"):
        Server(server.site, server.server_port)


def test_a_run_that_was_not_scored_is_refused(tmp_path: Path) -> None:
    run = demo_run(tmp_path / "run", count=2)
    run.samples_path("words_ocr").unlink()
    with pytest.raises(StoreError, match=r"run_eval\.py score"):
        run_site(Run(run.path))
