"""A broker whose every answer takes three seconds, longer than a flush: work goes on, and nothing is sent again."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.kafka.broker import LOOPBACK, LocalKafka, free_ports
from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.clock import SystemClock
from processor.core.ledger import Position
from processor.core.request_id import request_id
from processor.core.topics import INFLIGHT, INSTANCES, RUNS, TOPICS, queue_topic
from processor.executor.books import FLUSH_SEC, Books
from processor.executor.claims import Claims
from processor.executor.dedup import DEFAULT_WINDOW
from processor.ops.chaos import proxy
from processor.ops.chaos.proxy import Network, Proxies
from processor.transport.abstract import TopicPartition
from processor.transport.kafka import KafkaTransport
from processor.transport.replay import read_to_end

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

EXECUTOR = "e#1"
QUEUE = queue_topic("queue.f.1", 1)
ANSWER_SEC = 3.0
LIMIT_SEC = 90.0
CALL_SEC = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """To one broker, with and without the proxy."""

    direct: KafkaTransport
    proxied: KafkaTransport
    proxies: Proxies

    def slow_down(self, books: Books) -> None:
        """Once this session knows its way: finding it takes more answers than an append may wait for."""
        for topic in (RUNS, INSTANCES, INFLIGHT):
            for partition in range(topic.partitions):
                books.write(topic.name, b"", key=b"before", partition=partition)
        until(lambda: books.flush(FLUSH_SEC))
        self.proxies.set("executor", Network.SLOW)

    def keys(self, topic: str) -> Counter[bytes]:
        reader = self.direct.reader()
        try:
            partitions = reader.partitions(topic, CALL_SEC)
            records = list(read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC))
            return Counter(each.key or b"" for each in records if each.key != b"before")
        finally:
            reader.close()


@pytest.fixture
def line(tmp_path: Path, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Line]:
    monkeypatch.setattr(proxy._Link, "_pass", _later)
    inner, outer = free_ports(2)
    with ExitStack() as stack:
        kafka = LocalKafka(data_dir=tmp_path / "kafka")
        stack.callback(kafka.kill)
        (node,) = kafka.nodes
        added = {
            "listeners": f"SLOW://{LOOPBACK}:{inner}",
            "advertised.listeners": f"SLOW://{LOOPBACK}:{outer}",
            "listener.security.protocol.map": "SLOW:PLAINTEXT",
        }
        node.config = {**node.config, **{key: f"{node.config[key]},{value}" for key, value in added.items()}}
        proxies = Proxies()
        stack.callback(proxies.close)
        proxies.open("executor", port=outer, upstream_port=inner)
        kafka.start()
        kafka.wait_ready()
        transports = [
            stack.enter_context(KafkaTransport(bootstrap_servers=servers, topic_prefix=topic_prefix))
            for servers in (kafka.bootstrap_servers, f"{LOOPBACK}:{outer}")
        ]
        transports[0].admin().create_topics([*TOPICS, QUEUE], CALL_SEC)
        yield Line(direct=transports[0], proxied=transports[1], proxies=proxies)


async def _later(link: Any, writer: asyncio.StreamWriter, frame: bytes) -> None:
    """Each answer on its own, unlike the proxy's own delay, which lets one of them pass at a time."""
    answer = writer is link._client[1]
    delay_sec = ANSWER_SEC if answer and link._proxy.network is Network.SLOW else 0.0
    asyncio.get_running_loop().call_later(delay_sec, writer.write, frame)


def until(done: Callable[[], bool]) -> int:
    """How often it was asked."""
    clock, asked = SystemClock(), 1
    deadline_sec = clock.boottime() + LIMIT_SEC
    while not done():
        assert clock.boottime() < deadline_sec
        asked += 1
    return asked


def test_what_is_written_to_a_slow_broker_lands_and_lands_once(line: Line) -> None:
    books = Books(line.proxied, SystemClock())
    try:
        line.slow_down(books)
        for number in range(48):
            books.write_in_bulk(RUNS.name, b"x" * 1_000, key=b"%d" % number, partition=number % RUNS.partitions)
            books.write(INSTANCES.name, b"alive", key=b"%d" % number, partition=0)
            books.flush(0.05)
        assert until(lambda: books.flush(FLUSH_SEC)) > 1, "it was slow"
    finally:
        books.close()
    assert set(line.keys(RUNS.name).values()) == {1}
    assert set(line.keys(INSTANCES.name).values()) == {1}
    assert len(line.keys(RUNS.name)) == 48


def test_an_executor_claims_where_appends_are_slow_and_writes_each_intent_once(line: Line) -> None:
    clock, runs = SystemClock(), [request_id("f", "s", str(number)) for number in range(3)]
    producer = line.direct.producer()
    for number, run in enumerate(runs):
        stamp = Stamp("f", "v", "id", Position(0, 0, number), (0, number - 1) if number else None, "data", 0)
        producer.append(QUEUE.name, b"{}", key=run.encode(), partition=0, headers=((STAMP_HEADER, stamp.encode()),))
    producer.flush(CALL_SEC)
    producer.close()
    books = Books(line.proxied, clock)
    claims = Claims(
        transport=line.direct,  # a member that hears nothing for so long is evicted: that is another fault
        books=books,
        clock=clock,
        executor=EXECUTOR,
        function_of=lambda _: "f",
        inflight_partitions=INFLIGHT.partitions,
        policy=DEFAULT_WINDOW,
    )
    try:
        claims.serve([QUEUE.name])
        until(lambda: bool(claims.poll(0.1)) and claims.waiting() == {"f": 3})
        line.slow_down(books)
        taken = claims.claim({"f": 3})
        while not claims.settled:
            taken += claims.settle()
        assert [each.request_id for each in taken] == runs
    finally:
        claims.close()
        books.close()
    assert line.direct.admin().committed("executor", [TopicPartition(QUEUE.name, 0)], CALL_SEC)
    assert list(line.keys(INFLIGHT.name).values()) == [1, 1, 1]
