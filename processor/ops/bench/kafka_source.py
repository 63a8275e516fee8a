"""Records per second from a source topic to the intake, through the adapter of the triggers role in its own process.

The source and the intake stand on the same broker. The time is the log's own: from the first to the last record of the
intake (LogAppendTime), so the start of the adapter does not count.

`python -m processor.ops.bench.kafka_source [--records N]`; `adapter` as first argument is the measured process.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import orjson
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from processor.core.clock import SystemClock
from processor.core.errors import HeadraceError
from processor.core.function import Function, FunctionVersion
from processor.core.topics import INTAKE, TOPICS
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.ops.bench.figures import Figure, keep, table
from processor.ops.bench.site import broker
from processor.transport.abstract import Transport
from processor.transport.kafka import KafkaTransport
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.kafka import Cluster, KafkaTriggers

FUNCTION = "bench"
PARTITIONS = 8
VALUE_BYTES = 1_000
TARGET_PER_SEC = 8_000
CALL_SEC = 30.0
LIMIT_SEC = 180.0
ADAPTER = "adapter"
RESULTS = Path(".bench/latest.json")


def kafka_source(brokers: str, records: int, max_records: int = 1) -> list[Figure]:
    prefix = f"b{uuid.uuid4().hex[:10]}."
    source = f"{prefix}source"
    _fill(brokers, source, records)
    with KafkaTransport(bootstrap_servers=brokers, topic_prefix=prefix) as transport:
        transport.admin().create_topics(TOPICS, CALL_SEC)
        command = [sys.executable, "-m", __spec__.name, ADAPTER, brokers, prefix, source, str(max_records)]
        adapter = subprocess.Popen(command)
        try:
            rate = _rate(transport, records, events=-(-records // max_records))
        finally:
            adapter.terminate()
            adapter.wait(CALL_SEC)
    name = "Kafka source to intake" + (f", batches of {max_records}" if max_records > 1 else "")
    target = TARGET_PER_SEC if max_records == 1 else None
    return [Figure(name=name, value=rate, unit="records/s", target=target, better="higher")]


def _fill(brokers: str, topic: str, records: int) -> None:
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, PARTITIONS)])[topic].result(CALL_SEC)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "queue.buffering.max.messages": 1_000_000})
    pad = "x" * (VALUE_BYTES - 60)
    for number in range(records):
        value = orjson.dumps({"order": number, "customer": f"c-{number % 977}", "pad": pad})
        producer.produce(topic, value, key=b"%d" % number, partition=number % PARTITIONS)
        if number % 1_000 == 0:
            producer.poll(0)
    if producer.flush(CALL_SEC):
        raise HeadraceError("the source topic could not be filled")


def _rate(transport: Transport, records: int, events: int) -> float:
    """Of a batch it is enough to see the last one: every partition's events come in order."""
    reader = transport.reader(patient=True)
    try:
        reader.assign(dict.fromkeys(reader.partitions(INTAKE.name, CALL_SEC), 0))
        seen, stamps = 0, []
        deadline = time.monotonic() + LIMIT_SEC
        while seen < events:
            if time.monotonic() > deadline:
                raise HeadraceError(f"{seen} of {events} events are on the intake")
            found = reader.poll(10_000, 0.5)
            seen += len(found)
            stamps += [each.timestamp_ms for each in found]
    finally:
        reader.close()
    return records * 1000 / max(max(stamps) - min(stamps), 1)


async def adapter(brokers: str, prefix: str, topic: str, max_records: str) -> None:
    """The measured process: one Kafka trigger of the triggers role."""
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    function = Function(name=FUNCTION, current=version, rate_per_sec=1_000_000)
    clock = SystemClock()
    with KafkaTransport(bootstrap_servers=brokers, topic_prefix=prefix) as transport:
        appender, bulk = transport.appender(), BulkAppender(lambda: transport.producer(linger_ms=5))
        await appender.start()
        acceptor = Acceptor(functions={FUNCTION: function}.get, appender=appender, clock=clock, bulk=bulk)
        home = Cluster(bootstrap_servers=brokers)
        triggers = KafkaTriggers(intake=Intake(acceptor, appender), clock=clock, home=home, group_prefix=prefix)
        settings = {"topic": topic, "start": "earliest", "max_records": int(max_records), "max_wait": 0.2}
        await triggers.make(Binding(function=FUNCTION, creation=1, kind="kafka", settings=settings)).run()


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=100_000)
    records = parser.parse_args(arguments).records
    with broker() as brokers:
        figures = kafka_source(brokers, records) + kafka_source(brokers, records, max_records=100)
    keep(figures, RESULTS)
    print(table(figures))
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == [ADAPTER]:
        asyncio.run(adapter(*sys.argv[2:]))
    sys.exit(main(sys.argv[1:]))
