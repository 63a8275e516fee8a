"""An executor takes over many queue partitions at once, each with a window full of RequestIds to be read back."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from processor.core.claims import STAMP_HEADER, CommitTag, Stamp, Vector
from processor.core.clock import SystemClock
from processor.core.inflight import opened_key
from processor.core.ledger import Position
from processor.core.request_id import request_id
from processor.core.topics import INFLIGHT, QUEUES, TOPICS, queue_topic
from processor.executor.books import Books
from processor.executor.claims import GROUP, Claims
from processor.executor.dedup import DEFAULT_WINDOW
from processor.ops.bench.fault_rig import NothingHappened, until
from processor.ops.bench.figures import Figure
from processor.transport.abstract import (
    Committed,
    Outcome,
    Producer,
    RebalanceListener,
    TopicPartition,
    Transport,
)
from processor.transport.kafka import KafkaTransport

FUNCTIONS = 16
PARTITIONS = 4
#: A full window: what is remembered at least.
REMEMBERED = DEFAULT_WINDOW.at_least_records
#: Records that wait in each partition.
WAITING = 2
INTAKE_ID = "bench"
CALL_SEC = 60.0
LIMIT_SEC = 120.0


def taken_over(brokers: str, times: int) -> list[Figure]:
    """Seconds from when the group has given the partitions: noticing a death is another figure."""
    firsts, alls = zip(*(take_over(brokers) for _ in range(times)), strict=True)
    name = f"takeover of {FUNCTIONS * PARTITIONS} partitions with windows of {REMEMBERED}"
    return [
        Figure(name=f"{name}: first claim, worst of {times}", value=max(firsts), unit="s", target=2, better="lower"),
        Figure(name=f"{name}: last claim, worst of {times}", value=max(alls), unit="s", target=None, better="lower"),
    ]


def take_over(brokers: str, *, functions: int = FUNCTIONS, remembered: int = REMEMBERED) -> tuple[float, float]:
    """Seconds until something was claimed, and until something was claimed from every partition. Blocks for a minute.

    Raises NothingHappened, TransportError.
    """
    prefix = f"bench{time.time_ns():x}."
    with KafkaTransport(bootstrap_servers=brokers, topic_prefix=prefix) as transport:
        topics = [f"queue.f{number}.1" for number in range(functions)]
        transport.admin().create_topics([*TOPICS, *(queue_topic(each, PARTITIONS) for each in topics)], CALL_SEC)
        partitions = [TopicPartition(topic, number) for topic in topics for number in range(PARTITIONS)]
        _fill(transport, partitions, remembered)
        _own_before(transport, partitions, remembered)
        with _claims(transport) as claims:
            return _claim(claims, topics, len(partitions))


def _fill(transport: Transport, partitions: Sequence[TopicPartition], remembered: int) -> None:
    """What one dispatcher session would have written, and the marks of the first owners."""
    producer = transport.producer(linger_ms=5)
    try:
        for partition in partitions:
            for number in range(remembered + WAITING):
                _write(producer, partition, number)
            producer.append(QUEUES.name, b"before#1", key=opened_key(*partition), partition=0)
            producer.flush(CALL_SEC)
    finally:
        producer.close()


def _write(producer: Producer, partition: TopicPartition, number: int) -> None:
    stamp = Stamp(
        function=_function_of(partition.topic),
        version="1",
        intake_id=INTAKE_ID,
        intake=Position(0, 0, number),
        previous=(0, number - 1) if number else None,
        event_format="event",
        accepted_at_ms=0,
    )
    key = request_id(f"{partition.topic}/{partition.partition}", "bench", str(number)).encode()
    headers = [(STAMP_HEADER, stamp.encode())]
    producer.append(partition.topic, b"{}", key=key, partition=partition.partition, headers=headers)


def _function_of(topic: str) -> str:
    return topic.split(".")[1]


class _Nobody(RebalanceListener):
    """Of a consumer that never joins."""

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Collection[TopicPartition]) -> None: ...


def _own_before(transport: Transport, partitions: Sequence[TopicPartition], remembered: int) -> None:
    """The last commit of the owner before; repeated, since the first group of a new broker has to be made first."""
    tag = CommitTag(executor="before#1", batch=1, vector=Vector(INTAKE_ID, {0: (0, remembered - 1)})).encode()
    consumer = transport.consumer(GROUP, _Nobody())
    offsets = dict.fromkeys(partitions, Committed(remembered, tag))
    try:
        until(lambda: set(consumer.commit(offsets, CALL_SEC).values()) == {Outcome.YES}, "offsets were not committed")
    finally:
        consumer.close()


class _TimedClaims(Claims):
    """When each set of partitions was given (CLOCK_BOOTTIME seconds)."""

    given_at_sec: float | None = None

    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        if partitions and self.given_at_sec is None:
            self.given_at_sec = self._clock.boottime()
        return super().on_assign(partitions)


@contextmanager
def _claims(transport: Transport) -> Iterator[_TimedClaims]:
    books = Books(transport, SystemClock())
    claims = _TimedClaims(
        transport=transport,
        books=books,
        clock=SystemClock(),
        executor="after#1",
        function_of=_function_of,
        inflight_partitions=INFLIGHT.partitions,
        policy=DEFAULT_WINDOW,
    )
    try:
        yield claims
    finally:
        claims.close()
        books.close()


def _claim(claims: _TimedClaims, topics: Sequence[str], partitions: int) -> tuple[float, float]:
    """As the executor's loop does, with slots for everything."""
    clock = SystemClock()
    give_up_at = clock.boottime() + LIMIT_SEC
    found: dict[tuple[str, int], float] = {}
    claims.serve(topics)
    while len(found) < partitions:
        if clock.boottime() > give_up_at:
            raise NothingHappened(f"of {partitions} partitions {len(found)} were claimed from")
        claims.poll(0.02)
        taken = claims.claim(claims.waiting()) if claims.settled else claims.settle()
        for each in taken:
            found.setdefault((each.record.topic, each.record.partition), clock.boottime())
    given_at_sec = claims.given_at_sec or 0.0
    return min(found.values()) - given_at_sec, max(found.values()) - given_at_sec
