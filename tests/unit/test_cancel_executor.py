"""Cancel requests in the executor's loop."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

import pytest

from processor.core.claims import CommitTag
from processor.core.control import Cancel, DrainRequest
from processor.core.function import Function
from processor.core.inflight import Intent
from processor.core.ledger import Ended, Started
from processor.core.run import Status, StatusCode
from processor.core.topics import CONTROL
from processor.executor.cancels import RETRY_SEC
from processor.executor.partition import BUFFER_RECORDS, MAX_UNSTARTED
from processor.transport.abstract import Bounds, Outcome, TopicPartition, TransportUnavailable
from tests.unit.incarnation_bench import VERSION, Bench, run
from tests.unit.scripted_transport import ScriptedReader

F = Function(name="f", current=VERSION, queue_partitions=1, concurrency=2)


class CancelBench(Bench):
    def cancel(self, *numbers: int, grace_sec: float = 0.0) -> None:
        for number in numbers:
            wanted = Cancel(request_id=run(number), grace_sec=grace_sec)
            self.transport.put(CONTROL.name, 0, wanted.key, wanted.encode())

    def open_intents(self) -> list[str]:
        left = {each.key: each.value for each in self.transport.records("inflight")}
        return [Intent.decode(value).request_id for value in left.values() if value is not None]

    def check_cancelled(self, *numbers: int) -> None:
        cancelled = [each for each in self.verdicts() if each.status_code is StatusCode.CANCELLED]
        assert sorted(each.request_id for each in cancelled) == sorted(run(number) for number in numbers)
        assert {(each.status, each.error and each.error.type) for each in cancelled} <= {
            (Status.ABORTED, "Cancelled"),
            (Status.ABORTED, "CANCELLED"),  # the pool of this bench
        }
        assert self.open_intents() == []


def test_a_run_that_is_going_on_is_killed_with_its_grace_and_has_one_verdict() -> None:
    bench = CancelBench()
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == 2)
        bench.cancel(0, grace_sec=2.5)
        yield from bench.until(bench.verdicts)
        bench.cancel(0)
        yield from bench.seconds(1)
        yield from bench.drain()

    bench.play(steps())
    assert bench.pool.killed == [(run(0), 2.5)]
    bench.check_cancelled(0)
    assert sorted(bench.ledger(Ended)) == sorted([run(0), run(1)])


def test_a_run_whose_end_came_first_keeps_it() -> None:
    bench = CancelBench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.cancel(0)
        bench.pool.end()
        yield from bench.until(bench.verdicts)
        yield from bench.seconds(1)
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.OK]
    assert bench.incarnation._cancels._open == {}, "nothing is kept of a run that has ended"


def test_an_event_that_waits_is_ended_without_a_start_though_nothing_may_start() -> None:
    bench = CancelBench(replace(F, paused=True))
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        yield from bench.seconds(0.5)
        bench.cancel(0)
        yield from bench.until(bench.verdicts)
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(0)
    assert bench.ledger(Started) == []


def test_an_event_that_waits_behind_others_is_ended_once_they_are_claimed() -> None:
    bench = CancelBench(replace(F, concurrency=1))
    bench.queue(0, 1, 2)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.cancel(2)
        yield from bench.seconds(1)
        assert bench.verdicts() == [], "an offset commit cannot leave out what stands before it"
        bench.pool.end()
        yield from bench.until(lambda: run(1) in bench.pool.started)
        yield from bench.until(lambda: run(2) in bench.ledger(Ended))
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(2)
    assert bench.pool.started == [run(0), run(1)]


def test_a_request_may_come_before_its_event_does() -> None:
    bench = CancelBench()

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        bench.cancel(0)
        yield from bench.seconds(5)
        bench.queue(0, 1)
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(0)
    assert bench.ledger(Started) == bench.pool.started == [run(1)]


def test_an_executor_claims_nothing_before_it_knows_what_was_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = CancelBench()
    bench.cancel(0)
    bench.queue(0, 1)
    bounds = ScriptedReader.bounds

    def unless_away(
        self: ScriptedReader, partitions: Collection[TopicPartition], timeout_sec: float
    ) -> Mapping[TopicPartition, Bounds]:
        if TopicPartition(CONTROL.name, 0) in partitions and bench.clock.boottime() < away_until_sec:
            raise TransportUnavailable
        return bounds(self, partitions, timeout_sec)

    away_until_sec = bench.clock.boottime() + 10
    monkeypatch.setattr(ScriptedReader, "bounds", unless_away)

    def steps() -> Iterator[None]:
        yield from bench.seconds(9.5)
        assert bench.consumer.asked
        assert bench.ledger(Started) == bench.ledger(Ended) == []
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(0)
    assert bench.pool.started == [run(1)]


def test_requests_are_heard_again_after_the_topic_could_not_be_read() -> None:
    bench = CancelBench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.transport.failures["read"] = TransportUnavailable()
        bench.cancel(0)
        yield from bench.seconds(2 * RETRY_SEC)
        assert bench.pool.running
        bench.transport.failures.clear()
        yield from bench.until(bench.verdicts)
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(0)
    assert len(bench.pool.killed) == 1


def test_what_is_cancelled_while_its_claim_is_unknown_is_not_started() -> None:
    bench = CancelBench()

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        yield from bench.seconds(0.5)
        bench.consumer.commits.append(Outcome.UNKNOWN)
        bench.transport.failures["committed"] = TransportUnavailable()
        bench.queue(0)
        asked = len(bench.consumer.asked)
        yield from bench.until(lambda: len(bench.consumer.asked) > asked)
        bench.cancel(0)
        yield from bench.seconds(1)
        bench.transport.offsets |= bench.consumer.asked[-1]
        assert all(CommitTag.decode(each.metadata).executor == "e#1" for each in bench.transport.offsets.values())
        bench.transport.failures.clear()
        yield from bench.until(bench.verdicts)
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(0)
    assert bench.ledger(Started) == bench.pool.started == []


def test_what_is_cancelled_while_it_waits_for_its_code_never_reaches_the_pool() -> None:
    bench = CancelBench()

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        yield from bench.seconds(0.5)
        bench.transport.failures["bounds"] = TransportUnavailable()
        bench.queue(0, version="unknown")
        yield from bench.until(lambda: bench.ledger(Started))
        bench.cancel(0)
        yield from bench.until(bench.verdicts)
        bench.transport.failures.clear()
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(0)
    assert bench.pool.started == []


def test_a_draining_executor_is_told_to_the_end() -> None:
    bench = CancelBench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.incarnation.stop()
        yield from bench.seconds(30)
        bench.cancel(0)

    bench.play(steps())
    bench.check_cancelled(0)
    assert bench.has_departed()


def test_a_long_queue_of_cancelled_events_is_ended_to_the_last_one() -> None:
    total = BUFFER_RECORDS + MAX_UNSTARTED + 1
    bench = CancelBench(replace(F, paused=True))
    bench.cancel(*range(total))
    bench.queue(*range(total))

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.verdicts()) == total)
        yield from bench.drain()

    bench.play(steps())
    bench.check_cancelled(*range(total))


@pytest.mark.parametrize("value", [None, b"", b'{"type":"of a newer version"}'])
def test_what_is_no_request_to_cancel_changes_nothing(value: bytes | None) -> None:
    bench = CancelBench()
    bench.transport.put(CONTROL.name, 0, run(0).encode(), value)
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.OK]


def test_an_executor_that_is_asked_to_drain_finishes_what_runs_and_claims_no_more() -> None:
    bench = CancelBench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        ask_to_drain(bench, "e#1")
        yield from bench.until(lambda: bench.incarnation.drain.requested)
        bench.queue(1)
        yield from bench.seconds(30)
        bench.cancel(0)  # as good an end as any

    bench.play(steps())
    assert bench.pool.started == [run(0)]
    assert bench.has_departed()


def test_what_others_are_asked_and_what_nobody_understands_drains_nothing() -> None:
    bench = CancelBench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        ask_to_drain(bench, "e#2")
        ask_to_drain(bench, "e")
        for value in (b'{"type":"explode"}', b"{", Cancel(request_id=run(0)).encode()):
            bench.transport.put(CONTROL.name, 0, b"executor/e#1", value)
        bench.transport.put(CONTROL.name, 0, run(0).encode(), DrainRequest(executor="e#1").encode())
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.seconds(5)
        assert not bench.incarnation.drain.asked
        yield from bench.drain()

    bench.play(steps())
    assert bench.pool.started == [run(0)]


def ask_to_drain(bench: CancelBench, executor: str) -> None:
    wanted = DrainRequest(executor=executor, by="a test")
    assert DrainRequest.decode(wanted.key, wanted.encode()) == wanted
    bench.transport.put(CONTROL.name, 0, wanted.key, wanted.encode())
