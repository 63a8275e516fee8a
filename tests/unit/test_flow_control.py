"""Pause, pace and age of queued events in the executor's loop."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.function import Function
from processor.core.inflight import Intent, Sign
from processor.core.ledger import Ended, Position, Started
from processor.core.run import Status, StatusCode
from processor.core.topics import INSTANCES
from processor.core.waits import Wait, WaitReason
from processor.transport.abstract import Outcome
from tests.unit.incarnation_bench import TOPIC, VERSION, Bench, run

F = Function(name="f", current=VERSION, queue_partitions=1, concurrency=2)
HOUR_MS = 3_600_000


class FlowBench(Bench):
    def __init__(self, function: Function = F) -> None:
        super().__init__(function)
        self.function = function
        # The log's clock goes with ours, and an hour behind it.
        self.transport.timestamp_ms = lambda _: self.log_ms

    @property
    def log_ms(self) -> int:
        return self.clock.unix_ms() - HOUR_MS

    def queue(self, *numbers: int, version: str = "v", age_sec: float = 0.0) -> None:
        accepted_at_ms = self.log_ms - int(age_sec * 1000)
        for number in numbers:
            before = None if number == 0 else (0, number - 1)
            stamp = Stamp("f", version, "id", Position(0, 0, number), before, "data", accepted_at_ms)
            self.transport.put(TOPIC, 0, run(number).encode(), b"{}", ((STAMP_HEADER, stamp.encode()),))

    def change(self, **settings: bool | float) -> None:
        self.function = replace(self.function, revision=self.function.revision + 1, **settings)  # type: ignore[arg-type]  # fields of several types
        self.deploy(self.function)

    def said(self) -> Sign:
        """Our last heartbeat."""
        return Sign.decode(self.transport.records(INSTANCES.name)[-1].value or b"")

    def open_intents(self) -> list[str]:
        left = {each.key: each.value for each in self.transport.records("inflight")}
        return [Intent.decode(value).request_id for value in left.values() if value is not None]


def test_a_paused_function_starts_nothing_more_and_its_runs_go_on() -> None:
    bench = FlowBench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.change(paused=True)
        yield from bench.seconds(0.3)
        bench.queue(1, 2, 3)
        yield from bench.seconds(30)
        assert bench.pool.started == [run(0)]
        assert bench.said().waits == {"f": Wait(WaitReason.PAUSED)}
        bench.pool.end()
        yield from bench.until(bench.verdicts)
        yield from bench.seconds(5)
        assert bench.pool.started == [run(0)]
        bench.change(paused=False)
        yield from bench.until(lambda: len(bench.pool.started) == 4)
        yield from bench.drain()

    bench.play(steps())
    assert bench.pool.started == [run(0), run(1), run(2), run(3)], "in the order of their acceptance"
    assert {each.status_code for each in bench.verdicts()} == {StatusCode.OK}
    assert bench.consumer.left == 1, "only at the end: the partitions of a paused function stay here"


def test_starts_keep_the_rate_and_a_change_of_it_holds_at_once() -> None:
    bench = FlowBench(replace(F, rate_per_sec=2.0))
    bench.queue(*range(60))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        for _ in range(1_000):  # each run is a short one
            bench.pool.end()
            yield
            if bench.clock.boottime() >= 1_010:
                break
        paced = len(bench.pool.started)
        assert 2 + 2 * 8 <= paced <= 2 + 2 * 10, f"{paced} in ten seconds at 2/s"
        assert bench.said().waits == {"f": Wait(WaitReason.RATE)}
        bench.change(rate_per_sec=1_000.0)
        for _ in range(1_000):
            bench.pool.end()
            yield
        yield from bench.drain()

    bench.play(steps())
    assert bench.pool.started == [run(number) for number in range(60)]


def test_an_event_that_waited_too_long_ends_408_without_a_start() -> None:
    bench = FlowBench(replace(F, max_queue_age_sec=60.0))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.transport.records(INSTANCES.name))
        yield from bench.seconds(0.3)
        bench.queue(0, 1, age_sec=61.0)
        bench.queue(2)
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.until(lambda: len(bench.verdicts()) == 2)
        yield from bench.drain()

    bench.play(steps())
    assert bench.pool.started == [run(2)]
    assert bench.ledger(Started) == [run(2)]
    first, second, third = bench.verdicts()
    assert (first.request_id, second.request_id, third.request_id) == (run(0), run(1), run(2))
    assert (first.status, first.status_code) == (Status.ABORTED, StatusCode.EXPIRED)
    assert first.error is not None
    assert first.error.type == "QueueAgeExceeded"
    assert first.started_at_ms is None
    assert bench.open_intents() == []


def test_events_expire_while_no_slot_is_free() -> None:
    bench = FlowBench(replace(F, max_queue_age_sec=20.0))
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == 2)
        bench.queue(2, 3)
        yield from bench.seconds(19)
        assert not bench.verdicts()
        yield from bench.until(lambda: len(bench.verdicts()) == 2)
        assert len(bench.pool.running) == 2
        yield from bench.drain()

    bench.play(steps())
    assert [each.request_id for each in bench.verdicts()] == [run(2), run(3), run(0), run(1)]


def test_events_of_a_paused_function_expire_too() -> None:
    bench = FlowBench(replace(F, max_queue_age_sec=20.0, paused=True))
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(bench.verdicts)
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.EXPIRED]
    assert bench.pool.started == []


def test_a_wall_clock_that_is_wrong_expires_nothing() -> None:
    bench = FlowBench(replace(F, max_queue_age_sec=60.0))
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    assert bench.clock.unix_ms() - bench.log_ms > 60_000
    bench.play(steps())
    assert bench.ledger(Started) == [run(0)]


def test_a_refused_claim_of_an_expired_event_is_made_again_and_counts_once() -> None:
    bench = FlowBench(replace(F, max_queue_age_sec=60.0))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        yield from bench.seconds(0.3)
        bench.consumer.commits.append(Outcome.NO)
        bench.queue(0, age_sec=61.0)
        yield from bench.until(bench.verdicts)
        yield from bench.drain()

    bench.play(steps())
    assert bench.incarnation.counts.refused == 1
    assert bench.ledger(Ended) == [run(0)]
    assert bench.open_intents() == []


def test_a_long_queue_of_expired_events_is_ended_to_the_last_one() -> None:
    bench = FlowBench(replace(F, max_queue_age_sec=60.0, paused=True))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        yield from bench.seconds(0.3)
        bench.queue(*range(1_500), age_sec=61.0)
        yield from bench.until(lambda: len(bench.verdicts()) == 1_500)
        yield from bench.drain()

    bench.play(steps())
    assert bench.ledger(Ended) == [run(number) for number in range(1_500)]


def test_the_heartbeat_says_why_events_wait_soon_after_it_has_changed() -> None:
    bench = FlowBench()
    bench.queue(*range(5))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == 2)
        yield from bench.seconds(1.5)
        said = bench.said()
        assert said.waits == {"f": Wait(WaitReason.CONCURRENCY, 2, 2)}
        assert (said.serving, said.room) == (True, False)
        for _ in count():
            if len(bench.pool.started) == 5:
                break
            bench.pool.end()
            yield
        bench.pool.end()
        yield from bench.seconds(1.5)
        assert (bench.said().waits, bench.said().room) == ({}, True)
        yield from bench.drain()

    bench.play(steps())


def test_a_run_that_ends_makes_room_at_once_and_what_cannot_be_claimed_is_not_asked_for_all_the_time() -> None:
    bench = FlowBench(replace(F, concurrency=1, claim_ahead_sec=0.0))
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.pool.end()
        ended_at_sec = bench.clock.boottime()
        yield from bench.until(lambda: run(1) in bench.pool.started)
        assert bench.clock.boottime() - ended_at_sec < 0.1
        assert bench.consumer.patience_sec == 0.0
        bench.pool.end()
        bench.change(paused=True)
        yield from bench.seconds(1)
        bench.queue(2)
        yield from bench.seconds(1)
        assert bench.consumer.patience_sec > 0.05, "it waits at the log, where the next thing comes from"
        yield from bench.drain()

    bench.play(steps())


def test_an_idle_executor_wakes_for_the_next_start_of_a_paced_function() -> None:
    bench = FlowBench(replace(F, rate_per_sec=20.0))
    bench.queue(*range(60))
    patience_sec = []

    def steps() -> Iterator[None]:
        while len(bench.pool.started) < 40:
            bench.pool.end()
            yield
            patience_sec.append(bench.consumer.patience_sec)
        yield from bench.drain()

    bench.play(steps())
    assert 0.0 < max(patience_sec[-10:]) <= 0.05
