from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from processor.core.clock import SystemClock
from processor.core.errors import HeadraceError
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.topics import FUNCTIONS, TOPICS, TRIGGERS
from processor.core.trigger_records import Pause, Report, TriggerRecord, decode, parse_key, trigger_id
from processor.dispatcher.accept import Receipt
from processor.registry.registry import Registry
from processor.transport.abstract import Outcome, TopicPartition, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.replay import read_to_end
from triggers.abstract import Binding, Health, Trigger, TriggerState
from triggers.control import TriggerControl
from triggers.host import TriggerHost, bindings_of
from triggers.keeper import NotRunning
from triggers.paused import while_paused

LIMIT_SEC = 20.0


@pytest.fixture(autouse=True)
def _follow_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.host.FOLLOW_SEC", 0.02)
    monkeypatch.setattr("triggers.control.TICK_SEC", 0.02)


class NobodyLetIn(HeadraceError):
    """The source lets nobody in."""

    remedy = "Ask its owner."


class Recorded(Trigger):
    """Says when it starts and ends; fails as often as it is told to; counts one event for each start."""

    def __init__(self, binding: Binding, diary: list[str], failures: list[BaseException]) -> None:
        self._name = f"{binding.function}:{binding.settings['path']}"
        self._diary = diary
        self._failures = failures
        self._accepted = 0

    async def run(self) -> None:
        self._accepted = 1
        self._diary.append(f"start {self._name}")
        try:
            if self._failures:
                raise self._failures.pop()
            await asyncio.Event().wait()
        finally:
            self._diary.append(f"end {self._name}")

    @property
    def health(self) -> Health:
        return Health(state=TriggerState.WATCHING, accepted=self._accepted)

    async def fire(self) -> list[Receipt]:
        self._diary.append(f"fire {self._name}")
        return [Receipt(request_id="id", function="first", partition=0, offset=0)]


class Rig:
    def __init__(self, transport: Transport) -> None:
        self.diary: list[str] = []
        self.failures: list[BaseException] = []
        self.refusals: list[HeadraceError] = []
        self.registry = Registry(transport)
        self.appender = transport.appender()
        clock = SystemClock()
        self.control = TriggerControl(transport=transport, appender=self.appender, clock=clock, name="here")
        self.host = TriggerHost(
            registry=self.registry,
            adapters={"folder": self.make},
            clock=clock,
            control=self.control,
            first_pause_sec=0.01,
        )
        self._transport = transport

    def make(self, binding: Binding) -> Trigger:
        if self.refusals:
            raise self.refusals[0]
        return Recorded(binding, self.diary, self.failures)

    async def write(self, record: TriggerRecord, *, bury: bool = False) -> None:
        value = None if bury else record.encode()
        appended = await self.appender.append(TRIGGERS.name, value, key=record.key.encode(), partition=0)
        assert appended.outcome is Outcome.YES

    def health_of(self, name: str) -> Health:
        """name: function:path"""
        found = {f"{each.function}:{each.settings['path']}": health for each, health in self.host.health()}
        return found[name]

    def told(self) -> dict[str, str]:
        """trigger -> state, as it stands on the topic."""
        reader = self._transport.reader()
        partition = TopicPartition(TRIGGERS.name, 0)
        states: dict[str, str] = {}
        for record in read_to_end(reader, [partition], SystemClock(), timeout_sec=LIMIT_SEC):
            key = parse_key(record.key or b"")
            if key.kind is Report and record.value is None:
                states.pop(key.parts[0], None)
            elif key.kind is Report:
                report = decode(key, record.value or b"")
                assert isinstance(report, Report)
                states[report.trigger] = report.state
        reader.close()
        return states

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
async def rig_in(folder: Path, *, paused: Sequence[str] = ()) -> AsyncIterator[Rig]:
    with EmbeddedTransport(folder / "log") as transport:
        transport.admin().create_topics(TOPICS, LIMIT_SEC)
        rig = Rig(transport)
        await rig.appender.start()
        rig.deploy("first", "a", "b")
        for trigger in paused:
            await rig.write(Pause(trigger=trigger, by="ann", at_ms=0))
        rig.registry.start()
        await rig.host.start()
        try:
            yield rig
        finally:
            await rig.host.stop()
            await rig.appender.stop()
            rig.registry.stop()


A = trigger_id("first", "folder", {"path": "a"})


def test_each_event_of_each_enabled_function_is_a_binding() -> None:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    events = ({"folder": {"path": "x"}}, {"schedule": {"cron": "* * * * *", "event_format": "data"}})
    function = Function(name="f", current=version, events=events, creation=3)
    folder, schedule = bindings_of(function)
    assert (folder.kind, folder.creation, folder.event_format) == ("folder", 3, "cloudevents")
    assert (schedule.kind, schedule.event_format) == ("schedule", "data")
    assert bindings_of(Function(name="f", current=version, events=events, enabled=False)) == []


def test_what_the_gateways_serve_by_themselves_has_no_place_here() -> None:
    version = FunctionVersion(version="v", handler="m:f", code_digest="0" * 64)
    assert bindings_of(Function(name="f", current=version, events=({"cloudevents": {"type": "*"}},))) == []


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


def test_two_equal_entries_are_one(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            rig.deploy("second", "c", "c")
            await rig.until(lambda: "start second:c" in rig.diary)
            assert len(rig.host.health()) == 3
        assert rig.diary.count("start second:c") == 1

    asyncio.run(main())


def test_a_paused_trigger_lets_go_of_its_source_until_it_is_resumed_and_the_others_go_on(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            pause = Pause(trigger=A, by="ann", at_ms=0)
            await rig.write(pause)
            await rig.until(lambda: rig.states()["first:a"] is TriggerState.PAUSED)
            assert "end first:a" in rig.diary
            health = rig.health_of("first:a")
            assert "paused by ann" in health.reason
            assert f"headrace triggers resume {A}" in health.remedy
            assert rig.host.summary() == "watching 1 source, 1 paused"
            await rig.write(pause, bury=True)
            await rig.until(lambda: rig.states()["first:a"] is TriggerState.WATCHING)
            assert rig.diary.count("start first:a") == 2
            assert rig.health_of("first:a").accepted == 2  # the counts go on
            assert "end first:b" not in rig.diary

    asyncio.run(main())


def test_what_was_paused_before_the_start_is_never_started(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path, paused=[A]) as rig:
            await rig.until(lambda: "start first:b" in rig.diary)
            assert rig.states()["first:a"] is TriggerState.PAUSED
            rig.deploy("second", "c")
            await rig.until(lambda: "start second:c" in rig.diary)  # it has looked again meanwhile
        assert "start first:a" not in rig.diary

    asyncio.run(main())


def test_firing_reaches_the_adapter_and_a_paused_one_says_why_not(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            assert [each.request_id for each in await rig.host.fire(A)] == ["id"]
            assert "fire first:a" in rig.diary
            await rig.write(Pause(trigger=A, by="ann", at_ms=0))
            await rig.until(lambda: rig.states()["first:a"] is TriggerState.PAUSED)
            with pytest.raises(NotRunning, match="paused by ann"):
                await rig.host.fire(A)
            with pytest.raises(NotRunning, match="no trigger 'x'"):
                await rig.host.fire("x")

    asyncio.run(main())


def test_settings_that_an_adapter_cannot_serve_are_a_state_with_a_remedy_and_tried_again(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            rig.refusals.append(NobodyLetIn())
            rig.deploy("second", "c")
            await rig.until(lambda: rig.states().get("second:c") is TriggerState.FAILED)
            health = rig.health_of("second:c")
            assert (health.reason, health.remedy) == ("The source lets nobody in.", "Ask its owner.")
            rig.refusals.clear()
            await rig.until(lambda: rig.states()["second:c"] is TriggerState.WATCHING)

    asyncio.run(main())


def test_a_cancellation_that_nobody_asked_for_is_an_error_like_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            rig.failures.append(asyncio.CancelledError())
            rig.deploy("second", "c")
            await rig.until(lambda: rig.diary.count("start second:c") == 2)
            await rig.until(lambda: rig.states()["second:c"] is TriggerState.WATCHING)

    asyncio.run(main())
    assert "is failed: CancelledError" in caplog.text


def test_every_change_of_state_is_one_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "triggers")

    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: len(rig.diary) == 2)
            await rig.write(Pause(trigger=A, by="ann", at_ms=0))
            await rig.until(lambda: rig.states()["first:a"] is TriggerState.PAUSED)

    asyncio.run(main())
    lines = [each.getMessage() for each in caplog.records if getattr(each, "trigger", None) == A]
    assert [line for line in lines if "is paused" in line] == [
        f"{A} is paused: paused by ann; what happens meanwhile waits at the source. "
        f"Resume it: `headrace triggers resume {A}`."
    ]
    assert sum("is stopped" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("kafka", {"topic": "t"}, "waits at the source"),
        ("folder", {"path": "in"}, "waits at the source"),
        ("storage", {"source": {"sqs": {"queue_url": "q"}}}, "waits at the source"),
        ("storage", {"source": {"webhook": {"path": "/hook"}}}, "answered 503 with Retry-After"),
        ("http", {"path": "/call"}, "answered 503 with Retry-After"),
        ("schedule", {"cron": "@daily"}, "the last one fires once it is resumed"),
        ("schedule", {"cron": "@daily", "missed": "skip"}, "are left out"),
        ("schedule", {"cron": "@daily", "missed": "all"}, "up to max_catchup"),
    ],
)
def test_a_pause_says_what_becomes_of_what_happens_meanwhile(kind: str, settings: dict[str, Any], words: str) -> None:
    assert words in while_paused(kind, settings)


def test_reports_stand_on_the_topic_while_the_process_lives_and_go_with_it(tmp_path: Path) -> None:
    told: list[dict[str, str]] = []

    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.until(lambda: rig.told().get(A) == "watching")
            rig.deploy("second", "queue", kind="pigeon")
            pigeon = trigger_id("second", "pigeon", {"path": "queue"})
            await rig.until(lambda: rig.told().get(pigeon) == "unsupported")
            await rig.host.stop()
            told.append(rig.told())

    asyncio.run(main())
    assert told == [{}]


def test_that_a_source_was_missing_is_remembered_by_the_next_process_until_it_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        async with rig_in(tmp_path) as rig:
            await rig.control.note_missing(A)
        async with rig_in(tmp_path) as again:
            assert again.control.was_missing(A)
            assert not again.control.was_missing("another")
            await again.control.forget_missing(A)
            await again.until(lambda: not again.control.was_missing(A))

    asyncio.run(main())
