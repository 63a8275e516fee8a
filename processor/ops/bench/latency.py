"""How long people wait: for the 202, for the handler's first line, for a deploy, for a printed line."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path

import orjson

from processor.ops.bench.figures import Figure, percentile
from processor.ops.bench.load import Answers, invoke_steadily
from processor.ops.bench.site import Site, limit_script

SECONDS = 10.0
WARM_SECONDS = 2.0
DEPLOYS = 20
LINES = 100
LINE_EVERY_SEC = 0.02


def accept(site: Site) -> list[Figure]:
    waits = accept_waits_ms(site)
    name = f"HTTP accept at 500/s, {site.kind}"
    return [
        Figure(name=f"{name}, p50", value=percentile(waits, 0.5), unit="ms", target=2, better="lower"),
        Figure(name=f"{name}, p99", value=percentile(waits, 0.99), unit="ms", target=20, better="lower"),
    ]


def accept_waits_ms(site: Site) -> list[float]:
    """Of each request at 500/s, after some to warm up."""
    _load(site, "bench-noop", 500, WARM_SECONDS)
    return [each * 1000 for each in _load(site, "bench-noop", 500, SECONDS).seconds]


def first_line(site: Site, limits: Path | None, brokers: str | None) -> list[Figure]:
    """From the 202 at the client to the handler's first line by the handler's own clock; one machine, one clock."""
    _load(site, "bench-first-line", 100, WARM_SECONDS)
    delays = first_line_delays_ms(site, "bench-first-line", per_sec=100, seconds=SECONDS)
    p50 = percentile(delays, 0.5)
    name = f"202 to first line at 100/s, {site.kind}"
    targets = (4, 15) if brokers else (5, 15)
    figures = [
        Figure(name=f"{name}, p50", value=p50, unit="ms", target=targets[0], better="lower"),
        Figure(name=f"{name}, p95", value=percentile(delays, 0.95), unit="ms", target=targets[1], better="lower"),
    ]
    if limits is not None and brokers:
        printed = limit_script(limits, "start_latency.py", [brokers, "logorder", "100", "10"], {})
        found = re.search(r"/s: p50 ([\d.]+)", printed)
        assert found, printed
        limit = float(found[1])
        figures += [
            Figure(name="start_latency.py logorder, p50", value=limit, unit="ms", target=None, better="lower"),
            Figure(name=f"{name}, p50 / logorder", value=p50 / limit, unit="x", target=2, better="lower"),
        ]
    return figures


def first_line_delays_ms(site: Site, function: str, *, per_sec: float, seconds: float) -> list[float]:
    answers = _load(site, function, per_sec, seconds)
    return [(_result(site, run) - at) * 1000 for run, at in answers.answered_at.items()]


def deploy(site: Site) -> list[Figure]:
    """From the PUT of a function nobody has seen to its first run FINISHED, as a client sees it."""
    code = str(Path(__file__).parent / "functions")
    seconds = []
    for number in range(DEPLOYS):
        name = f"fresh-{number}"
        start = time.perf_counter()
        status, answer = site.request(
            "PUT", f"/v1/functions/{name}", orjson.dumps({"handler": "bench:noop", "code": code})
        )
        assert status in (200, 201), answer
        run = site.invoke(name, {})
        _, document = site.request("GET", f"/v1/runs/{run}?wait=30")
        assert document["status"] == "FINISHED", document
        seconds.append(time.perf_counter() - start)
    name = f"deploy to first run FINISHED, {site.kind}, p95"
    return [Figure(name=name, value=percentile(seconds, 0.95), unit="s", target=3, better="lower")]


def follow(site: Site) -> list[Figure]:
    """From print() in the function, by its own clock, to a follower's socket."""
    run = site.invoke("bench-talk", {"lines": LINES, "every_sec": LINE_EVERY_SEC})
    delays = asyncio.run(followed(site.port, run))
    assert len(delays) == LINES, f"{len(delays)} of {LINES} lines"
    value = percentile([each * 1000 for each in delays], 0.95)
    return [
        Figure(name=f"print() to SSE follower, {site.kind}, p95", value=value, unit="ms", target=300, better="lower")
    ]


async def followed(port: int, run: str) -> list[float]:
    """Seconds from each printed time to a follower who has it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000_000)
    writer.write(f"GET /v1/runs/{run}/logs?follow=1 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    delays = []
    ended = False
    while not ended:
        line = await asyncio.wait_for(reader.readline(), 30)
        now = time.time()
        ended = not line or line.startswith(b"event: end")
        if line.startswith(b'data: {"seq"'):
            delays.append(now - float(orjson.loads(line[6:])["text"]))
    writer.close()
    return delays


def _load(site: Site, function: str, per_sec: float, seconds: float) -> Answers:
    """From a thread of its own, so that nothing of ours stands between the socket and the clock."""
    found: list[Answers] = []
    thread = threading.Thread(
        target=lambda: found.append(
            asyncio.run(invoke_steadily("127.0.0.1", site.port, function, per_sec=per_sec, seconds=seconds))
        )
    )
    thread.start()
    thread.join()
    return found[0]


def _result(site: Site, run: str) -> float:
    _, document = site.request("GET", f"/v1/runs/{run}?wait=30")
    return float(document["result"])
