#!/usr/bin/env python3
"""How many requests a second the adapter `openai` puts to a server on loopback, and whether its memory stays flat.

    python benchmarks/servers.py                       # 10,000 requests, whole and streamed
    python benchmarks/servers.py --requests 100000     # and memory over 100,000 requests

The server is a process of its own that reads each request whole and answers at once with the same few bytes, so that
what is measured is the client: reading a picture of 50 KB, putting it into JSON, sending it, reading the answer. Both
processes' CPU seconds are given, since wall time depends on what else the machine does.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from model_adapters import load_adapter
from model_adapters.contract import GenerationSettings, ImageRef, Request, Turn

IMAGE_BYTES, IMAGES = 50_000, 64
SETTINGS = GenerationSettings(max_new_tokens=4)
MIB = 2**20
USAGE = {"prompt_tokens": 80, "completion_tokens": 2, "total_tokens": 82}
WHOLE = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "yes"}, "finish_reason": "stop"}]}
DELTAS = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "yes"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": USAGE},
]


def reply(kind: str, body: bytes) -> bytes:
    """One HTTP response."""
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (kind.encode(), len(body)) + body


CARDS = reply("application/json", json.dumps({"object": "list", "data": [{"id": "stub"}]}).encode())
ANSWER = reply("application/json", json.dumps(WHOLE | {"usage": USAGE}).encode())
STREAM = reply(
    "text/event-stream", b"".join(b"data: %s\n\n" % json.dumps(d).encode() for d in DELTAS) + b"data: [DONE]\n\n"
)


class Stub(asyncio.Protocol):
    """Just enough HTTP/1.1 to read a request by its Content-Length and answer it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport = transport
        self.head, self.missing, self.is_stream = b"", 0, False

    def data_received(self, data: bytes) -> None:
        """Count the body's bytes; answer when all are there."""
        if self.missing:
            self.missing -= len(data)
        else:
            self.head += data
            head, end, body = self.head.partition(b"\r\n\r\n")
            if not end:
                return
            if head.startswith(b"GET"):
                self.head = b""
                self.transport.write(CARDS)  # type: ignore[attr-defined]
                return
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            self.missing = length - len(body)
            self.head = b""
        if self.missing < 16_000:  # the setting stands at the end, after the pictures
            self.is_stream = b'"stream":true' in data[-4096:]
        if not self.missing:
            self.transport.write(STREAM if self.is_stream else ANSWER)  # type: ignore[attr-defined]


async def stub() -> None:
    """Serve until killed; the port is the first line of output."""
    server = await asyncio.get_running_loop().create_server(Stub, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def requests(n: int) -> Iterator[Request]:
    """Questions about pictures of 50 KB; the bytes are noise, which nobody decodes here."""
    pictures = [b"\xff\xd8\xff" + os.urandom(IMAGE_BYTES - 3) for _ in range(IMAGES)]
    refs = [ImageRef(hashlib.sha256(data).hexdigest(), "noise.jpg", lambda data=data: data) for data in pictures]
    for i in range(n):
        yield Request(f"r{i}", (Turn("user", (refs[i % IMAGES], "Is there a dog?")),), SETTINGS)


def measure(url: str, server: psutil.Process, n: int, *, stream: bool, limit_s: float, concurrency: int) -> None:
    """Put requests to the stub; print the rate, the CPU time and the memory on the way."""
    adapter = load_adapter("openai", base_url=url, stream=stream, concurrency=concurrency)
    own = psutil.Process()
    cpu, server_cpu, begin = time.process_time(), sum(server.cpu_times()[:2]), time.perf_counter()
    step, memory, done = max(1, n // 10), [], 0
    for response in adapter.generate(requests(n)):
        if response.failure is not None or response.text != "yes":
            sys.exit(f"unexpected answer: {response}")
        done += 1
        if done % step == 0:
            memory.append(own.memory_info().rss / MIB)
            if time.perf_counter() - begin > limit_s:
                break
    wall_s = time.perf_counter() - begin
    cpu_s, server_cpu_s = time.process_time() - cpu, sum(server.cpu_times()[:2]) - server_cpu
    adapter.close()
    print(
        f"{'streamed' if stream else 'whole':8} {done:,} requests in {wall_s:.1f} s: {done / wall_s:,.0f}/s; "
        f"client {1e3 * cpu_s / done:.2f} ms CPU a request ({done / cpu_s:,.0f}/CPU s), "
        f"stub {1e3 * server_cpu_s / done:.2f} ms"
    )
    print(f"         memory after each tenth, MiB: {' '.join(f'{m:.1f}' for m in memory)}", flush=True)


def main() -> None:
    """Start the stub, measure, end it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--requests", type=int, default=10_000)
    arguments.add_argument("--concurrency", type=int, default=16)
    arguments.add_argument("--limit-s", type=float, default=600.0, help="most seconds of one measurement")
    arguments.add_argument("--stub", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.stub:
        asyncio.run(stub())
    server = subprocess.Popen([sys.executable, __file__, "--stub"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        process = psutil.Process(server.pid)
        for stream in (False, True):
            limits = {"limit_s": options.limit_s, "concurrency": options.concurrency}
            measure(url, process, options.requests, stream=stream, **limits)
    finally:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main()
