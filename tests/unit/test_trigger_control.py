"""Firing: which of several processes does it, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from processor.core.clock import ManualClock
from processor.core.errors import HeadraceError
from processor.core.trigger_fold import CLAIM_WINDOW_MS, Fire, TriggerFold
from processor.core.trigger_records import MAX_LISTED, FireRequest
from processor.dispatcher.accept import Receipt
from processor.transport.abstract import Appended, Appender, Headers, Outcome
from triggers.abstract import NotFirable, TriggerState
from triggers.firing import LEAVE_SEC, Fireable, Firing

REQUEST = FireRequest(trigger="t", request="r", by="ann", at_ms=0)
LIMIT_SEC = 20.0


class Topic(Appender):
    """The topic and the fold that every process has of it; `deliver` applies what was appended."""

    def __init__(self, clock: ManualClock) -> None:
        self.fold = TriggerFold()
        self.outcome = Outcome.YES
        self._clock = clock
        self._pending: list[tuple[bytes, bytes | None, int]] = []
        self._offset = 0

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
        if self.outcome is Outcome.YES:
            self._pending.append((key or b"", value, self._clock.unix_ms()))
        return Appended(outcome=self.outcome)

    async def stop(self) -> None: ...

    def deliver(self) -> None:
        for key, value, log_ms in self._pending:
            self.fold.apply(key, value, offset=self._offset, log_ms=log_ms, now_sec=0.0)
            self._offset += 1
        self._pending.clear()

    @property
    def appended(self) -> list[str]:
        return [key.decode() for key, _, _ in self._pending]


class Host(Fireable):
    def __init__(self, state: TriggerState | None = TriggerState.WATCHING) -> None:
        self.state = state
        self.fired: list[str] = []
        self.answer: Callable[[], list[Receipt]] = list

    def state_of(self, trigger: str) -> TriggerState | None:
        return self.state

    async def fire(self, trigger: str) -> list[Receipt]:
        self.fired.append(trigger)
        return self.answer()


class Rig:
    def __init__(self, *states: TriggerState | None) -> None:
        self.clock = ManualClock()
        self.topic = Topic(self.clock)
        self.hosts = [Host(each) for each in states]
        self.firings = [
            Firing(host=host, fold=self.topic.fold, appender=self.topic, clock=self.clock, replica=f"p#{number}")
            for number, host in enumerate(self.hosts)
        ]

    async def ask(self) -> None:
        await self.topic.append("triggers", REQUEST.encode(), key=REQUEST.key.encode())
        self.topic.deliver()

    async def round(self) -> None:
        for each in self.firings:
            await each.tick()
        self.topic.deliver()
        for _ in range(5):  # what was begun comes to its end
            await asyncio.sleep(0)
        self.topic.deliver()

    @property
    def fired(self) -> list[int]:
        return [len(each.fired) for each in self.hosts]

    @property
    def fire(self) -> Fire:
        found = self.topic.fold.fire("t", "r")
        assert found is not None
        return found


def test_of_several_processes_exactly_one_fires_however_often_they_look() -> None:
    async def main() -> None:
        rig = Rig(*[TriggerState.WATCHING] * 3)
        await rig.ask()
        for _ in range(4):
            await rig.round()
        assert rig.fired == [1, 0, 0]
        assert rig.fire.outcome is not None
        assert rig.fire.outcome.replica == "p#0"

    asyncio.run(main())


def test_a_process_that_does_not_run_the_trigger_never_claims() -> None:
    async def main() -> None:
        rig = Rig(None, TriggerState.WATCHING)
        await rig.ask()
        for _ in range(3):
            await rig.round()
        assert rig.fired == [0, 1]
        without = Rig(None)
        await without.ask()
        for _ in range(3):
            await without.round()
            without.clock.advance(LEAVE_SEC)
        assert without.fire.owner is None

    asyncio.run(main())


def test_one_whose_source_is_away_leaves_it_to_another_for_a_moment() -> None:
    async def main() -> None:
        rig = Rig(TriggerState.WAITING, TriggerState.WATCHING)
        await rig.ask()
        await rig.round()
        await rig.round()
        assert rig.fired == [0, 1]
        alone = Rig(TriggerState.WAITING)
        await alone.ask()
        await alone.round()
        assert alone.fire.owner is None
        alone.clock.advance(LEAVE_SEC)
        await alone.round()
        await alone.round()
        assert alone.fired == [1]

    asyncio.run(main())


def test_a_process_that_dies_over_it_leaves_it_unfired_and_nobody_takes_over() -> None:
    async def main() -> None:
        rig = Rig(TriggerState.WATCHING, TriggerState.WATCHING)
        await rig.ask()
        await rig.firings[0].tick()
        rig.topic.deliver()  # its claim stands first, and it is gone
        rig.firings.pop(0)
        for _ in range(3):
            rig.clock.advance(10.0)
            await rig.round()
        assert rig.fired == [0, 0]
        assert rig.fire.outcome is None

    asyncio.run(main())


def test_what_nobody_took_in_time_is_not_fired_by_who_comes_later() -> None:
    async def main() -> None:
        rig = Rig()
        await rig.ask()
        rig.clock.advance(CLAIM_WINDOW_MS / 1000 + 1)
        late = Rig(TriggerState.WATCHING)
        late.topic.fold, late.clock = rig.topic.fold, rig.clock
        firing = Firing(host=late.hosts[0], fold=rig.topic.fold, appender=rig.topic, clock=rig.clock, replica="late#1")
        await firing.tick()
        assert rig.topic.appended == []
        assert late.fired == [0]

    asyncio.run(main())


def test_a_claim_that_was_not_written_is_tried_again() -> None:
    async def main() -> None:
        rig = Rig(TriggerState.WATCHING)
        await rig.ask()
        rig.topic.outcome = Outcome.NO
        await rig.round()
        rig.topic.outcome = Outcome.YES
        await rig.round()
        await rig.round()
        assert rig.fired == [1]

    asyncio.run(main())


def test_the_outcome_names_the_runs_and_how_many_more_there_are() -> None:
    async def main() -> None:
        rig = Rig(TriggerState.WATCHING)
        rig.hosts[0].answer = lambda: [
            Receipt(request_id=f"id{number}", function="f", partition=0, offset=number)
            for number in range(MAX_LISTED + 5)
        ]
        await rig.ask()
        await rig.round()
        await rig.round()
        outcome = rig.fire.outcome
        assert outcome is not None
        assert (outcome.accepted, len(outcome.request_ids), outcome.error) == (MAX_LISTED + 5, MAX_LISTED, "")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "told", "remedy"),
    [
        (NotFirable(), "cannot be fired by hand", "headrace invoke"),
        (HeadraceError("the bucket is gone", remedy="Make it."), "the bucket is gone", "Make it."),
        (ZeroDivisionError("oops"), "ZeroDivisionError: oops", "triggers show"),
    ],
)
def test_what_went_wrong_is_told_with_its_remedy(error: Exception, told: str, remedy: str) -> None:
    def fail() -> list[Receipt]:
        raise error

    async def main() -> None:
        rig = Rig(TriggerState.WATCHING)
        rig.hosts[0].answer = fail
        await rig.ask()
        await rig.round()
        await rig.round()
        outcome = rig.fire.outcome
        assert outcome is not None
        assert told in outcome.error
        assert remedy in outcome.remedy

    asyncio.run(main())


def test_a_process_that_stops_while_firing_says_so() -> None:
    class Slow(Host):
        async def fire(self, trigger: str) -> list[Receipt]:
            self.fired.append(trigger)
            await asyncio.Event().wait()
            return []

    async def main() -> None:
        rig = Rig(TriggerState.WATCHING)
        host = rig.hosts[0] = Slow()
        rig.firings = [Firing(host=host, fold=rig.topic.fold, appender=rig.topic, clock=rig.clock, replica="p#0")]
        await rig.ask()
        await rig.round()
        await rig.round()
        assert rig.fired == [1]
        async with asyncio.timeout(LIMIT_SEC):
            await rig.firings[0].stop()
        rig.topic.deliver()
        assert rig.fire.outcome is not None
        assert "stopped while it was firing" in rig.fire.outcome.error

    asyncio.run(main())
