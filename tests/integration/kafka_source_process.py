"""A replica of the triggers role with one Kafka trigger, as a process of its own, to be killed:
`python -m tests.integration.kafka_source_process BOOTSTRAP PREFIX FUNCTION SETTINGS_JSON SESSION_MS`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys

import orjson

from processor.core.clock import SystemClock
from processor.core.topics import INTAKE
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.registry.registry import Registry
from processor.transport.kafka import KafkaTransport
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.kafka import Cluster, KafkaTriggers


async def main(bootstrap: str, prefix: str, function: str, settings: str, session_ms: str) -> None:
    clock = SystemClock()
    with KafkaTransport(bootstrap_servers=bootstrap, topic_prefix=prefix) as transport:
        registry = Registry(transport, clock)
        registry.start()
        appender, bulk = transport.appender(), BulkAppender(lambda: transport.producer(linger_ms=5))
        await appender.start()
        partitions = transport.admin().topics(30)[INTAKE.name]
        acceptor = Acceptor(
            functions=registry.view.get, appender=appender, clock=clock, intake_partitions=partitions, bulk=bulk
        )
        triggers = KafkaTriggers(
            intake=Intake(acceptor, appender),
            clock=clock,
            home=Cluster(bootstrap_servers=bootstrap),
            group_prefix=prefix,
            session_ms=int(session_ms),
        )
        binding = Binding(function=function, creation=1, kind="kafka", settings=orjson.loads(settings))
        running = asyncio.create_task(triggers.make(binding).run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.wait({running})
        await bulk.stop()
        await appender.stop()
        registry.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    asyncio.run(main(*sys.argv[1:]))
