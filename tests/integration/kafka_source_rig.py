"""A Kafka trigger on a real broker; only the intake log behind it is replaced, by a list."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson
from confluent_kafka import Producer as Client
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion
from processor.core.rejected import Rejection, rejection_of
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.transport.abstract import Appended, Appender, AppendFailed, Headers, Outcome, Producer
from triggers.abstract import Binding, MissingSources, TriggerState
from triggers.intake import Intake
from triggers.kafka import Cluster, KafkaTrigger, KafkaTriggers
from triggers.kafka.adapter import Notifications

LIMIT_SEC = 30.0
#: The least that the brokers of the tests allow is one second.
SESSION_MS = 3_000


class IntakeLog(Producer, Appender):
    """Keeps what is durable. While `broken`, what is flushed is lost; with `unknown` it is kept, but nobody hears."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.rejections: list[Rejection] = []
        self.broken = self.unknown = False
        self._pending: list[Event] = []

    def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Any:
        if topic == "rejected":
            return self._reject(value, headers)
        event = decode_structured(value or b"")
        assert isinstance(event, Event)
        self._pending.append(event)
        return None

    async def _reject(self, value: bytes | None, headers: Headers) -> Appended:
        self.rejections.append(rejection_of(value, headers))
        return Appended(outcome=Outcome.YES, partition=0, offset=0)

    def landed(self, timeout_sec: float) -> bool:
        self.flush(timeout_sec)
        return True

    def flush(self, timeout_sec: float) -> None:
        pending, self._pending = self._pending, []
        if not self.broken or self.unknown:
            self.events += pending
        if self.broken:
            raise AppendFailed(Outcome.UNKNOWN, "the disk hiccups")

    def poll(self) -> None: ...

    def close(self) -> None: ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...


class Source:
    """A topic of the broker, and what is in it."""

    def __init__(self, servers: str, topic: str) -> None:
        self.servers = servers
        self.topic = topic
        self.admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})

    def create(self, partitions: int = 1, **config: str) -> Source:
        made = self.admin.create_topics([NewTopic(self.topic, partitions, config=config)])
        made[self.topic].result(LIMIT_SEC)
        return self

    def delete(self) -> None:
        self.admin.delete_topics([self.topic])[self.topic].result(LIMIT_SEC)

    def send(self, *values: bytes | None, partition: int = 0, **more: Any) -> None:
        client = Client({"bootstrap.servers": self.servers, "linger.ms": 5, "message.max.bytes": 3_000_000})
        for value in values:
            client.produce(self.topic, value, partition=partition, **more)
            client.poll(0)
        assert client.flush(LIMIT_SEC) == 0


class Missing(MissingSources):
    """Outlives every trigger of its rig."""

    def __init__(self) -> None:
        self.noted: set[str] = set()

    def was_missing(self, trigger: str) -> bool:
        return trigger in self.noted

    async def note_missing(self, trigger: str) -> None:
        self.noted.add(trigger)

    async def forget_missing(self, trigger: str) -> None:
        self.noted.discard(trigger)


class Rig:
    def __init__(
        self,
        source: Source,
        *,
        rate_per_sec: float = 100_000.0,
        kind: str = "kafka",
        notifications: Notifications | None = None,
        **settings: Any,
    ) -> None:
        self.source = source
        self.log = IntakeLog()
        self.missing = Missing()
        self.clock = SystemClock()
        self.bulk = BulkAppender(lambda: self.log)
        self.function: Function | None = Function(
            name="f",
            current=FunctionVersion(version="v", handler="m:f", code_digest="0" * 64),
            rate_per_sec=rate_per_sec,
        )
        self._rest = (kind, notifications, settings)

    @property
    def group(self) -> str:
        return self._triggers().settings_of(self._binding()).group

    def function_rate(self, rate_per_sec: float) -> None:
        assert self.function is not None
        self.function = replace(self.function, rate_per_sec=rate_per_sec)

    @property
    def intake(self) -> Intake:
        """With a bulk appender of its own."""
        self.bulk = BulkAppender(lambda: self.log)
        acceptor = Acceptor(functions=lambda _: self.function, appender=self.log, clock=self.clock, bulk=self.bulk)
        return Intake(acceptor, self.log)

    def trigger(self) -> KafkaTrigger:
        return self._triggers().make(self._binding())

    def _triggers(self) -> KafkaTriggers:
        return KafkaTriggers(
            intake=self.intake,
            clock=self.clock,
            home=Cluster(bootstrap_servers=self.source.servers),
            group_prefix=f"{self.source.topic}.",
            notifications=self._rest[1],
            missing=self.missing,
            session_ms=SESSION_MS,
        )

    def _binding(self) -> Binding:
        kind, _, settings = self._rest
        where = {"topic": self.source.topic, "start": "earliest"}
        full = {**where, **settings} if kind == "kafka" else {**settings, "source": {"kafka": where}}
        return Binding(function="f", creation=1, kind=kind, settings=full)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[KafkaTrigger]:
        trigger = self.trigger()
        bulk = self.bulk
        task = asyncio.create_task(trigger.run())
        try:
            yield trigger
        finally:
            task.cancel()
            await asyncio.wait({task})
            await bulk.stop()

    async def until(self, reached: Callable[[], bool]) -> None:
        await until(reached)

    async def until_events(self, count: int) -> Sequence[Event]:
        await self.until(lambda: len(self.log.events) >= count)
        return self.log.events

    @property
    def data(self) -> list[Any]:
        return [None if each.data is None else orjson.loads(each.data) for each in self.log.events]


async def until(reached: Callable[[], bool]) -> None:
    """For what tells nobody that it has happened."""
    async with asyncio.timeout(LIMIT_SEC):
        while True:
            if reached():
                return
            await asyncio.sleep(0.01)


async def until_state(rig: Rig, trigger: KafkaTrigger, state: TriggerState) -> None:
    await rig.until(lambda: trigger.health.state is state)


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(main())
