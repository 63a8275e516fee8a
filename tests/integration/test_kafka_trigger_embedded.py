"""A Kafka source with the embedded log behind it: the normal case of a single machine."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

from processor.core.clock import SystemClock
from processor.core.function import Function, FunctionVersion
from processor.core.topics import INTAKE, TOPICS
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.transport.embedded import EmbeddedTransport
from processor.transport.replay import read_to_end
from tests.integration.kafka_source_rig import LIMIT_SEC, Source, until
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.kafka import KafkaTriggers

RECORDS = 2_000


async def read_all(transport: EmbeddedTransport, source: Source) -> None:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    function = Function(name="f", current=version, rate_per_sec=1e6)
    appender, bulk, clock = transport.appender(), BulkAppender(partial(transport.producer, linger_ms=5)), SystemClock()
    acceptor = Acceptor(functions=lambda _: function, appender=appender, clock=clock, bulk=bulk)
    settings = {"topic": source.topic, "bootstrap_servers": source.servers, "start": "earliest"}
    binding = Binding(function="f", creation=1, kind="kafka", settings=settings)
    trigger = KafkaTriggers(intake=Intake(acceptor, appender), clock=clock, group_prefix=source.topic).make(binding)
    running = asyncio.create_task(trigger.run())
    try:
        await until(lambda: trigger.health.accepted == RECORDS)
    finally:
        running.cancel()
        await asyncio.wait({running})
        await bulk.stop()
        await appender.stop()


def test_records_of_a_broker_come_to_the_embedded_log(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    source = Source(kafka_bootstrap, f"{topic_prefix}orders").create(2)
    source.send(*(b"%d" % n for n in range(RECORDS)))
    with EmbeddedTransport(tmp_path / "log") as transport:
        transport.admin().create_topics(TOPICS, LIMIT_SEC)
        asyncio.run(read_all(transport, source))
        reader = transport.reader()
        try:
            partitions = reader.partitions(INTAKE.name, LIMIT_SEC)
            found = list(read_to_end(reader, partitions, SystemClock(), timeout_sec=LIMIT_SEC))
        finally:
            reader.close()
    assert len(found) == len({each.key for each in found}) == RECORDS
