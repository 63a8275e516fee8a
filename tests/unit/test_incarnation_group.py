"""When an incarnation is a member of the group, and that no trouble with it ends what runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from processor.core.function import Function
from processor.core.ledger import Ended
from processor.core.run import StatusCode
from processor.executor.incarnation import LEAVE_WHEN_FULL_SEC
from processor.executor.load import LONG_SEC
from processor.transport.abstract import TransportError
from tests.unit.incarnation_bench import VERSION, ZERO, Bench, run


@pytest.mark.parametrize("call", ["subscribe", "poll", "read"])
def test_no_failure_of_the_group_or_of_the_registry_ends_what_runs(call: str) -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.transport.failures[call] = TransportError()
        if call == "subscribe":
            bench.deploy(Function(name="another", current=VERSION))
        yield from bench.seconds(5)
        assert bench.pool.running, "it was killed"
        bench.transport.failures.clear()
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.OK]
    assert bench.incarnation.retired == (call != "read")


def test_a_full_executor_leaves_the_group_to_others_and_comes_back_when_it_has_room() -> None:
    bench = Bench(Function(name="f", current=VERSION, queue_partitions=1, concurrency=2))
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == 2)
        bench.peer_with_room()
        yield from bench.seconds(LEAVE_WHEN_FULL_SEC + 1)
        assert bench.consumer.left == 1
        assert len(bench.pool.running) == 2
        bench.pool.end()
        bench.consumer.will("assign", ZERO)
        bench.queue(2)
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    assert bench.ledger(Ended) == [run(0), run(1), run(2)]


def test_a_full_executor_stays_in_the_group_while_nobody_else_has_room() -> None:
    bench = Bench(Function(name="f", current=VERSION, queue_partitions=1, concurrency=2))
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == 2)
        yield from bench.seconds(2 * LEAVE_WHEN_FULL_SEC)
        assert bench.consumer.left == 0
        bench.peer_with_room()
        yield from bench.until(lambda: bench.consumer.left == 1)
        yield from bench.drain()

    bench.play(steps())


def test_runs_that_take_long_for_once_let_nothing_wait_behind_them() -> None:
    bench = Bench(Function(name="f", current=VERSION, queue_partitions=1, concurrency=2))
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.pool.end()
        yield from bench.until(bench.verdicts)
        bench.queue(1, 2)
        yield from bench.until(lambda: len(bench.pool.running) == 2)
        yield from bench.seconds(2 * LONG_SEC)
        bench.queue(3)
        bench.peer_with_room()
        yield from bench.seconds(LEAVE_WHEN_FULL_SEC + 1)
        assert bench.pool.started == [run(0), run(1), run(2)]
        assert bench.consumer.left == 1
        yield from bench.drain()

    bench.play(steps())
