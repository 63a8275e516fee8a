"""The reconciler on both transports, over a claim whose intent and verdict nobody ever wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from processor.core.claims import STAMP_HEADER, CommitTag, Stamp, Vector
from processor.core.clock import SystemClock
from processor.core.ledger import Ended
from processor.core.reconciler import AGREE_AFTER_SEC
from processor.core.run import Delivery, StatusCode
from processor.recovery.reconciler import Reconciler, ReconcilerCounts
from processor.transport.abstract import Committed, Outcome, RebalanceListener, Record, TopicPartition, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.pipeline import Pipeline, pipeline


class Later(SystemClock):
    """So that two looks need not be ten minutes apart."""

    def __init__(self) -> None:
        self.ahead_sec = 0.0

    def boottime(self) -> float:
        return super().boottime() + self.ahead_sec


@pytest.fixture(params=["embedded", "kafka"])
def line(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    with transport_of(request, tmp_path) as transport, pipeline(transport, tmp_path) as made:
        made.deploy("work", "journal:run", env={"JOURNAL": str(tmp_path / "journal")}, concurrency=1)
        made.dispatcher()
        yield made


def transport_of(request: pytest.FixtureRequest, folder: Path) -> Transport:
    if request.param == "embedded":
        return EmbeddedTransport(folder / "log")
    bootstrap, prefix = request.getfixturevalue("kafka_bootstrap"), request.getfixturevalue("topic_prefix")
    return KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix)


@pytest.fixture
def reconciler(line: Pipeline) -> Iterator[tuple[Reconciler, Later, ReconcilerCounts]]:
    clock, counts = Later(), ReconcilerCounts()
    made = Reconciler(line.transport, clock, "test#reconciler", counts, pause=lambda _: False)
    yield made, clock, counts
    made.close()


def test_a_claim_that_left_nothing_behind_is_closed_by_the_second_look(
    line: Pipeline, reconciler: tuple[Reconciler, Later, ReconcilerCounts]
) -> None:
    look, clock, counts = reconciler
    lost = line.submit("work", {}, "lost")
    record = await_queued(line, lost)
    claim_and_vanish(line.transport, record)
    look.look()
    assert (counts.found, counts.closed) == (1, 0)
    clock.ahead_sec += AGREE_AFTER_SEC
    look.look()
    clock.ahead_sec += AGREE_AFTER_SEC
    look.look()
    assert (counts.found, counts.closed) == (1, 1)
    (verdict,) = [each for each in line.ledger(lost) if isinstance(each, Ended)]
    assert verdict.status_code is StatusCode.INSTANCE_LOST
    assert verdict.delivery == Delivery(record.topic, record.partition, record.offset)


def test_over_runs_that_end_run_and_wait_it_finds_nothing(
    line: Pipeline, reconciler: tuple[Reconciler, Later, ReconcilerCounts]
) -> None:
    look, clock, counts = reconciler
    line.executor(slots=1)
    ended = [line.submit("work", {}, f"ended-{number}") for number in range(20)]
    line.wait_for_verdicts(ended)
    line.submit("work", {"sec": 60.0}, "runs")
    for number in range(5):
        line.submit("work", {}, f"waits-{number}")
    for _ in range(3):
        look.look()
        clock.ahead_sec += AGREE_AFTER_SEC
    assert counts == ReconcilerCounts(looks=3)


def await_queued(line: Pipeline, run: str) -> Record:
    (topic,) = [each for each in line.transport.admin().topics(30) if each.startswith("queue.work.")]
    reader = line.transport.reader()
    try:
        reader.assign(dict.fromkeys(reader.partitions(topic, 30), 0))
        while True:  # the test's own time limit ends it
            for record in reader.poll(100, 0.5):
                if record.key == run.encode():
                    return record
    finally:
        reader.close()


class Nobody(RebalanceListener):
    def on_assign(self, partitions: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {}

    def on_revoke(self, partitions: Collection[TopicPartition]) -> None: ...

    def on_lost(self, partitions: Collection[TopicPartition]) -> None: ...


def claim_and_vanish(transport: Transport, record: Record) -> None:
    """An executor with a defect: it claims without an intent, and writes nothing down."""
    vector = Vector()
    vector.take(Stamp.decode(dict(record.headers)[STAMP_HEADER]))
    tag = CommitTag(executor="e#defect", batch=1, vector=vector)
    partition = TopicPartition(record.topic, record.partition)
    consumer = transport.consumer("executor", Nobody())
    try:
        consumer.subscribe([record.topic])
        while partition not in consumer.assignment():
            consumer.poll(1, 0.5)
        outcomes = consumer.commit({partition: Committed(record.offset + 1, tag.encode())}, 10)
        assert outcomes[partition] is Outcome.YES
    finally:
        consumer.close()
