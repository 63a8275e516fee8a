"""What a crash loop may cost: an executor whose predecessors died young claims little at first."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from processor.core.clock import ManualClock
from processor.core.inflight import Sign, SignKind
from processor.core.topics import INSTANCES
from processor.core.waits import Wait, WaitReason
from processor.executor.caution import MAX_PAUSE_SEC, PROVEN_RUNS, PROVEN_SEC, RECENT_MS, Caution, young_deaths
from tests.unit.incarnation_bench import Bench
from tests.unit.scripted_transport import ScriptedTransport


def test_the_first_of_its_name_is_not_held_back() -> None:
    caution = Caution(0, 100.0)
    assert caution.may_claim(100.0)
    assert caution.room(0, 100.0) > 1_000


def test_after_a_young_death_one_more_is_claimed_with_each_that_ends() -> None:
    caution = Caution(1, 100.0)
    assert caution.may_claim(100.0)
    assert (caution.room(0, 100.0), caution.room(1, 100.0)) == (1, 0)
    caution.ended()
    caution.ended()
    assert caution.room(1, 100.0) == 2


@pytest.mark.parametrize(("deaths", "pause_sec"), [(1, 0), (3, 0), (4, 1), (5, 2), (7, 8), (50, MAX_PAUSE_SEC)])
def test_the_pause_grows_with_each_death(deaths: int, pause_sec: float) -> None:
    caution = Caution(deaths, 100.0)
    assert caution.may_claim(100.0 + pause_sec)
    assert not caution.may_claim(100.0 + pause_sec - 0.1) or not pause_sec
    assert caution.room(0, 100.0 + pause_sec) == 1


def test_it_is_held_back_no_more_once_it_has_ended_many_runs_or_lived_for_long() -> None:
    busy, quiet = Caution(5, 0.0), Caution(5, 0.0)
    for _ in range(PROVEN_RUNS):
        assert busy.if_it_died_now(2.0) == 6
        busy.ended()
    assert busy.room(0, 2.0) > 1_000
    assert busy.if_it_died_now(2.0) == 0
    assert quiet.if_it_died_now(PROVEN_SEC) == 6, "the pause is no life"
    assert quiet.if_it_died_now(2.0 + PROVEN_SEC) == 0


def test_what_people_have_paused_is_not_blamed_on_the_executor() -> None:
    caution, paused = Caution(2, 0.0), Wait(WaitReason.PAUSED)
    found = {"f": paused, "g": Wait(WaitReason.SLOTS)}
    assert caution.waits(found, ["f", "g"], 0.0) == {"f": paused, "g": Wait(WaitReason.CAUTION, 2)}
    assert caution.waits(found, ["f", "g"], 2.0 + PROVEN_SEC) == found


class Signs:
    def __init__(self) -> None:
        self.transport = ScriptedTransport()

    def beat(self, process: str, young: int, role: str = "executor") -> None:
        sign = Sign(kind=SignKind.HEARTBEAT, process=process, role=role, at_ms=0, young_deaths=young)
        self.transport.put(INSTANCES.name, 0, sign.key, sign.encode())

    def departs(self, process: str) -> None:
        self.transport.put(INSTANCES.name, 0, b"heartbeat " + process.encode(), None)

    @property
    def deaths(self) -> int:
        return young_deaths(self.transport, ManualClock(), "e")


def test_the_last_heartbeat_of_its_name_tells_how_many_died_young() -> None:
    signs = Signs()
    assert signs.deaths == 0
    signs.beat("e#1", 1)
    signs.beat("e#2", 2)
    signs.beat("other#1", 7)
    signs.beat("e#recovery-1", 0, "recovery")
    assert signs.deaths == 2
    signs.beat("e#3", 3)
    signs.beat("e#3", 0)
    assert signs.deaths == 0, "it was proven before it died"


def test_who_stopped_in_order_did_not_die() -> None:
    signs = Signs()
    signs.beat("e#1", 3)
    signs.beat("e#2", 4)
    signs.departs("e#2")
    assert signs.deaths == 0


def test_a_death_of_long_ago_says_nothing() -> None:
    signs = Signs()
    signs.beat("e#1", 3)
    signs.transport.timestamp_ms = lambda offset: offset * (RECENT_MS + 1)
    signs.beat("recovery#1", 0)
    assert signs.deaths == 0


def test_a_careful_executor_claims_one_and_then_two_and_says_so_in_its_heartbeats() -> None:
    bench = Bench(young_deaths=1)
    bench.queue(*range(8))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.seconds(1.0)
        assert len(bench.pool.started) == 1
        yield from bench.until(lambda: bench.sign().waits == {"f": Wait(WaitReason.CAUTION, 1)})
        assert len(bench.pool.started) == 1
        bench.pool.end()
        yield from bench.until(lambda: len(bench.pool.started) == 3)
        yield from bench.seconds(1.0)
        assert len(bench.pool.started) == 3
        bench.incarnation.stop()
        yield from bench.drain()

    bench.play(steps())


def test_an_executor_that_waits_before_it_claims_holds_no_partition_meanwhile() -> None:
    bench = Bench(young_deaths=5)
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.seconds(1.5)
        assert bench.consumer.topics == []
        assert (bench.sign().serving, bench.sign().young_deaths) == (False, 6)
        yield from bench.until(lambda: bench.pool.running)
        bench.incarnation.stop()
        yield from bench.drain()

    bench.play(steps())
