"""Flow control: a function with a backlog keeps its rate, loses nothing, and costs another function nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import orjson

from processor.core.codec import STRUCTURED_CONTENT_TYPE, encode_structured
from processor.core.errors import HeadraceError
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, Event
from processor.core.ledger import Ended, Started, decode
from processor.core.request_id import partition_of, request_id
from processor.core.topics import INTAKE, RUNS
from processor.ops.bench.figures import Figure, percentile
from processor.ops.bench.latency import WARM_SECONDS, first_line_delays_ms
from processor.ops.bench.site import Site
from processor.transport.abstract import Transport
from processor.transport.kafka import KafkaTransport

FUNCTION = "bench-paced"
EVENTS = 10_000
PER_SEC = 10.0
WINDOW_SEC = 60.0
#: Of the other function, which runs meanwhile.
OTHER = "bench-first-line"
OTHER_PER_SEC = 20.0
DRAIN_SEC = 120.0


def flow(site: Site, brokers: str) -> list[Figure]:
    """Takes a minute and a half. The functions of the bench are deployed already."""
    prefix = site.environment["HEADRACE_KAFKA__TOPIC_PREFIX"]
    _deploy(site, rate=f"{PER_SEC:g}/s")
    with KafkaTransport(bootstrap_servers=brokers, topic_prefix=prefix) as transport:
        watch = _Watch(transport)
        first_line_delays_ms(site, OTHER, per_sec=OTHER_PER_SEC, seconds=WARM_SECONDS)
        _fill(transport)
        watch.until(lambda: bool(watch.started_ms), DRAIN_SEC)
        delays = first_line_delays_ms(site, OTHER, per_sec=OTHER_PER_SEC, seconds=WINDOW_SEC)
        watch.until(lambda: watch.past_the_window, DRAIN_SEC)
        per_sec = watch.per_sec
        _deploy(site, rate="1000000/s")
        watch.until(lambda: len(watch.ended) >= EVENTS, DRAIN_SEC)
        watch.close()
    off = abs(per_sec / PER_SEC - 1) * 100
    return [
        Figure(name=f"starts at {PER_SEC:g}/s with {EVENTS:,} waiting", value=per_sec, unit="/s", target=None,
               better="higher"),
        Figure(name=f"off {PER_SEC:g}/s over {WINDOW_SEC:g} s", value=off, unit="%", target=5, better="lower"),
        Figure(name="of these events have run", value=len(watch.ended), unit="runs", target=EVENTS, better="higher"),
        Figure(name="of these have run twice", value=watch.repeated, unit="runs", target=0, better="lower"),
        Figure(name="another function's start meanwhile, p95", value=percentile(delays, 0.95), unit="ms", target=200,
               better="lower"),
    ]  # fmt: skip


class _Watch(threading.Thread):
    """Follows the ledger from its present end."""

    def __init__(self, transport: Transport) -> None:
        super().__init__(name="bench-flow", daemon=True)
        self.started_ms: dict[str, int] = {}
        self.ended: set[str] = set()
        self.repeated = 0
        self._reader = transport.reader()
        partitions = self._reader.partitions(RUNS.name, 30)
        self._reader.assign({each: bound.high for each, bound in self._reader.bounds(partitions, 30).items()})
        self._closing = threading.Event()
        self.start()

    @property
    def past_the_window(self) -> bool:
        times = self.started_ms.copy().values()
        return bool(times) and max(times) - min(times) >= WINDOW_SEC * 1000

    @property
    def per_sec(self) -> float:
        times = self.started_ms.copy().values()
        end_ms = min(times) + WINDOW_SEC * 1000
        return sum(each < end_ms for each in times) / WINDOW_SEC

    def until(self, true: Callable[[], bool], limit_sec: float) -> None:
        deadline_sec = time.monotonic() + limit_sec
        while not true():
            if time.monotonic() > deadline_sec:
                raise HeadraceError(f"{len(self.started_ms)} runs have started and {len(self.ended)} ended in time")
            time.sleep(0.05)

    def run(self) -> None:
        while not self._closing.is_set():
            for record in self._reader.poll(5_000, 0.2):
                entry = decode(record.value)
                if entry.function != FUNCTION:
                    continue
                if isinstance(entry, Started):
                    self.repeated += entry.request_id in self.started_ms
                    self.started_ms[entry.request_id] = entry.started_at_ms
                elif isinstance(entry, Ended) and entry.status_code == 200:
                    self.ended.add(entry.request_id)

    def close(self) -> None:
        self._closing.set()
        self.join(30)
        self._reader.close()


def _deploy(site: Site, *, rate: str) -> None:
    code = str(Path(__file__).parent / "functions")
    entry = {"handler": "bench:noop", "code": code, "concurrency": 64, "rate": rate}
    status, answer = site.request("PUT", f"/v1/functions/{FUNCTION}", orjson.dumps(entry))
    if status not in (200, 201):
        raise HeadraceError(f"{FUNCTION} was not deployed: {answer}")


def _fill(transport: Transport) -> None:
    """Straight onto intake, as a foreign producer may do: no rate holds it up there."""
    producer = transport.producer(linger_ms=5)
    try:
        for number in range(EVENTS):
            extensions = {FUNCTION_ATTRIBUTE: FUNCTION, FORMAT_ATTRIBUTE: "data"}
            event = Event(id=str(number), source="flow", type="bench", extensions=extensions, data=b"{}")
            run = request_id(FUNCTION, "flow", event.id)
            producer.append(
                INTAKE.name,
                encode_structured(event),
                key=run.encode(),
                partition=partition_of(run, INTAKE.partitions),
                headers=(("content-type", STRUCTURED_CONTENT_TYPE.encode()),),
            )
        producer.flush(60)
    finally:
        producer.close()
