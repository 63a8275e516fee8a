"""From the queue onto a real intake log: both transports alike."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.topics import INTAKE, REJECTED, TOPICS
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.ops.object_stores import KEYS, ministack
from processor.ops.object_stores import running as serving
from processor.transport.abstract import Record, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from processor.transport.replay import read_to_end
from tests.integration.storage_rig import FUNCTION, LIMIT_SEC, Source, run, running, until
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.sqs import SqsTriggers

MESSAGES = 50


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def transport(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Transport]:
    made: Transport
    if request.param == "embedded":
        made = EmbeddedTransport(tmp_path / "log")
    else:
        made = KafkaTransport(
            bootstrap_servers=request.getfixturevalue("kafka_bootstrap"),
            topic_prefix=request.getfixturevalue("topic_prefix"),
        )
    with made:
        made.admin().create_topics(TOPICS, LIMIT_SEC)
        yield made


def read(transport: Transport, topic: str) -> list[Record]:
    with closing(transport.reader()) as reader:
        partitions = reader.partitions(topic, LIMIT_SEC)
        return list(read_to_end(reader, partitions, SystemClock(), timeout_sec=LIMIT_SEC))


def test_every_message_is_on_the_intake_log_once_and_no_longer_in_the_queue(
    transport: Transport, tmp_path: Path
) -> None:
    async def main(source: Source) -> None:
        appender, bulk = transport.appender(), BulkAppender(transport.producer)
        await appender.start()
        acceptor = Acceptor(functions=lambda _: FUNCTION, appender=appender, clock=SystemClock(), bulk=bulk)
        intake = Intake(acceptor, appender)
        shared = SqsTriggers(intake=intake, clock=SystemClock(), environment=KEYS, wait_sec=1)
        binding = Binding(function="f", creation=1, kind="storage", settings=source.settings())
        try:
            async with running(shared.make(binding)):
                await until(lambda: asyncio.to_thread(source.counts), lambda counts: counts == (0, 0))
        finally:
            await bulk.stop()
            await appender.stop()

    with serving(ministack(tmp_path)) as server, closing(Source(server.url)) as source:
        source.create_queue()
        source.send(*(source.records(f"k{number}") for number in range(MESSAGES)), "no json")
        run(lambda: main(source))
        found = [decode_structured(each.value or b"") for each in read(transport, INTAKE.name)]
        subjects = [each.subject or "" for each in found if isinstance(each, Event)]
        assert sorted(subjects) == sorted(f"k{number}" for number in range(MESSAGES))
        (rejected,) = read(transport, REJECTED.name)
        assert rejected.value == b"no json"
