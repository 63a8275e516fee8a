"""What one incarnation of an executor does with the runs it claims."""

from __future__ import annotations

from collections.abc import Iterator

from processor.core.function import Function, FunctionVersion
from processor.core.ledger import Ended, Started
from processor.core.run import RunError, StatusCode
from processor.transport.abstract import TransportUnavailable
from tests.unit.incarnation_bench import VERSION, Bench, run


def test_a_claimed_run_is_started_ended_and_its_executor_departs() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    assert (bench.ledger(Started), bench.ledger(Ended)) == ([run(0)], [run(0)])
    assert bench.has_departed()
    assert [each.value for each in bench.transport.records("inflight")][-1] is None


def test_a_claimed_run_whose_version_cannot_be_looked_up_yet_waits() -> None:
    bench = Bench()
    bench.queue(0)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.pool.end()
        bench.transport.failures["bounds"] = TransportUnavailable()
        bench.queue(1, version="newer")
        yield from bench.until(lambda: run(1) in bench.ledger(Started))
        yield from bench.seconds(3)
        newer = FunctionVersion(version="newer", handler="m:f", code_digest="d")
        bench.deploy(Function(name="f", current=newer, previous=(VERSION,), queue_partitions=1, revision=2))
        bench.transport.failures.clear()
        yield from bench.until(lambda: bench.pool.running)
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.OK] * 2


def test_a_run_of_a_version_that_does_not_exist_ends_with_a_verdict() -> None:
    bench = Bench()
    bench.queue(0, version="never")

    def steps() -> Iterator[None]:
        yield from bench.until(bench.verdicts)
        yield from bench.drain()

    bench.play(steps())
    assert [each.status_code for each in bench.verdicts()] == [StatusCode.FUNCTION_NOT_FOUND]


def test_a_text_that_would_not_fit_into_its_record_is_cut() -> None:
    bench = Bench()
    bench.queue(0)
    huge = RunError(type="T" * 5_000_000, message="m" * 5_000_000, stack="s" * 5_000_000)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: bench.pool.running)
        bench.pool.end(StatusCode.HANDLER_RAISED, huge)
        yield from bench.until(bench.verdicts)
        bench.incarnation.stop()

    bench.play(steps())
    (verdict,) = bench.verdicts()
    assert verdict.status_code is StatusCode.HANDLER_RAISED
    assert len(bench.transport.records("runs")[-1].value or b"") < 1_000_000
