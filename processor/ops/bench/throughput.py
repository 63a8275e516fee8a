"""Durable no-op runs per second, from intake to `ended`, with everything the protocol writes for each."""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from processor.core.codec import STRUCTURED_CONTENT_TYPE, encode_structured
from processor.core.errors import HeadraceError
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, Event
from processor.core.request_id import partition_of, request_id
from processor.core.topics import INTAKE, RUNS
from processor.ops.bench.figures import Figure
from processor.ops.bench.site import embedded, limit_script, on_kafka, start_roles
from processor.transport.abstract import BufferFull, Producer, Reader, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport

FUNCTION = "bench-noop"
LIMIT_SEC = 180.0
WORKERS = 2


def kafka_throughput(brokers: str, runs: int, limits: Path | None) -> list[Figure]:
    with on_kafka(brokers, ["recorder", "gateway"]) as site:
        site.deploy()
        prefix = site.environment["HEADRACE_KAFKA__TOPIC_PREFIX"]
        for name in ("gateway", "recorder"):
            site.roles[name].stop()
        with KafkaTransport(bootstrap_servers=brokers, topic_prefix=prefix) as transport:
            rate = _measure(transport, runs, lambda: start_roles(site, "executor", "dispatcher"))
    figures = [Figure(name="no-op runs on Kafka", value=rate, unit="runs/s", target=3000, better="higher")]
    if limits is not None:
        printed = limit_script(limits, "ceiling.py", [brokers, str(runs), str(WORKERS)], {})
        found = re.search(r"workers: (\d+) runs/s", printed)
        assert found, printed
        ceiling = float(found[1])
        figures += [
            Figure(name="ceiling.py, same workers", value=ceiling, unit="runs/s", target=None, better="higher"),
            Figure(name="no-op runs on Kafka / ceiling", value=rate / ceiling, unit="x", target=0.25, better="higher"),
        ]
    return figures


def kafka_throughput_recorded(brokers: str, runs: int) -> list[Figure]:
    """The same with the recorder writing the history beside it."""
    with on_kafka(brokers, ["recorder", "gateway"]) as site:
        site.deploy()
        prefix = site.environment["HEADRACE_KAFKA__TOPIC_PREFIX"]
        with KafkaTransport(bootstrap_servers=brokers, topic_prefix=prefix) as transport:
            rate = _measure(transport, runs, lambda: start_roles(site, "executor", "dispatcher"))
    return [Figure(name="no-op runs on Kafka, recorded", value=rate, unit="runs/s", target=None, better="higher")]


def embedded_throughput(runs: int) -> list[Figure]:
    """The intake is filled while nothing runs; then all roles, recorder included, work it off in one process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with embedded(folder=folder):
            pass  # deploys the functions
        with EmbeddedTransport(folder / "data" / "log") as transport:
            _fill(transport, runs)
        with embedded(folder=folder) as site:
            for number in range(0, runs, runs // 20):
                site.request("GET", f"/v1/runs/{_run(number)}?wait=60")
            time.sleep(2)  # partitions end at their own pace; what counts is read from the log below
        with EmbeddedTransport(folder / "data" / "log") as transport:
            rate = _Clocked(transport, runs).read(LIMIT_SEC)
    return [Figure(name="no-op runs embedded", value=rate, unit="runs/s", target=1000, better="higher")]


def _measure(transport: Transport, runs: int, start: Callable[[], None]) -> float:
    _fill(transport, runs)
    clocked = _Clocked(transport, runs)
    start()
    return clocked.read(LIMIT_SEC)


def _fill(transport: Transport, runs: int) -> None:
    producer = transport.producer(linger_ms=5)
    try:
        for number in range(runs):
            try:
                _append(producer, number)
            except BufferFull:
                producer.flush(60)
                _append(producer, number)
        producer.flush(60)
    finally:
        producer.close()


def _append(producer: Producer, number: int) -> None:
    extensions = {FUNCTION_ATTRIBUTE: FUNCTION, FORMAT_ATTRIBUTE: "data", TRIGGER_ATTRIBUTE: "bench"}
    data = orjson.dumps({"k": number, "pad": "x" * 200})
    event = Event(id=str(number), source="bench", type="bench", extensions=extensions, data=data)
    run = _run(number)
    producer.append(
        INTAKE.name,
        encode_structured(event),
        key=run.encode(),
        partition=partition_of(run, INTAKE.partitions),
        headers=(("content-type", STRUCTURED_CONTENT_TYPE.encode()),),
    )


def _run(number: int) -> str:
    return request_id(FUNCTION, "bench", str(number))


class _Clocked:
    """Reads the ledger and takes the time by the log's own clock: first `accepted` to last `ended`."""

    def __init__(self, transport: Transport, runs: int) -> None:
        self._transport = transport
        self._runs = runs

    def read(self, timeout_sec: float) -> float:
        reader = self._transport.reader()
        try:
            reader.assign(dict.fromkeys(reader.partitions(RUNS.name, 30), 0))
            return self._rate(reader, time.monotonic() + timeout_sec)
        finally:
            reader.close()

    def _rate(self, reader: Reader, deadline_sec: float) -> float:
        first_ms, last_ms, ended = None, 0, 0
        while ended < self._runs:
            if time.monotonic() > deadline_sec:
                raise HeadraceError(f"{ended} of {self._runs} runs have ended in time")
            for record in reader.poll(5_000, 0.5):
                kind = (record.value or b"")[:20]
                if kind.startswith(b'{"type":"accepted"'):
                    first_ms = min(first_ms or record.timestamp_ms, record.timestamp_ms)
                elif kind.startswith(b'{"type":"ended"'):
                    ended += 1
                    last_ms = max(last_ms, record.timestamp_ms)
        assert first_ms is not None
        return self._runs * 1000 / (last_ms - first_ms)
