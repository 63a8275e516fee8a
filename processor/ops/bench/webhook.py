"""Single events through POST on the listener of the triggers role, to the answer that they are durable.

Only that role runs, in a process of its own, on an embedded log or on a broker; every connection sends its next event
when the last one was answered.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import orjson
import uvloop

from processor.cli.layers import load_settings
from processor.cli.site import Site
from processor.cli.supervisor import run_on_loop, run_roles
from processor.ops.bench.figures import Figure, percentile
from processor.ops.bench.load import LoadFailed
from processor.ops.bench.site import kafka_environment
from processor.ops.processes import headrace
from processor.registry.manifest import parse_entry

TARGET_PER_SEC = 4_000
SECONDS = 10.0
WARM_SECONDS = 2.0
CONNECTIONS = 64
_FUNCTION = "bench-hook"
#: Stands in a body for a number of as many digits.
NUMBER = b"##########"
_PATHS = {"data": "/hook", "storage": "/storage"}
_STOP_SEC = 20.0
#: The last answers may take so long.
_ANSWER_SEC = 30.0


def embedded_webhook() -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        environment = {"HEADRACE_TRANSPORT": "embedded", "HEADRACE_DATA_DIR": f"{folder}/data"}
        return _measured("embedded", environment, Path(folder))


def kafka_webhook(brokers: str) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        environment = kafka_environment(brokers, f"bench{time.time_ns():x}.", Path(folder))
        headrace(["topics", "init"], environment)
        return _measured("Kafka", environment, Path(folder))


def _measured(kind: str, environment: Mapping[str, str], folder: Path) -> list[Figure]:
    with _served(environment, folder) as (process_id, port):
        data = Load(port=port, path=_PATHS["data"], body=orjson.dumps({"number": NUMBER.decode(), "pad": "x" * 200}))
        storage = Load(port=port, path=_PATHS["storage"], body=_notification())
        plain = _figures(f"webhook to intake, {kind}", data, process_id)
        return plain + _figures(f"storage webhook to intake, {kind}", storage, process_id)


def _figures(name: str, load: Load, process_id: int) -> list[Figure]:
    uvloop.run(load.run(WARM_SECONDS))
    before_sec = _cpu_sec(process_id)
    answers = uvloop.run(load.run(SECONDS))
    cpu_us = (_cpu_sec(process_id) - before_sec) / len(answers) * 1e6
    per_sec = len(answers) / SECONDS
    waits = [each * 1000 for each in answers]
    return [
        Figure(name=name, value=per_sec, unit="events/s", target=TARGET_PER_SEC, better="higher"),
        Figure(name=f"{name}, p50", value=percentile(waits, 0.5), unit="ms", target=None, better="lower"),
        Figure(name=f"{name}, p99", value=percentile(waits, 0.99), unit="ms", target=None, better="lower"),
        Figure(name=f"{name}, processor time per event", value=cpu_us, unit="us", target=None, better="lower"),
    ]


@contextmanager
def _served(environment: Mapping[str, str], folder: Path) -> Iterator[tuple[int, int]]:
    """The process that runs the role, and the port of its listener."""
    settings = {**environment, "HEADRACE_TRIGGERS__PORT": "0", "HEADRACE_LOG__LEVEL": "WARNING"}
    with (folder / "triggers.log").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            env={**os.environ, **settings},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        try:
            ready = next((line for line in process.stdout if line.startswith("ready triggers")), "")
            if ":" not in ready:
                raise LoadFailed(f"the triggers role did not start: {(folder / 'triggers.log').read_text()[-500:]}")
            yield process.pid, int(ready.rpartition(":")[2])
        finally:
            process.terminate()
            process.wait(_STOP_SEC)
            process.stdout.close()


@dataclass(slots=True)
class Load:
    """As many events as are answered."""

    port: int
    path: str
    #: With NUMBER somewhere: no two events are the same.
    body: bytes
    seconds: list[float] = field(default_factory=list)
    sent: int = 0

    async def run(self, seconds: float) -> list[float]:
        """Returns how long each answer took. Raises LoadFailed."""
        self.seconds = []
        loop = asyncio.get_running_loop()
        until = time.perf_counter() + seconds
        callers = [
            (await loop.create_connection(lambda: _Caller(self, until), "127.0.0.1", self.port))[1]
            for _ in range(CONNECTIONS)
        ]
        async with asyncio.timeout(seconds + _ANSWER_SEC):
            await asyncio.gather(*(each.ended for each in callers))
        return self.seconds

    @property
    def request(self) -> bytes:
        head = f"POST {self.path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        return f"{head}content-length: {len(self.body)}\r\n\r\n".encode() + self.body

    def number(self) -> bytes:
        self.sent += 1
        return b"%0*d" % (len(NUMBER), self.sent)


class _Caller(asyncio.Protocol):
    """One connection. Our answers end with the only brace that ends a piece: reading them costs next to nothing."""

    def __init__(self, load: Load, until_sec: float) -> None:
        self._load = load
        self._request = load.request
        self._until_sec = until_sec
        self._sent_sec = 0.0
        self._answer = b""
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # of uvloop, whose class is no subclass of it
        self._send()

    def data_received(self, data: bytes) -> None:
        now_sec = time.perf_counter()
        self._answer += data
        if not data.endswith(b"}"):
            return
        if not self._answer.startswith(b"HTTP/1.1 202 "):
            self._end(LoadFailed(f"the listener answered {self._answer[:500]!r}"))
            return
        self._answer = b""
        self._load.seconds.append(now_sec - self._sent_sec)
        if now_sec >= self._until_sec:
            self._end(None)
        else:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(LoadFailed(f"the listener closed a connection: {exc}"))

    def _send(self) -> None:
        self._sent_sec = time.perf_counter()
        self._transport.write(self._request.replace(NUMBER, self._load.number()))

    def _end(self, error: Exception | None) -> None:
        if self.ended.done():
            return
        self._transport.close()
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)


def _notification() -> bytes:
    """One of MinIO's, with one object."""
    item = {
        "eventVersion": "2.0",
        "eventSource": "minio:s3",
        "eventTime": "2026-11-24T12:00:00.000Z",
        "eventName": "s3:ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "bench"},
            "object": {"key": f"in%2F{NUMBER.decode()}.jpg", "size": 3, "eTag": "e", "sequencer": "17"},
        },
    }
    return orjson.dumps({"EventName": "s3:ObjectCreated:Put", "Key": "bench/in/a.jpg", "Records": [item]})


def _cpu_sec(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _serve() -> None:
    """The process that is measured."""
    triggers = [
        {"http": {"path": _PATHS["data"], "event_format": "data"}},
        {"storage": {"bucket": "bench", "source": {"webhook": {"path": _PATHS["storage"]}}}},
    ]
    entry = {"handler": "bench:noop", "code": str(Path(__file__).parent / "functions"), "events": triggers}
    wanted = parse_entry(_FUNCTION, {**entry, "rate": "1000000/s"}, Path("/"))

    async def deploy(site: Site) -> None:
        await asyncio.to_thread(site.registry.deploy, wanted, site.code, actor="bench")

    run_on_loop(
        run_roles(load_settings().settings, ("triggers",), lambda line: print(line, flush=True), prepare=deploy)
    )


if __name__ == "__main__":
    _serve()
