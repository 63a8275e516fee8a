"""What an incarnation may still do once others may think it dead."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.ledger import Ended
from processor.core.lifesigns import ISOLATION_LIMIT_SEC
from processor.core.run import StatusCode
from processor.transport.abstract import Outcome
from tests.unit.incarnation_bench import Bench, run


def test_an_executor_cut_off_for_too_long_kills_its_runs_once_and_keeps_their_verdicts() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.transport.flushes.extend([Outcome.UNKNOWN] * 100_000)
        yield from bench.seconds(ISOLATION_LIMIT_SEC - 5)
        assert bench.pool.running, "a broker restart must not kill it"
        yield from bench.until(lambda: not bench.pool.running)
        bench.transport.flushes.clear()
        yield from bench.until(bench.verdicts)
        bench.incarnation.stop()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.INSTANCE_LOST]


def test_an_executor_that_was_declared_dead_starts_nothing_kills_what_runs_and_does_not_depart() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.mark_dead()
        bench.queue(1)
        bench.clock.advance(11)  # it was stopped, and wakes

    bench.play(steps())
    assert bench.incarnation.retired
    assert {each.status_code for each in bench.verdicts()} == {StatusCode.INSTANCE_LOST}
    assert bench.pool.started == [run(0)]
    assert not bench.has_departed()


def test_a_gap_in_the_life_signs_without_a_mark_only_costs_a_look_at_the_log() -> None:
    bench = Bench()

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.consumer.asked)
        bench.clock.advance(11)
        bench.queue(0)
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.OK]


def test_a_claim_that_stays_undecided_retires_the_executor_which_finishes_its_runs_and_does_not_depart() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.consumer.commits.append(Outcome.UNKNOWN)
        bench.queue(1)
        yield from bench.until(lambda: bench.incarnation.retired)
        yield from bench.seconds(2)
        assert bench.pool.running
        bench.pool.end()

    bench.play(steps())
    assert bench.ledger(Ended) == [run(0)]
    assert not bench.has_departed()
