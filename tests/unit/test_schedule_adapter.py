"""One or several processes with the same schedules; each test moves their clock."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import orjson
import pytest

from processor.core.topics import INTAKE, SCHEDULES
from processor.transport.abstract import Outcome
from tests.unit.schedule_rig import Site, settle, until, waits_for
from triggers.abstract import Binding, TriggerState
from triggers.schedule import adapter, settled, volley
from triggers.schedule.errors import SameSchedule

HOUR = 3_600


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is moved by the test: nobody may sleep through that."""
    monkeypatch.setattr(adapter, "LOOK_SEC", 0.005)
    monkeypatch.setattr(settled, "RETRY_SEC", 0.01)
    monkeypatch.setattr(settled, "WRITE_GAP_SEC", 0.01)


def run(test: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    async def main() -> None:
        await test(Site())

    asyncio.run(main())


def test_each_time_becomes_one_event_and_is_written_down() -> None:
    async def test(site: Site) -> None:
        async with site.schedule(argument={"a": 1}) as trigger:
            for _ in range(3):
                site.clock.advance(600)
                await until(lambda: trigger.health.accepted == len(site.log.events) == len(site.log.times))
                await settle()
            assert site.log.times == ["22:10:00", "22:20:00", "22:30:00"]
            assert {each.data for each in site.log.events} == {b'{"a":1}'}
            assert {each.extensions["headracetrigger"] for each in site.log.events} == {"schedule"}
            assert trigger.health.state is TriggerState.WATCHING
            assert trigger.health.upcoming[:2] == ("2023-11-14T22:40:00Z", "2023-11-14T22:50:00Z")
            assert len(trigger.health.upcoming) == 5
        assert orjson.loads(site.log.settled()[-1]) == {"last": "2023-11-14T22:30:00Z"}

    run(test)


def test_a_new_schedule_begins_now_and_that_is_written_before_anything_is_due() -> None:
    async def test(site: Site) -> None:
        async with site.schedule():
            assert [orjson.loads(each) for each in site.log.settled()] == [{"last": "2023-11-14T22:00:00Z"}]
            await settle()
            assert site.log.events == []

    run(test)


def test_processes_that_fire_the_same_schedule_say_the_same() -> None:
    async def test(site: Site) -> None:
        async with AsyncExitStack() as stack:
            triggers = [await stack.enter_async_context(site.schedule()) for _ in range(3)]
            site.clock.advance(600)
            await until(lambda: all(each.health.upcoming[0] == "2023-11-14T22:20:00Z" for each in triggers))
            await until(lambda: b"22:10:00" in site.log.settled()[-1].encode())
            assert len({(each.source, each.id) for each in site.log.events}) == 1
            assert set(site.log.times) == {"22:10:00"}

    run(test)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ({"missed": "skip"}, []),
        ({"missed": "last"}, ["02:50:00"]),
        ({"missed": "all", "max_catchup": 3}, ["02:30:00", "02:40:00", "02:50:00"]),
    ],
)
def test_after_a_night_without_any_process_the_policy_decides(policy: dict[str, Any], expected: list[str]) -> None:
    async def test(site: Site) -> None:
        async with site.schedule(**policy):
            pass
        site.clock.advance(5 * HOUR - 300)
        async with site.schedule(**policy) as trigger:
            await until(lambda: trigger.health.accepted == len(expected))
            await until(lambda: b"02:50:00" in site.log.settled()[-1].encode())
            assert site.log.times == expected
            assert [each.extensions.get("missedsince") for each in site.log.events[:1]] == [
                "2023-11-14T22:00:00Z" for _ in expected[:1]
            ]

    run(test)


def test_with_all_nothing_is_left_out_and_a_restart_fires_nothing_again() -> None:
    async def test(site: Site) -> None:
        for _ in range(2):
            async with site.schedule(missed="all") as trigger:
                await settle()
                assert trigger.health.state is TriggerState.WATCHING
            site.clock.advance(2 * HOUR)
        async with site.schedule(missed="all"):
            await until(lambda: len(site.log.times) == 24)
            await settle()
        assert len(set(site.log.times)) == len(site.log.times) == 24
        assert [each for each in site.log.events if "missedsince" in each.extensions] == []

    run(test)


def test_a_clock_set_back_an_hour_fires_nothing_twice_and_says_so_until_it_gets_there() -> None:
    async def test(site: Site) -> None:
        async with site.schedule() as trigger:
            site.clock.advance(600)
            await until(lambda: trigger.health.accepted == 1)
            site.clock.set_by_sec = -HOUR
            site.clock.advance(660)
            await until(lambda: waits_for(trigger.health, "behind the last time that was fired"))
            assert "NTP" in trigger.health.remedy
            await settle()
            assert site.log.times == ["22:10:00"]
        async with site.schedule() as restarted:
            await until(lambda: waits_for(restarted.health, "behind the last time that was fired"))
            site.clock.advance(HOUR)
            await until(lambda: restarted.health.accepted == 1)
            assert site.log.times == ["22:10:00", "22:20:00"]
            await until(lambda: restarted.health.state is TriggerState.WATCHING)

    run(test)


def test_a_clock_that_differs_from_the_logs_is_told_while_it_fires() -> None:
    async def test(site: Site) -> None:
        async with site.process() as shared, site.running(shared) as trigger:
            site.log._clock = Site().clock  # an hour from now it stands where it stood
            site.clock.advance(HOUR)
            await shared.settled.refresh()
            assert trigger.health.reason == "the clock of this machine is 3,600.0 s ahead of that of the log"
            assert trigger.health.state is TriggerState.WATCHING

    run(test)


def test_who_was_stopped_first_reads_what_others_have_fired_meanwhile() -> None:
    async def test(site: Site) -> None:
        async with site.process() as stopped, site.running(stopped, cron="* * * * * *") as trigger:
            await settle()
            async with site.schedule(cron="* * * * * *"):
                pass
            site.log.reading_sec = 0.2
            await settle()
            site.log.put(SCHEDULES.name, 0, b"f.1/" + name_of(trigger), b'{"last": "2023-11-14T22:00:19Z"}')
            site.clock.advance(20)
            await until(lambda: trigger.health.accepted == 1)
            await settle()
            assert site.log.times == ["22:00:20"]

    run(test)


def test_what_another_process_fires_while_this_one_is_at_an_earlier_time_is_not_fired() -> None:
    async def test(site: Site) -> None:
        async with site.schedule(cron="*/10 * * * * *") as trigger:
            site.log.appends[INTAKE.name] = deque([Outcome.UNKNOWN])
            site.clock.advance(20)
            await until(lambda: waits_for(trigger.health, "the broker hiccups"))
            site.log.put(SCHEDULES.name, 0, b"f.1/" + name_of(trigger), b'{"last": "2023-11-14T22:00:20Z"}')
            await until(lambda: trigger.health.accepted == 1)
            await settle()
            assert site.log.times == ["22:00:10"]

    run(test)


def test_a_clean_stop_leaves_nothing_unwritten(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(site: Site) -> None:
        async with site.schedule(cron="*/10 * * * * *") as trigger:
            monkeypatch.setattr(settled, "WRITE_GAP_SEC", 1_000.0)
            for count in (1, 2):
                site.clock.advance(10)
                await until(lambda count=count: trigger.health.accepted == count)  # type: ignore[misc]  # mypy 2: defaults of a lambda
            assert orjson.loads(site.log.settled()[-1]) == {"last": "2023-11-14T22:00:00Z"}
        assert orjson.loads(site.log.settled()[-1]) == {"last": "2023-11-14T22:00:20Z"}

    run(test)


def name_of(trigger: adapter.ScheduleTrigger) -> bytes:
    return trigger.schedule.name.encode()


def test_a_firing_by_hand_is_another_event_and_leaves_the_times_alone() -> None:
    async def test(site: Site) -> None:
        async with site.schedule() as trigger:
            (receipt,) = await trigger.fire()
            assert receipt.function == "f"
            site.clock.advance(600)
            await until(lambda: trigger.health.accepted == 2)
            by_hand, due = site.log.events
            assert by_hand.extensions["firedby"] == "hand"
            assert "firedby" not in due.extensions
            assert by_hand.id != due.id

    run(test)


def test_two_schedules_that_could_not_be_told_apart_need_names() -> None:
    async def test(site: Site) -> None:
        async with site.process() as shared, site.running(shared, argument=1):
            settings = {"cron": "*/10 * * * *", "argument": 2}
            same = shared.make(Binding(function="f", creation=1, kind="schedule", settings=settings))
            with pytest.raises(SameSchedule, match="same identity") as raised:
                await same.run()
            assert "`name`" in raised.value.remedy
            async with site.running(shared, argument=2, name="second") as second:
                site.clock.advance(600)
                await until(lambda: second.health.accepted == 1)

    run(test)


def test_many_that_are_due_at_once_go_together() -> None:
    async def test(site: Site) -> None:
        async with site.process() as shared, AsyncExitStack() as stack:
            site.functions["f"] = replace(site.functions["f"], rate_per_sec=40.0)
            triggers = [await stack.enter_async_context(site.running(shared, name=f"s{each}")) for each in range(60)]
            site.clock.advance(600)
            await until(lambda: all(each.health.accepted == 1 for each in triggers))
            assert len({each.source for each in site.log.events}) == len(site.log.events) == 60
            assert len(site.log.producers) == 1

    run(test)


def test_an_argument_that_is_too_large_is_rejected_and_the_schedule_goes_on() -> None:
    async def test(site: Site) -> None:
        async with site.schedule(argument="x" * 1_100_000) as trigger:
            for count in (1, 2):
                site.clock.advance(600)
                await until(lambda count=count: trigger.health.rejected == count)  # type: ignore[misc]  # mypy 2: defaults of a lambda
            assert site.log.events == []
            headers = dict(site.rejected()[-1].headers)
            assert headers["origin"].endswith(b"/2023-11-14T22:20:00Z")
            assert b"the limit is 1,000,000" in headers["reason"]

    run(test)


def test_a_function_that_takes_nothing_is_waited_for() -> None:
    async def test(site: Site) -> None:
        async with site.schedule() as trigger:
            function = site.functions["f"]
            site.functions["f"] = replace(function, enabled=False)
            site.clock.advance(600)
            await until(lambda: waits_for(trigger.health, "is disabled"))
            site.functions["f"] = function
            await until(lambda: trigger.health.accepted == 1)
            await until(lambda: trigger.health.state is TriggerState.WATCHING)
            assert site.log.times == ["22:10:00"]

    run(test)


@pytest.mark.parametrize("count", [1, 20])
def test_a_rate_without_room_is_named_and_what_another_process_fires_meanwhile_is_not_fired(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be fired an hour later, when the executors have forgotten it."""
    monkeypatch.setattr(volley, "LIMIT_SEC", 0.05)

    async def test(site: Site) -> None:
        async with site.process() as shared, AsyncExitStack() as stack:
            triggers = [await stack.enter_async_context(site.running(shared, name=f"s{each}")) for each in range(count)]
            site.functions["f"] = replace(site.functions["f"], rate_per_sec=1 / HOUR)
            site.clock.advance(600)
            await until(lambda: sum(each.health.accepted for each in triggers) == 1)
            site.clock.advance(600)
            late = triggers[-1]
            await until(lambda: waits_for(late.health, "rate has no room"))
            for each in triggers:
                site.log.put(SCHEDULES.name, 0, b"f.1/" + name_of(each), b'{"last": "2023-11-14T22:20:00Z"}')
            site.clock.advance(600)
            await until(lambda: late.health.upcoming[0] == "2023-11-14T22:40:00Z")
            await settle()
            assert len(site.log.events) <= 1

    run(test)


def test_an_intake_that_does_not_answer_is_named_and_tried_with_the_same_identity() -> None:
    async def test(site: Site) -> None:
        async with site.schedule() as trigger:
            site.log.appends[INTAKE.name] = deque([Outcome.UNKNOWN] * 2)
            site.clock.advance(600)
            await until(lambda: waits_for(trigger.health, "the broker hiccups"))
            await until(lambda: trigger.health.accepted == 1)
            await until(lambda: trigger.health.state is TriggerState.WATCHING)
            assert site.log.times == ["22:10:00"]

    run(test)


def test_no_schedule_gets_further_ahead_of_its_record_than_half_a_minute() -> None:
    async def test(site: Site) -> None:
        async with site.schedule(cron="*/10 * * * * *") as trigger:
            site.log.appends[SCHEDULES.name] = deque([Outcome.NO] * 10_000)
            for count in range(1, 4):
                site.clock.advance(10)
                await until(lambda count=count: trigger.health.accepted == count)  # type: ignore[misc]  # mypy 2: defaults of a lambda
            site.clock.advance(10)
            await settle()
            assert trigger.health.accepted == 3
            assert waits_for(trigger.health, "could not be written down")
            site.log.appends.clear()
            await until(lambda: trigger.health.accepted == 4)
            await until(lambda: trigger.health.state is TriggerState.WATCHING)

    run(test)


def test_a_log_that_is_away_at_the_start_is_named_and_waited_for() -> None:
    async def test(site: Site) -> None:
        site.log.stopped = True
        async with site.schedule() as trigger:
            assert waits_for(trigger.health, "the broker is away")
            site.log.stopped = False
            await until(lambda: trigger.health.state is TriggerState.WATCHING)
            site.clock.advance(600)
            await until(lambda: trigger.health.accepted == 1)

    run(test)


def test_what_was_decided_long_ago_is_decided_anew() -> None:
    """The process slept between the decision and the append, and another one fired the time meanwhile."""

    async def test(site: Site) -> None:
        async with site.schedule(jitter=30.0) as trigger:
            site.log.appends[INTAKE.name] = deque([Outcome.UNKNOWN])
            site.clock.advance(631)
            await until(lambda: waits_for(trigger.health, "the broker hiccups"))
            site.log.put(SCHEDULES.name, 0, b"f.1/" + name_of(trigger), b'{"last": "2023-11-14T22:10:00Z"}')
            site.log.appends[INTAKE.name] = deque([Outcome.UNKNOWN])
            site.clock.advance(60)
            await settle()
            await until(lambda: site.log.appends[INTAKE.name] == deque())
            site.clock.advance(600)
            await until(lambda: trigger.health.accepted == 1)
            assert site.log.times == ["22:20:00"]

    run(test)


def test_jitter_delays_the_firing_and_not_its_time() -> None:
    async def test(site: Site) -> None:
        async with site.schedule(jitter=30.0) as trigger:
            site.clock.advance(600)
            await settle()
            assert trigger.health.accepted == 0
            site.clock.advance(30)
            await until(lambda: trigger.health.accepted == 1)
            assert site.log.times == ["22:10:00"]

    run(test)


def test_a_schedule_whose_years_are_over_says_so() -> None:
    async def test(site: Site) -> None:
        async with site.schedule(cron="0 0 0 1 1 ? 2020") as trigger:
            await until(lambda: waits_for(trigger.health, "has no time left"))
            assert trigger.health.upcoming == ()

    run(test)


def test_records_of_schedules_that_make_no_sense_are_passed_over() -> None:
    async def test(site: Site) -> None:
        for key, value in ((b"x", b"{"), (b"\xff", b"{}"), (b"y", b'{"last": 5}'), (None, b"{}"), (b"z", None)):
            site.log.put(SCHEDULES.name, 0, key, value)
        async with site.schedule() as trigger:
            site.clock.advance(600)
            await until(lambda: trigger.health.accepted == 1)

    run(test)
