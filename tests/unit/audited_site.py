"""Executors over one scripted log, the evidence that their handlers and clients keep, and the audit of all that."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator

import pytest

from processor.core import clock
from processor.core.claims import STAMP_HEADER, Stamp
from processor.core.clock import ManualClock, SystemClock
from processor.core.event import Event
from processor.core.function import Function
from processor.core.inflight import Intent
from processor.core.ledger import Accepted, Position, encode
from processor.core.run import Delivery
from processor.core.topics import INFLIGHT, RUNS
from processor.dispatcher.accept import Acceptor, NotAccepted
from processor.executor.dedup import DEFAULT_WINDOW, WindowPolicy
from processor.ops.audit.evidence import Answer, Evidence, Journal, Sent
from processor.ops.audit.facts import read_facts
from processor.ops.audit.invariants import examine
from processor.recovery.procedure import Recovery
from processor.transport.abstract import Appended, Appender, Headers, Outcome
from tests.unit.incarnation_bench import TOPIC, VERSION, Bench, BenchClock
from tests.unit.scripted_transport import ScriptedTransport


class Killed(BaseException):
    """kill -9, as the executor's loop sees it."""


class AuditedSite:
    def __init__(self, clock: BenchClock | None = None) -> None:
        self.transport = ScriptedTransport(**{TOPIC: 1})
        self.clock = clock or ManualClock()
        self.sent: list[Sent] = []
        self._benches: list[Bench] = []

    def executor(self, name: str, window: WindowPolicy = DEFAULT_WINDOW) -> Bench:
        bench = Bench(executor=name, transport=self.transport, clock=self.clock, window=window)
        self._benches.append(bench)
        return bench

    def dispatch(self, run: str, intake: int, *, previous: int | None) -> None:
        """What a dispatcher writes of one event. previous: what it sent before, None at the start of a session."""
        place = Position(0, 0, intake)
        self.accept(run, place)
        before = None if previous is None else (0, previous)
        stamp = Stamp("f", "v", "id", place, before, "data", self.clock.unix_ms())
        self.transport.put(TOPIC, 0, run.encode(), b"{}", ((STAMP_HEADER, stamp.encode()),))

    def accept(self, run: str, place: Position) -> None:
        record = Accepted(
            request_id=run,
            function="f",
            version="v",
            trigger="http",
            source="s",
            event_id=str(place.offset),
            subject=None,
            accepted_at_ms=self.clock.unix_ms(),
            intake=place,
        )
        self.transport.put(RUNS.name, 0, run.encode(), encode(record))

    def intend(self, run: str, executor: str, *, offset: int) -> None:
        intent = Intent(executor=executor, request_id=run, function="f", delivery=Delivery(TOPIC, 0, offset), batch=1)
        self.transport.put(INFLIGHT.name, 0, intent.key, intent.encode())

    def recover(self, dead: str) -> None:
        assert Recovery(self.transport, self.clock, "recovery").close_claims([dead]) == 0

    def breaches(self) -> dict[str, tuple[str, ...]]:
        """Once everything had its time: by promise, with examples."""
        started = Counter(each for bench in self._benches for each in bench.pool.started)
        finished = Counter(each for bench in self._benches for each in bench.pool.finished)
        evidence = Evidence(sent=tuple(self.sent), journal=Journal(starts=started, ends=finished))
        report = examine(read_facts(self.transport, self.clock), evidence, None, drained=True)
        return {f"{each.id} {each.promise}": each.examples for each in report.invariants if each.broken}


class Client:
    """Sends events through an acceptor whose log may not take them, and keeps the list of its answers."""

    def __init__(self, site: AuditedSite, outcomes: Iterable[Outcome] = ()) -> None:
        """outcomes: of the appends to intake; YES after that."""
        self._site = site
        self._intake = Intake(site, outcomes)
        function = Function(name="f", current=VERSION)
        self._acceptor = Acceptor(functions={"f": function}.get, appender=self._intake, clock=site.clock)

    def send(self, *keys: str) -> None:
        for key in keys:
            self._site.sent.append(asyncio.run(self._answer(key)))

    async def _answer(self, key: str) -> Sent:
        event = Event(id=key, source="s", type="t", data=b"{}")
        try:
            receipt = await self._acceptor.accept("f", event, trigger="http", event_format="data")
        except NotAccepted as error:
            return Sent(key=key, request_id=error.request_id, answer=Answer.UNKNOWN)
        return Sent(key=key, request_id=receipt.request_id, answer=Answer.OK)


class Intake(Appender):
    """What lands is dispatched at once."""

    def __init__(self, site: AuditedSite, outcomes: Iterable[Outcome]) -> None:
        self._site = site
        self._outcomes = deque(outcomes)
        self._landed = 0

    async def start(self) -> None: ...

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        outcome = self._outcomes.popleft() if self._outcomes else Outcome.YES
        if outcome is not Outcome.YES:
            return Appended(outcome=outcome, reason="scripted")
        before = self._landed - 1 if self._landed else None
        self._site.dispatch((key or b"").decode(), self._landed, previous=before)
        self._landed += 1
        return Appended(outcome=outcome, partition=0, offset=self._landed - 1)

    async def stop(self) -> None: ...


class SteppingClock:
    """The product's own clock over a machine's whose wall clock somebody sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._since_boot_sec = 1_000.0
        self._wall_ahead_sec = 1.7e9
        monkeypatch.setattr(clock, "time", self)  # of the module of the product's clock alone
        self._clock = SystemClock()

    def advance(self, seconds: float) -> None:
        self._since_boot_sec += seconds

    def step_wall_clock(self, seconds: float) -> None:
        self._wall_ahead_sec += seconds

    def boottime(self) -> float:
        return self._clock.boottime()

    def unix_ms(self) -> int:
        return self._clock.unix_ms()

    # What that module asks `time` for.

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def clock_gettime(self, which: int) -> float:
        assert which == self.CLOCK_BOOTTIME
        return self._since_boot_sec

    def time_ns(self) -> int:
        return int((self._wall_ahead_sec + self._since_boot_sec) * 1e9)


def serve_all(bench: Bench) -> None:
    """It starts what there is for it and ends that, until there is nothing more, and departs."""

    def steps() -> Iterator[None]:
        quiet = 0
        while quiet < 50:
            quiet = 0 if bench.pool.running else quiet + 1
            bench.pool.end()
            yield
        yield from bench.drain()

    bench.play(steps())


def kill_amid(bench: Bench, number: int) -> None:
    """It is killed as soon as so many of its runs go on."""

    def steps() -> Iterator[None]:
        yield from bench.until(lambda: len(bench.pool.running) == number)
        raise Killed

    try:
        bench.play(steps())
    except Killed:
        return
    raise AssertionError("it was to be killed")
