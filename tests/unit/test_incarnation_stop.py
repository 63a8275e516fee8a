"""How an incarnation ends: in which order, and what it leaves to recovery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from processor.core.ledger import Ended
from processor.core.run import StatusCode
from processor.transport.abstract import Outcome, TransportUnavailable
from tests.unit.incarnation_bench import Bench


def test_an_executor_departs_only_after_its_last_verdict_is_on_the_log() -> None:
    bench = Bench()
    bench.queue(0)
    order: list[str] = []
    put = bench.transport.put

    def noting(topic: str, partition: int, key: bytes | None, value: bytes | None, headers: object = ()) -> object:
        order.append(f"{topic} {'-' if value is None else '+'}")
        return put(topic, partition, key, value)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.transport.put = noting  # type: ignore[method-assign,assignment]  # to see the order across partitions
        bench.transport.flushes.extend([Outcome.UNKNOWN] * 3)
        yield from bench.drain()

    bench.play(steps())
    assert order[-3:] == ["runs +", "inflight -", "instances -"]


def test_an_executor_that_cannot_write_its_last_verdict_leaves_it_to_recovery() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.transport.flushes.extend([Outcome.UNKNOWN] * 10_000)
        yield from bench.drain()

    bench.play(steps())
    assert bench.ledger(Ended) == []
    assert not bench.has_departed(), "who has departed is recovered by nobody"


def test_a_second_stop_ends_what_runs_with_verdicts() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.incarnation.stop()
        yield from bench.seconds(20)
        assert bench.pool.running, "a drain waits"
        bench.incarnation.stop_now()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.INSTANCE_LOST]
    assert bench.has_departed()


def test_a_stop_now_waits_for_no_broker_and_leaves_an_unsettled_claim_to_recovery() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        bench.consumer.commits.append(Outcome.UNKNOWN)
        bench.transport.failures["committed"] = TransportUnavailable()
        yield from bench.until(lambda: len(bench.consumer.asked) == 2)
        bench.incarnation.stop()
        yield from bench.seconds(5)
        bench.incarnation.stop_now()

    bench.play(steps())
    assert not bench.has_departed()


def test_the_pool_is_ended_when_the_loop_fails_however_it_fails() -> None:
    bench = Bench()
    bench.transport.failures["close"] = ValueError("closing fails too")

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        raise KeyError("a defect")

    with pytest.raises(ValueError, match="closing fails too"):
        bench.play(steps())
    assert bench.pool.joined
    assert all(each.closed for each in bench.transport.producers)
