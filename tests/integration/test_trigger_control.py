"""Triggers of two processes and a gateway that know of each other only by the topic `triggers`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from processor.core.clock import SystemClock
from processor.core.event import Event
from processor.core.trigger_records import trigger_id
from processor.dispatcher.accept import Acceptor, Receipt
from processor.gateway import trigger_documents
from processor.registry.registry import Registry
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.gateway_rig import LIMIT_SEC, Rig, eventually, function, running
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.control import TriggerControl
from triggers.host import TriggerHost
from triggers.intake import Intake

SETTINGS = {"path": "in"}
ID = trigger_id("resize", "bell", SETTINGS)
PATH = f"/v1/triggers/{ID}"


class Bell(Trigger):
    """Each ring is an event of its own, whoever rings."""

    def __init__(self, binding: Binding, intake: Intake, rings: list[str], name: str) -> None:
        self._binding = binding
        self._intake = intake
        self._rings = rings
        self._name = name
        self._state = TriggerState.STARTING

    async def run(self) -> None:
        self._state = TriggerState.WATCHING
        try:
            await asyncio.Event().wait()
        finally:
            self._state = TriggerState.STOPPED

    @property
    def health(self) -> Health:
        return Health(state=self._state)

    async def fire(self) -> list[Receipt]:
        self._rings.append(self._name)
        event = Event(id=f"{self._name}-{len(self._rings)}", source="/bell", type="ring")
        return [await self._intake.submit(self._binding, event)]


class Replica:
    """A process that runs triggers, on this event loop."""

    def __init__(self, transport: Transport, name: str, rings: list[str]) -> None:
        clock = SystemClock()
        self._appender = transport.appender()
        self._registry = Registry(transport, clock)
        acceptor = Acceptor(functions=self._registry.view.get, appender=self._appender, clock=clock)
        intake = Intake(acceptor, self._appender)
        self.control = TriggerControl(transport=transport, appender=self._appender, clock=clock, name=name)
        self.host = TriggerHost(
            registry=self._registry,
            adapters={"bell": lambda binding: Bell(binding, intake, rings, name)},
            clock=clock,
            control=self.control,
        )

    async def start(self) -> None:
        await self._appender.start()
        await asyncio.to_thread(self._registry.start)
        await self.host.start()

    async def stop(self) -> None:
        await self.host.stop()
        await self.leave()

    async def leave(self) -> None:
        await self._appender.stop()
        await asyncio.to_thread(self._registry.stop)

    async def die(self) -> None:
        """Writes nothing more; only what is of this process, such as its tasks, is taken down."""
        assert self.control._task is not None
        self.control._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.control._task
        self.control._task = self.control._firing = None
        await self.stop()


@contextlib.asynccontextmanager
async def replicas(transport: Transport, *names: str) -> AsyncIterator[tuple[list[Replica], list[str]]]:
    rings: list[str] = []
    made = [Replica(transport, name, rings) for name in names]
    for each in made:
        await each.start()
    try:
        yield made, rings
    finally:
        for each in made:
            await each.stop()


async def document(rig: Rig) -> dict[str, Any]:
    reply = await rig.ask("GET", PATH)
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json
    return found


async def until(rig: Rig, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    last: dict[str, Any] = {}

    async def check() -> bool:
        nonlocal last
        last = await document(rig)
        return reached(last)

    await eventually(check)
    return last


async def until_known(rig: Rig) -> None:
    async def known() -> bool:
        return (await rig.ask("GET", PATH)).status == 200

    await eventually(known)


async def until_state(rig: Rig, trigger: str, state: str) -> None:
    async def reached() -> bool:
        reply = await rig.ask("GET", f"/v1/triggers/{trigger}")
        return reply.status == 200 and reply.json["state"] == state

    await eventually(reached)


def states(found: dict[str, Any]) -> list[str]:
    return sorted(each["state"] for each in found["replicas"])


async def scenario(tmp_path: Path, transport: Transport) -> None:
    async with running(tmp_path, recorder=False, on=transport) as rig:
        rig.deploy(function(events=({"bell": SETTINGS},), revision=2))
        await until_known(rig)
        assert (await document(rig))["state"] == "unreported"
        assert (await rig.ask("POST", f"{PATH}/fire")).status == 503
        async with replicas(transport, "a", "b") as (made, rings):
            await until(rig, lambda found: states(found) == ["watching", "watching"])
            await _pause_and_resume(rig)
            await _fire(rig, rings)
            await _fire_while_paused(rig)
            await made[0].stop()
            await until(rig, lambda found: len(found["replicas"]) == 1)
        await until(rig, lambda found: found["state"] == "paused" and not found["replicas"])


async def _pause_and_resume(rig: Rig) -> None:
    paused = await rig.ask("POST", f"{PATH}/pause")
    assert (paused.status, paused.json["paused"]) == (200, True)
    found = await until(rig, lambda found: states(found) == ["paused", "paused"])
    assert found["paused_by"] == "api 127.0.0.1"
    assert (await rig.ask("POST", f"{PATH}/pause")).status == 200  # again, which changes nothing
    assert (await rig.ask("POST", f"{PATH}/resume")).json["paused"] is False
    await until(rig, lambda found: states(found) == ["watching", "watching"])


async def _fire(rig: Rig, rings: list[str]) -> None:
    for count in range(1, 6):
        asked = await rig.ask("POST", f"{PATH}/fire")
        assert asked.status == 202
        found = await _until_over(rig, asked.headers["location"])
        assert (found["state"], found["accepted"]) == ("fired", 1)
        assert len(rings) == count
        assert found["request_ids"] == [(rig.intake()[-1].key or b"").decode()] or count > 1
    assert {(each.key or b"").decode() for each in rig.intake()} == {
        run for each in (await document(rig))["fires"] for run in each["request_ids"]
    }


async def _fire_while_paused(rig: Rig) -> None:
    await rig.ask("POST", f"{PATH}/pause")
    refused = await rig.ask("POST", f"{PATH}/fire")
    assert (refused.status, refused.json["type"]) == (409, "urn:headrace:problem:paused")


async def _until_over(rig: Rig, path: str) -> dict[str, Any]:
    last: dict[str, Any] = {}

    async def over() -> bool:
        nonlocal last
        last = (await rig.ask("GET", path)).json
        return last["state"] in ("fired", "failed")

    await eventually(over)
    return last


def test_triggers_of_two_processes_are_listed_paused_resumed_and_fired_once(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path, EmbeddedTransport(tmp_path / "log")))


def test_the_same_on_kafka(tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    transport = KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)
    asyncio.run(scenario(tmp_path, transport))


def test_a_pause_outlives_the_process_and_a_new_id_is_not_paused(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function(events=({"bell": SETTINGS},), revision=2))
            await until_known(rig)
            await rig.ask("POST", f"{PATH}/pause")
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function(events=({"bell": SETTINGS}, {"bell": {"path": "new"}}), revision=3))
            async with replicas(rig.transport, "a"):
                await until_known(rig)
                await until(rig, lambda found: found["state"] == "paused" and bool(found["replicas"]))
                await until_state(rig, trigger_id("resize", "bell", {"path": "new"}), "watching")

    asyncio.run(main())


def test_a_process_that_dies_is_shown_as_stale_and_the_next_one_carries_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trigger_documents, "SILENCE_SEC", 4.0)

    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function(events=({"bell": SETTINGS},), revision=2))
            dead = Replica(rig.transport, "dead", [])
            await dead.start()
            await until_known(rig)
            await until(rig, lambda found: found["state"] == "watching")
            await dead.die()
            stale = await until(rig, lambda found: found["state"] == "stale")
            assert dead.control.replica in stale["reason"]
            async with replicas(rig.transport, "next"):
                found = await until(rig, lambda found: found["state"] == "watching")
                assert states(found) == ["stale", "watching"]

    asyncio.run(main())


def test_what_is_not_there_and_what_cannot_be_done_is_told(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function(events=({"cloudevents": {"type": "x"}},), revision=2))
            name = trigger_id("resize", "cloudevents", {"type": "x"})

            async def known() -> bool:
                return (await rig.ask("GET", f"/v1/triggers/{name}")).status == 200

            await eventually(known)
            listed = (await rig.ask("GET", "/v1/triggers?function=resize")).json["triggers"]
            assert [each["id"] for each in listed] == [name]
            assert (await rig.ask("GET", "/v1/triggers?function=other")).json == {"triggers": []}
            for order, told in (("pause", "not-pausable"), ("fire", "not-firable")):
                reply = await rig.ask("POST", f"/v1/triggers/{name}/{order}")
                assert (reply.status, reply.json["type"]) == (409, f"urn:headrace:problem:{told}")
                assert reply.json["remedy"]
            for path in ("/v1/triggers/resize-x", "/v1/triggers/%2e%2e", f"/v1/triggers/{name}/fires/x"):
                assert (await rig.ask("GET", path)).status == 404
            assert (await rig.ask("GET", "/v1/triggers/a/b/c/d")).status == 404
            assert (await rig.ask("DELETE", f"/v1/triggers/{name}")).status == 405
            assert (await rig.ask("GET", "/v1/triggers?colour=red")).status == 400

    async def limited() -> None:
        async with asyncio.timeout(LIMIT_SEC):
            await main()

    asyncio.run(limited())
