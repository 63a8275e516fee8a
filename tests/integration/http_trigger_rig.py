"""The triggers that are called over HTTP, on a free loopback port, with the embedded log behind them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from processor.core.clock import SystemClock
from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.topics import FUNCTIONS, INTAKE, REJECTED, TOPICS
from processor.dispatcher.accept import Acceptor
from processor.http.idempotency import IdempotencyKeys
from processor.http.once import OnceAcceptor
from processor.http.server import Address
from processor.registry.registry import Registry
from processor.transport.abstract import Record, Transport
from processor.transport.embedded import EmbeddedTransport
from tests.integration.gateway_rig import LIMIT_SEC, Connection, Reply
from triggers.abstract import Health, TriggerState
from triggers.host import TriggerHost
from triggers.http import HttpTriggers, Listener, StorageWebhooks
from triggers.intake import Intake


class TriggerRig:
    def __init__(self, transport: Transport, *, port: int, environment: Mapping[str, str], wait_sec: float) -> None:
        self.transport = transport
        self.appender = transport.appender()
        self.registry = Registry(transport)
        clock = SystemClock()
        acceptor = Acceptor(functions=self.registry.view.get, appender=self.appender, clock=clock)
        self.listener = Listener(
            Address(host="127.0.0.1", port=port, owner="the listener", setting="HEADRACE_TRIGGERS__PORT"),
            functions=self.registry.view.all,
            drain_sec=5,
            retry_sec=0.02,
        )
        once = OnceAcceptor(acceptor, IdempotencyKeys(clock))
        https = HttpTriggers(listener=self.listener, once=once, clock=clock, environment=environment)
        intake = Intake(acceptor, self.appender)
        webhooks = StorageWebhooks(
            listener=self.listener, intake=intake, clock=clock, environment=environment, wait_sec=wait_sec
        )
        self.host = TriggerHost(
            registry=self.registry,
            adapters={"http": https.make, "storage": webhooks.make},
            clock=clock,
            first_pause_sec=0.02,
        )

    def deploy(self, name: str, *triggers: Mapping[str, Any], kind: str = "http", **more: Any) -> None:
        producer = self.transport.producer()
        version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
        events = tuple({kind: each} for each in triggers)
        function = Function(name=name, current=version, events=events, **more)
        producer.append(FUNCTIONS.name, encode_function(function), key=name.encode(), partition=0)
        producer.flush(LIMIT_SEC)
        producer.close()

    async def connect(self) -> Connection:
        assert self.listener.url is not None
        return Connection(*await asyncio.open_connection("127.0.0.1", int(self.listener.url.rpartition(":")[2])))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Reply:
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        connection = await self.connect()
        try:
            async with asyncio.timeout(LIMIT_SEC):
                await connection.send(method, path, named, body)
                return await connection.reply(has_body=method != "HEAD")
        finally:
            await connection.close()

    def health_of(self, function: str) -> Health:
        (found,) = [health for binding, health in self.host.health() if binding.function == function]
        return found

    async def until(self, reached: Callable[[], bool]) -> None:
        """For what tells nobody that it has happened."""
        async with asyncio.timeout(LIMIT_SEC):
            while True:
                if reached():
                    return
                await asyncio.sleep(0.01)

    async def until_state(self, function: str, state: TriggerState) -> Health:
        def reached() -> bool:
            return [h.state for b, h in self.host.health() if b.function == function] == [state]

        await self.until(reached)
        return self.health_of(function)

    def records(self, topic: str = INTAKE.name) -> list[Record]:
        reader = self.transport.reader()
        bounds = reader.bounds(reader.partitions(topic, 5), 5)
        reader.assign({each: bound.low for each, bound in bounds.items()})
        total = sum(bound.high - bound.low for bound in bounds.values())
        found: list[Record] = []
        while len(found) < total:
            found += reader.poll(1_000, 1.0)
        reader.close()
        return found

    def events(self) -> list[Event]:
        found = [decode_structured(each.value or b"") for each in self.records()]
        assert all(isinstance(each, Event) for each in found)
        return [each for each in found if isinstance(each, Event)]

    def rejected(self) -> list[Record]:
        return self.records(REJECTED.name)


@contextlib.asynccontextmanager
async def called(
    folder: Path,
    *triggers: Mapping[str, Any],
    kind: str = "http",
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    wait_sec: float = 30.0,
    on: Transport | None = None,
    settled: bool = True,
    **more: Any,
) -> AsyncIterator[TriggerRig]:
    """With these triggers of the function `f`. settled: wait until the listener has its address."""
    with on or EmbeddedTransport(folder / "log") as transport:
        await asyncio.to_thread(transport.admin().create_topics, TOPICS, 30)
        rig = TriggerRig(transport, port=port, environment=environment or {}, wait_sec=wait_sec)
        rig.deploy("f", *triggers, kind=kind, **more)
        await rig.appender.start()
        await asyncio.to_thread(rig.registry.start)
        await rig.host.start()
        try:
            if settled:
                await rig.listener.settled(LIMIT_SEC)
            yield rig
        finally:
            await rig.listener.stop()
            await rig.host.stop()
            await rig.appender.stop()
            rig.registry.stop()
