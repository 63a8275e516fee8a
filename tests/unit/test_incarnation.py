"""The executor's loop over a scripted transport and a pool that starts no process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.clock import ManualClock
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.inflight import Sign, SignKind
from processor.core.ledger import Ended, Position, Started, decode
from processor.core.lifesigns import ISOLATION_LIMIT_SEC
from processor.core.request_id import request_id
from processor.core.run import RunError, StatusCode
from processor.core.topics import FUNCTIONS, INSTANCES
from processor.executor.abstract import FunctionCode, PoolEvent, RunEnded, RunInput, RunStarted
from processor.executor.codes import CodeFinder
from processor.executor.incarnation import LEAVE_WHEN_FULL_SEC, ExecutorSettings, Incarnation
from processor.executor.load import LONG_SEC
from processor.registry.registry import Registry
from processor.transport.abstract import Outcome, TopicPartition, TransportError, TransportUnavailable
from tests.unit.scripted_transport import ScriptedConsumer, ScriptedTransport

TOPIC = "queue.f.1"
ZERO = TopicPartition(TOPIC, 0)
VERSION = FunctionVersion(version="v", handler="m:f", code_digest="d")


class IdlePool:
    """Runs go on until the test ends them. Each wait moves the clock, and may have the test do something."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._events: list[PoolEvent] = []
        self.running: dict[str, RunInput] = {}
        self.started: list[str] = []
        self.joined = False
        self.steps: Iterator[None] | None = None

    def start(self) -> None: ...

    def free_slots(self) -> int:
        return 2

    def start_run(self, code: FunctionCode, run: RunInput, *, concurrency: int) -> None:
        self.running[run.delivery] = run
        self.started.append(run.request_id)
        self._events.append(RunStarted(run.request_id, run.delivery, "f", "i", False, 0))

    def end(self, code: StatusCode = StatusCode.OK, error: RunError | None = None) -> None:
        """Every run that is going on."""
        for delivery, run in self.running.items():
            self._events.append(RunEnded(run.request_id, delivery, "f", code, error))
        self.running.clear()

    def kill(self, delivery: str, code: StatusCode, message: str, *, grace_sec: float = 0.0) -> bool:
        raise NotImplementedError

    def kill_all(self, code: StatusCode, message: str) -> None:
        self.end(code, RunError(type="InstanceLost", message=message))

    def wait(self, timeout_sec: float) -> None:
        self._clock.advance(timeout_sec)

    def poll(self, timeout_sec: float = 0.0) -> list[PoolEvent]:
        self.wait(max(timeout_sec, 0.01))
        if self.steps is not None:
            next(self.steps, None)
        events, self._events = self._events, []
        return events

    def stop(self) -> None: ...

    def join(self, timeout_sec: float) -> bool:
        self.joined = True
        return True


class Code:
    def path(self, digest: str) -> Path | None:
        return Path("/code")


class Bench:
    def __init__(self, function: Function | None = None) -> None:
        self.transport = ScriptedTransport(**{TOPIC: 1})
        self.clock = ManualClock()
        made = function or Function(name="f", current=VERSION, queue_partitions=1)
        self.transport.put(FUNCTIONS.name, 0, b"f", encode_function(made))
        self.registry = Registry(self.transport, self.clock)
        self.registry.start()
        self.pool = IdlePool(self.clock)
        self.incarnation = Incarnation(
            executor="e#1",
            transport=self.transport,
            registry=self.registry,
            codes=CodeFinder(self.registry, Code()),
            pool=self.pool,
            clock=self.clock,
            settings=ExecutorSettings(name="e", data_dir=Path("/data"), slots=2),
        )
        self.consumer.will("assign", ZERO)

    @property
    def consumer(self) -> ScriptedConsumer:
        return self.transport.consumers[-1]

    def queue(self, *numbers: int, version: str = "v") -> None:
        for number in numbers:
            before = None if number == 0 else (0, number - 1)
            stamp = Stamp("f", version, "id", Position(0, 0, number), before, "data", 0)
            self.transport.put(TOPIC, 0, run(number).encode(), b"{}", ((STAMP_HEADER, stamp.encode()),))

    def play(self, steps: Iterator[None]) -> None:
        """Runs the loop until it ends by itself; a step of the script follows each of its turns."""
        self.pool.steps = steps
        self.incarnation.run()
        assert self.pool.joined

    def until(self, true: Callable[[], object]) -> Iterator[None]:
        for _ in range(100_000):
            if true():
                return
            yield
        raise AssertionError("it never came true")

    def seconds(self, seconds: float) -> Iterator[None]:
        end = self.clock.boottime() + seconds
        yield from self.until(lambda: self.clock.boottime() >= end)

    def deploy(self, function: Function) -> None:
        self.transport.put(FUNCTIONS.name, 0, function.name.encode(), encode_function(function))

    def mark_dead(self) -> None:
        mark = Sign(kind=SignKind.DEAD, process="e#1", role="executor", at_ms=0)
        self.transport.put(INSTANCES.name, 0, mark.key, mark.encode())

    def drain(self) -> Iterator[None]:
        self.pool.end()
        self.incarnation.stop()
        yield

    def ledger(self, kind: type[Started] | type[Ended]) -> list[str]:
        entries = [decode(each.value) for each in self.transport.records("runs")]
        return [each.request_id for each in entries if isinstance(each, kind)]

    def verdicts(self) -> list[Ended]:
        entries = [decode(each.value) for each in self.transport.records("runs")]
        return [each for each in entries if isinstance(each, Ended)]

    def has_departed(self) -> bool:
        signs = self.transport.records("instances")
        return bool(signs) and signs[-1].value is None


def run(number: int) -> str:
    return request_id("f", "s", str(number))


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


def test_a_full_executor_leaves_the_group_and_comes_back_when_it_has_room() -> None:
    bench = Bench(Function(name="f", current=VERSION, queue_partitions=1, concurrency=2))
    bench.queue(0, 1)

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == 2)
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
        yield from bench.seconds(LEAVE_WHEN_FULL_SEC + 1)
        assert bench.pool.started == [run(0), run(1), run(2)]
        assert bench.consumer.left == 1
        yield from bench.drain()

    bench.play(steps())


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
