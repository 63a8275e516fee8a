"""The executor's loop over a scripted transport and a pool that starts no process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.clock import Clock, ManualClock
from processor.core.function import Function, FunctionVersion, encode_function
from processor.core.inflight import Sign, SignKind
from processor.core.ledger import Ended, Position, Started, decode
from processor.core.request_id import request_id
from processor.core.run import RunError, StatusCode
from processor.core.topics import FUNCTIONS, INSTANCES
from processor.executor.abstract import FunctionCode, PoolEvent, RunEnded, RunInput, RunStarted
from processor.executor.caution import Caution
from processor.executor.codes import CodeFinder
from processor.executor.dedup import DEFAULT_WINDOW, WindowPolicy
from processor.executor.incarnation import ExecutorSettings, Incarnation
from processor.registry.registry import Registry
from processor.transport.abstract import TopicPartition
from tests.unit.scripted_transport import ScriptedConsumer, ScriptedTransport

TOPIC = "queue.f.1"
ZERO = TopicPartition(TOPIC, 0)
VERSION = FunctionVersion(version="v", handler="m:f", code_digest="d")


def run(number: int) -> str:
    return request_id("f", "s", str(number))


class BenchClock(Clock, Protocol):
    def advance(self, seconds: float) -> None: ...


class IdlePool:
    """Runs go on until the test ends them. Each wait moves the clock, and may have the test do something."""

    def __init__(self, clock: BenchClock) -> None:
        self._clock = clock
        self._events: list[PoolEvent] = []
        self.running: dict[str, RunInput] = {}
        self.started: list[str] = []
        #: Ended by themselves.
        self.finished: list[str] = []
        #: RequestId and grace.
        self.killed: list[tuple[str, float]] = []
        self.joined = False
        self.steps: Iterator[None] | None = None

    def start(self, may_start: Callable[[], bool] = lambda: True) -> None: ...

    def free_slots(self) -> int:
        return 2

    def start_run(self, code: FunctionCode, run: RunInput, *, concurrency: int) -> None:
        self.running[run.delivery] = run
        self.started.append(run.request_id)
        self._events.append(RunStarted(run.request_id, run.delivery, "f", "i", False, 0))

    def end(self, code: StatusCode = StatusCode.OK, error: RunError | None = None) -> None:
        """Every run that is going on."""
        for delivery, run in self.running.items():
            if code is StatusCode.OK:
                self.finished.append(run.request_id)
            self._events.append(RunEnded(run.request_id, delivery, "f", code, error))
        self.running.clear()

    def kill(self, delivery: str, code: StatusCode, message: str, *, grace_sec: float = 0.0) -> bool:
        run = self.running.pop(delivery, None)
        if run is not None:
            self.killed.append((run.request_id, grace_sec))
            error = RunError(type=code.name, message=message)
            self._events.append(RunEnded(run.request_id, delivery, "f", code, error))
        return run is not None

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
    def __init__(
        self,
        function: Function | None = None,
        *,
        executor: str = "e#1",
        transport: ScriptedTransport | None = None,
        clock: BenchClock | None = None,
        window: WindowPolicy = DEFAULT_WINDOW,
        young_deaths: int = 0,
    ) -> None:
        """transport: of another bench, whose log this executor shares."""
        self.transport = transport or ScriptedTransport(**{TOPIC: 1})
        self.clock = clock or ManualClock()
        made = function or Function(name="f", current=VERSION, queue_partitions=1)
        self.transport.put(FUNCTIONS.name, 0, b"f", encode_function(made))
        self.registry = Registry(self.transport, self.clock)
        self.registry.start()
        self.pool = IdlePool(self.clock)
        self.incarnation = Incarnation(
            executor=executor,
            transport=self.transport,
            registry=self.registry,
            codes=CodeFinder(self.registry, Code()),
            pool=self.pool,
            clock=self.clock,
            settings=ExecutorSettings(name="e", data_dir=Path("/data"), slots=2, window=window),
            caution=Caution(young_deaths, self.clock.boottime()),
        )
        self.consumer: ScriptedConsumer = self.transport.consumers[-1]
        self.consumer.will("assign", ZERO)

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

    def peer_with_room(self) -> None:
        """Another executor beats, once."""
        beat = Sign(kind=SignKind.HEARTBEAT, process="other#1", role="executor", at_ms=0)
        self.transport.put(INSTANCES.name, 0, beat.key, beat.encode())

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

    def sign(self) -> Sign:
        """Its last heartbeat."""
        return Sign.decode(self.transport.records("instances")[-1].value or b"")

    def has_departed(self) -> bool:
        signs = self.transport.records("instances")
        return bool(signs) and signs[-1].value is None
