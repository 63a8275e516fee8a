from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from processor.core.clock import SystemClock
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.topics import FUNCTIONS, TOPICS
from processor.registry.registry import Registry
from processor.transport.abstract import Transport
from processor.transport.embedded import EmbeddedTransport
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.host import TriggerHost, bindings_of

LIMIT_SEC = 20.0


class Recorded(Trigger):
    """Says when it starts and ends; fails as often as it is told to."""

    def __init__(self, binding: Binding, diary: list[str], failures: list[Exception]) -> None:
        self._name = f"{binding.function}:{binding.settings['path']}"
        self._diary = diary
        self._failures = failures

    async def run(self) -> None:
        self._diary.append(f"start {self._name}")
        try:
            if self._failures:
                raise self._failures.pop()
            await asyncio.Event().wait()
        finally:
            self._diary.append(f"end {self._name}")

    @property
    def health(self) -> Health:
        return Health(state=TriggerState.WATCHING)


class Rig:
    def __init__(self, transport: Transport) -> None:
        self.diary: list[str] = []
        self.failures: list[Exception] = []
        self.registry = Registry(transport)
        self.host = TriggerHost(
            registry=self.registry,
            adapters={"folder": lambda binding: Recorded(binding, self.diary, self.failures)},
            clock=SystemClock(),
            first_pause_sec=0.01,
        )
        self._transport = transport

    def deploy(self, name: str, *paths: str, kind: str = "folder", **more: Any) -> None:
        producer = self._transport.producer()
        events = tuple({kind: {"path": path}} for path in paths)
        version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
        function = Function(name=name, current=version, events=events, **more)
        producer.append(FUNCTIONS.name, encode_function(function), key=name.encode(), partition=0)
        producer.flush(LIMIT_SEC)
        producer.close()

    async def until(self, reached: Callable[[], bool]) -> None:
        """For what tells nobody that it has happened."""
        async with asyncio.timeout(LIMIT_SEC):
            while True:
                if reached():
                    return
                await asyncio.sleep(0.01)

    def states(self) -> dict[str, TriggerState]:
        return {f"{each.function}:{each.settings['path']}": health.state for each, health in self.host.health()}


@asynccontextmanager
async def rig_in(folder: Path) -> AsyncIterator[Rig]:
    with EmbeddedTransport(folder / "log") as transport:
        transport.admin().create_topics(TOPICS, LIMIT_SEC)
        rig = Rig(transport)
        rig.deploy("first", "a", "b")
        rig.registry.start()
        await rig.host.start()
        try:
            yield rig
        finally:
            await rig.host.stop()
            rig.registry.stop()


def test_each_event_of_each_enabled_function_is_a_binding() -> None:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    events = ({"folder": {"path": "x"}}, {"schedule": {"cron": "* * * * *", "event_format": "data"}})
    function = Function(name="f", current=version, events=events, creation=3)
    folder, schedule = bindings_of(function)
    assert (folder.kind, folder.creation, folder.event_format) == ("folder", 3, "cloudevents")
    assert (schedule.kind, schedule.event_format) == ("schedule", "data")
    assert bindings_of(Function(name="f", current=version, events=events, enabled=False)) == []


def test_triggers_follow_deploys_without_a_restart(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            rig.deploy("second", "c")
            await rig.until(lambda: "start second:c" in rig.diary)
            rig.deploy("first", "b", revision=2)
            await rig.until(lambda: "end first:a" in rig.diary)
            assert "end first:b" not in rig.diary  # unchanged: it went on
            rig.deploy("first", "b", revision=3, enabled=False)
            await rig.until(lambda: "end first:b" in rig.diary)
            assert rig.states() == {"second:c": TriggerState.WATCHING}
        assert "end second:c" in rig.diary

    asyncio.run(main())


def test_an_adapter_that_ends_with_an_error_is_started_again_while_the_others_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            rig.failures += [ValueError("one"), ValueError("two")]
            rig.deploy("second", "c")
            await rig.until(lambda: rig.diary.count("start second:c") == 3)
            await rig.until(lambda: rig.states().get("second:c") is TriggerState.WATCHING)
            assert rig.diary.count("end second:c") == 2
            assert rig.diary.count("start first:a") == 1

    asyncio.run(main())


def test_a_kind_without_an_adapter_is_shown_with_its_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            rig.deploy("second", "queue", kind="pigeon")
            await rig.until(lambda: len(rig.host.health()) == 3)
            (health,) = [each for binding, each in rig.host.health() if binding.kind == "pigeon"]
            assert health.state is TriggerState.UNSUPPORTED
            assert "no adapter for 'pigeon'" in health.reason
            assert health.remedy
            assert rig.host.summary() == "watching 2 sources"

    asyncio.run(main())
    assert "no adapter for 'pigeon'" in caplog.text
