from __future__ import annotations

import asyncio
import contextlib

import pytest

from processor.core.errors import HeadraceError
from triggers.http import deliveries
from triggers.http.deliveries import Deliveries, NotYet, TooManyUnderWay


class Work:
    """Something that takes until it is told to end."""

    def __init__(self) -> None:
        self.begun = 0
        self.gate = asyncio.Event()
        self.error: HeadraceError | None = None

    async def __call__(self) -> str:
        self.begun += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return "done"


def test_a_message_that_takes_long_goes_on_and_its_repeat_finds_the_result() -> None:
    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=0), Work()
        for _ in range(3):
            with pytest.raises(NotYet):
                await found.deliver(b"m", work)
        work.gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await found.deliver(b"m", work) == "done"
        assert work.begun == 1

    asyncio.run(scenario())


def test_a_repeat_while_the_first_caller_waits_shares_its_work() -> None:
    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=30), Work()
        callers = [asyncio.create_task(found.deliver(b"m", work)) for _ in range(3)]
        other = asyncio.create_task(found.deliver(b"other", work))
        await asyncio.sleep(0)
        work.gate.set()
        assert await asyncio.gather(*callers, other) == ["done"] * 4
        assert work.begun == 2

    asyncio.run(scenario())


def test_what_was_answered_is_made_durable_anew_when_it_comes_again() -> None:
    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=30), Work()
        work.gate.set()
        for _ in range(2):
            assert await found.deliver(b"m", work) == "done"
        assert work.begun == 2

    asyncio.run(scenario())


def test_a_failure_is_told_and_the_repeat_begins_anew() -> None:
    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=30), Work()
        work.gate.set()
        work.error = HeadraceError("away")
        with pytest.raises(HeadraceError, match="away"):
            await found.deliver(b"m", work)
        work.error = None
        assert await found.deliver(b"m", work) == "done"

    asyncio.run(scenario())


def test_who_waits_when_everything_is_given_up_is_told_to_come_again() -> None:
    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=30), Work()
        caller = asyncio.create_task(found.deliver(b"m", work))
        await asyncio.sleep(0)
        await found.stop()
        with pytest.raises(NotYet):
            await caller

    asyncio.run(scenario())


def test_no_more_wait_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MAX_UNDER_WAY", 2)

    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=0), Work()
        for name in (b"a", b"b"):
            with pytest.raises(NotYet):
                await found.deliver(name, work)
        with pytest.raises(TooManyUnderWay):
            await found.deliver(b"c", work)
        with pytest.raises(NotYet):
            await found.deliver(b"a", work)
        await found.stop()
        assert work.begun == 2
        with pytest.raises(NotYet):
            await found.deliver(b"c", work)
        await found.stop()

    asyncio.run(scenario())


def test_results_that_nobody_asks_for_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliveries, "MAX_ENDED", 1)

    async def scenario() -> None:
        found, work = Deliveries[str](wait_sec=0), Work()
        for name in (b"a", b"b"):
            with pytest.raises(NotYet):
                await found.deliver(name, work)
        work.gate.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert await found.deliver(b"b", work) == "done"
        assert work.begun == 2
        with contextlib.suppress(NotYet):
            await found.deliver(b"a", work)
        await found.stop()
        assert work.begun == 3

    asyncio.run(scenario())
