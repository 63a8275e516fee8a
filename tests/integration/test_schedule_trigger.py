"""From a nominal time to the verdict of its run: the embedded log, the dispatcher, the executor, real handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.request_id import request_id
from processor.core.topics import INTAKE
from processor.dispatcher.accept import Acceptor
from processor.dispatcher.bulk import BulkAppender
from processor.transport.embedded import EmbeddedTransport
from tests.integration.pipeline import Pipeline, pipeline
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.schedule import ScheduleTrigger, ScheduleTriggers

LIMIT_SEC = 30.0
EVERY_SECOND = "* * * * * * *"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Pipeline]:
    with EmbeddedTransport(tmp_path / "log") as transport, pipeline(transport, tmp_path) as made:
        yield made


@asynccontextmanager
async def schedules(site: Pipeline) -> AsyncIterator[ScheduleTriggers]:
    appender = site.transport.appender()
    await appender.start()
    acceptor = Acceptor(
        functions=site.registry.view.get,
        appender=appender,
        clock=site.clock,
        intake_partitions=INTAKE.partitions,
        bulk=BulkAppender(site.transport.producer),
    )
    shared = ScheduleTriggers(
        intake=Intake(acceptor, appender), transport=site.transport, appender=appender, clock=site.clock
    )
    shared.start()
    try:
        yield shared
    finally:
        await shared.stop()
        await appender.stop()


async def fire(site: Pipeline, function: str, count: int, **settings: Any) -> ScheduleTrigger:
    """Runs a schedule until it has fired so often."""
    async with schedules(site) as shared:
        binding = Binding(function=function, creation=1, kind="schedule", settings=settings)
        trigger = shared.make(binding)
        assert isinstance(trigger, ScheduleTrigger)
        task = asyncio.create_task(trigger.run())
        try:
            async with asyncio.timeout(LIMIT_SEC):
                while True:
                    if trigger.health.accepted >= count:
                        return trigger
                    await asyncio.sleep(0.01)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def events_of(site: Pipeline) -> list[Event]:
    found = [decode_structured(each.value or b"") for each in site.read(INTAKE.name)]
    return sorted((each for each in found if isinstance(each, Event)), key=lambda each: each.time or "")


def results(site: Pipeline, function: str) -> dict[str, Any]:
    """Of the function's runs, by their nominal times."""
    events = [each for each in events_of(site) if each.function == function]
    runs = {request_id(function, each.source, each.id): each.time or "" for each in events}
    verdicts = site.wait_for_verdicts(list(runs))
    return {time: orjson.loads(verdicts[run].result or b"null") for run, time in runs.items()}


@pytest.mark.parametrize(
    ("handler", "settings", "expected"),
    [
        (
            "scf_timer:main_handler",
            {"event_format": "scf", "argument": {"days": 7}},
            {"trigger": "nightly", "message": {"days": 7}},
        ),
        (
            "scf_timer:lambda_handler",
            {"event_format": "aws", "argument": {"days": 7}},
            {"rule": "nightly", "account": 12, "detail": {"days": 7}},
        ),
    ],
)
def test_handlers_written_for_other_platforms_run_unmodified(
    site: Pipeline, handler: str, settings: dict[str, Any], expected: dict[str, Any]
) -> None:
    site.deploy("timed", handler)
    site.dispatcher()
    site.executor()
    asyncio.run(fire(site, "timed", 2, cron=EVERY_SECOND, name="nightly", **settings))
    found = results(site, "timed")
    assert len(found) >= 2
    assert all(result == {**expected, "second": int(time[17:19])} for time, result in found.items())


def test_the_argument_alone_and_the_whole_event_arrive_as_they_are(site: Pipeline) -> None:
    site.deploy("bare", "workloads:echo")
    site.deploy("whole", "workloads:echo")
    site.dispatcher()
    site.executor()
    asyncio.run(fire(site, "bare", 1, cron=EVERY_SECOND, event_format="data", argument=[1, {"a": None}]))
    asyncio.run(fire(site, "whole", 1, cron=EVERY_SECOND, name="nightly", argument={"a": 1}))
    assert all(result == [1, {"a": None}] for result in results(site, "bare").values())
    for time, result in results(site, "whole").items():
        assert (result["source"], result["type"], result["time"]) == ("cron:whole.1/nightly", "schedule.due", time)
        assert result["data"] == {"a": 1}


def test_a_process_that_comes_after_another_one_goes_on_where_that_one_stopped(site: Pipeline) -> None:
    site.deploy("f", "workloads:say")
    for _ in range(2):
        asyncio.run(fire(site, "f", 2, cron=EVERY_SECOND, missed="all"))
    times = [each.time for each in events_of(site)]
    assert len(times) >= 4
    assert len(set(times)) == len(times), "a time was fired twice"
    seconds = [int((each or "")[17:19]) for each in times]
    assert all((later - earlier) % 60 == 1 for earlier, later in pairwise(seconds))
