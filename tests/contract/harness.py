"""What the contract suite needs of a transport beyond the port."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Literal

import pytest

from processor.core.clock import SystemClock
from processor.core.topics import Keep, Topic
from processor.transport.abstract import Record, TopicPartition, Transport
from processor.transport.replay import read_to_end
from tests.contract.member import CALL_SEC
from tests.contract.sleeper import ProcessSleeper, Sleeper, ThreadSleeper

#: Short, because tests wait for it; long enough for a machine that is busy with other things.
SESSION_TIMEOUT_SEC = 4.0
#: For the tests of groups: what they ask is the same, whichever protocol the brokers speak.
EACH_PROTOCOL = pytest.mark.parametrize(
    "harness",
    [
        "embedded",
        pytest.param("kafka-consumer", marks=pytest.mark.kafka),
        pytest.param("kafka-classic", marks=pytest.mark.kafka),
    ],
    indirect=True,
)


class SkewedClock:
    """The system's clock, and as far ahead of it as a test has pushed it."""

    def __init__(self) -> None:
        self._system = SystemClock()
        self._ahead_sec = 0.0

    def boottime(self) -> float:
        return self._system.boottime() + self._ahead_sec

    def unix_ms(self) -> int:
        return self._system.unix_ms() + int(self._ahead_sec * 1000)

    def advance(self, seconds: float) -> None:
        self._ahead_sec += seconds


class Harness(ABC):
    """One per test."""

    @abstractmethod
    def open(self, installation: str = "") -> Transport:
        """A transport of this installation, to be closed before another one is opened."""

    @abstractmethod
    def sleeper(self, transport: Transport, group: str, topic: str) -> Sleeper:
        """A member of the group that owns partitions of the topic, has read a record, and sleeps until it has been
        evicted: the next member to poll takes over.
        """

    @abstractmethod
    def compact(self, transport: Transport) -> None:
        """Compacts now, if this transport can be told to."""


class EmbeddedHarness(Harness):
    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._clock = SkewedClock()

    def open(self, installation: str = "") -> Transport:
        from processor.transport.embedded import EmbeddedTransport

        return EmbeddedTransport(
            self._data_dir, topic_prefix=installation, session_timeout_sec=SESSION_TIMEOUT_SEC, clock=self._clock
        )

    def sleeper(self, transport: Transport, group: str, topic: str) -> Sleeper:
        return ThreadSleeper(transport, group, topic, sleep=lambda: self._clock.advance(SESSION_TIMEOUT_SEC + 1))

    def compact(self, transport: Transport) -> None:
        from processor.transport.embedded import EmbeddedTransport

        assert isinstance(transport, EmbeddedTransport)
        transport.sweep()


class KafkaHarness(Harness):
    def __init__(
        self, bootstrap_servers: str, topic_prefix: str, group_protocol: Literal["consumer", "classic"]
    ) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._topic_prefix = topic_prefix
        self._group_protocol: Literal["consumer", "classic"] = group_protocol

    def open(self, installation: str = "") -> Transport:
        from processor.transport.kafka import KafkaTransport

        return KafkaTransport(
            bootstrap_servers=self._bootstrap_servers,
            topic_prefix=self._topic_prefix + installation,
            group_protocol=self._group_protocol,
            session_timeout_sec=SESSION_TIMEOUT_SEC,
        )

    def sleeper(self, transport: Transport, group: str, topic: str) -> Sleeper:
        return ProcessSleeper(
            self._bootstrap_servers, self._topic_prefix, self._group_protocol, group, topic, SESSION_TIMEOUT_SEC
        )

    def compact(self, transport: Transport) -> None:
        """The broker compacts when it likes; what it keeps must fold to the same."""


def create(transport: Transport, name: str, partitions: int = 1, keep: Keep = Keep.DELETE) -> list[TopicPartition]:
    retention_ms = None if keep in (Keep.UNTIL_CONSUMED, Keep.COMPACT) else 86_400_000
    topic = Topic(name=name, key="-", partitions=partitions, keep=keep, retention_ms=retention_ms)
    assert transport.admin().create_topics([topic], CALL_SEC) == [name]
    return [TopicPartition(name, number) for number in range(partitions)]


def write(transport: Transport, partition: TopicPartition, values: Iterable[bytes | None], key: bytes = b"k") -> None:
    """Durable when it returns."""
    producer = transport.producer()
    try:
        for value in values:
            producer.append(partition.topic, value, key=key, partition=partition.partition)
        producer.flush(CALL_SEC)
    finally:
        producer.close()


def numbered(count: int, start: int = 0) -> list[bytes | None]:
    return [b"%d" % number for number in range(start, start + count)]


def read(transport: Transport, partitions: Collection[TopicPartition]) -> list[Record]:
    """All that is there."""
    reader = transport.reader()
    try:
        return list(read_to_end(reader, partitions, SystemClock(), timeout_sec=CALL_SEC))
    finally:
        reader.close()
