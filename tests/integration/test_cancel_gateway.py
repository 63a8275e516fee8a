"""`POST /v1/runs/{id}/cancel`, with a ledger that the test writes itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from processor.core.control import Cancel
from processor.core.request_id import partition_of, request_id
from processor.core.run import StatusCode
from processor.core.topics import CONTROL, INTAKE
from processor.recorder.store import HistoryUnavailable
from processor.transport.abstract import Appended, Outcome, Record
from tests.integration.gateway_rig import LIMIT_SEC, Reply, Rig, accepted, ended, running, started

RUN = request_id("resize", "test", "1")
PATH = f"/v1/runs/{RUN}/cancel"
CANCELLED = StatusCode.CANCELLED


def requests(rig: Rig) -> list[Cancel]:
    reader = rig.transport.reader()
    try:
        partitions = reader.partitions(CONTROL.name, 5)
        bounds = reader.bounds(partitions, 5)
        reader.assign({each: bounds[each].low for each in partitions})
        found: list[Record] = []
        while len(found) < sum(each.high - each.low for each in bounds.values()):
            found += reader.poll(100, 1.0)
        return [Cancel.decode(each.key, each.value or b"") for each in found]
    finally:
        reader.close()


async def cancel(rig: Rig, path: str = PATH, body: bytes = b"") -> Reply:
    return await rig.ask("POST", path, body=body)


def test_a_run_that_goes_on_is_being_cancelled_once_the_request_is_durable(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN))
            await rig.until_recorded(RUN, "RUNNING")
            for grace, body in ((0.0, b""), (2.5, b'{"grace":2.5}'), (0.0, b"{}")):
                reply = await cancel(rig, body=body)
                assert (reply.status, reply.json) == (202, {"request_id": RUN, "cancelling": True})
                assert reply.headers["x-request-id"] == RUN
                assert reply.headers["location"] == f"/v1/runs/{RUN}"
                assert requests(rig)[-1] == Cancel(request_id=RUN, grace_sec=grace, by="api 127.0.0.1")

    asyncio.run(scenario())


def test_a_run_that_only_this_gateway_knows_of_can_be_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            assert (await cancel(rig, f"/v1/runs/{run}/cancel")).status == 202
            assert [each.request_id for each in requests(rig)] == [run]

    asyncio.run(scenario())


def test_a_run_that_another_gateway_accepted_can_be_cancelled_before_it_is_dispatched(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            producer = rig.transport.producer()
            producer.append(INTAKE.name, b"{}", key=RUN.encode(), partition=partition_of(RUN, INTAKE.partitions))
            producer.flush(LIMIT_SEC)
            producer.close()
            assert (await cancel(rig)).status == 202
            assert [each.request_id for each in requests(rig)] == [RUN]

    asyncio.run(scenario())


@pytest.mark.parametrize("code", [StatusCode.OK, StatusCode.HANDLER_RAISED, StatusCode.INSTANCE_LOST])
def test_too_late_is_told_with_the_real_end(tmp_path: Path, code: StatusCode) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN), ended(RUN, code=code))
            await rig.until_recorded(RUN, code.status.value)
            reply = await cancel(rig)
            assert (reply.status, reply.headers["content-type"]) == (409, "application/problem+json")
            assert reply.json["type"] == "urn:headrace:problem:too-late"
            assert reply.json["request_id"] == RUN
            assert (reply.json["run"]["status"], reply.json["run"]["status_code"]) == (code.status.value, code)
            assert requests(rig) == []

    asyncio.run(scenario())


@pytest.mark.parametrize(("code", "status"), [(CANCELLED, 200), (StatusCode.OK, 409)])
def test_who_waits_is_told_the_verdict_whatever_it_is(tmp_path: Path, code: StatusCode, status: int) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            run = (await rig.invoke()).json["request_id"]
            waiting = asyncio.create_task(cancel(rig, f"/v1/runs/{run}/cancel?wait"))
            await rig.until_followers(1)
            assert await rig.gateway._hub.ready(LIMIT_SEC)
            rig.write(ended(run, code=code))
            reply = await waiting
            assert reply.status == status
            assert reply.json["run"]["status_code"] == code

    asyncio.run(scenario())


def test_who_waits_for_too_short_a_time_is_told_that_it_is_being_cancelled(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN))
            await rig.until_recorded(RUN, "QUEUED")
            assert (await cancel(rig, f"{PATH}?wait=0.1")).status == 202

    asyncio.run(scenario())


def test_a_cancelled_run_is_cancelled_however_often_it_is_asked(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN), started(RUN), ended(RUN, code=CANCELLED), ended(RUN))
            await rig.until_recorded(RUN, "ABORTED")
            replies = [await cancel(rig), await cancel(rig), await cancel(rig, f"{PATH}?wait=5")]
            assert [each.status for each in replies] == [200] * 3
            assert replies[0].json == replies[1].json == replies[2].json
            assert replies[0].json["cancelled"] is True
            assert replies[0].json["run"]["status_code"] == CANCELLED, "the first verdict wins"
            assert requests(rig) == []

    asyncio.run(scenario())


@pytest.mark.parametrize("run", [RUN, "no-such-thing"])
def test_an_unknown_run_cannot_be_cancelled(tmp_path: Path, run: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            reply = await cancel(rig, f"/v1/runs/{run}/cancel")
            assert (reply.status, reply.json["type"]) == (404, "urn:headrace:problem:not-found")
            assert requests(rig) == []

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", b"5"),
        ("", b"{"),
        ("", b"\xff"),
        ("", b'{"grace":"5"}'),
        ("", b'{"grace":true}'),
        ("", b'{"grace":null}'),
        ("", b'{"grace":-1}'),
        ("", b'{"grace":3601}'),
        ("", b'{"grace":1e400}'),
        ("", b'{"force":true}'),
        ("?wait=-1", b""),
        ("?wait=61", b""),
        ("?wait=nan", b""),
        ("?grace=5", b""),
    ],
)
def test_what_is_not_understood_cancels_nothing(tmp_path: Path, query: str, body: bytes) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN))
            await rig.until_recorded(RUN, "QUEUED")
            reply = await cancel(rig, PATH + query, body)
            assert (reply.status, reply.json["type"]) == (400, "urn:headrace:problem:bad-request")
            assert requests(rig) == []

    asyncio.run(scenario())


def test_only_post_cancels(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            for method in ("GET", "PUT", "DELETE"):
                reply = await rig.ask(method, PATH)
                assert (reply.status, reply.headers["allow"]) == (405, "post, options")
            assert requests(rig) == []

    asyncio.run(scenario())


def test_a_run_is_cancelled_although_the_history_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: str) -> None:
        raise HistoryUnavailable

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            monkeypatch.setattr(rig.store, "get_run", away)
            assert (await cancel(rig)).status == 202
            assert (await cancel(rig, f"{PATH}?wait=1")).status == 202
            assert [each.request_id for each in requests(rig)] == [RUN] * 2

    asyncio.run(scenario())


@pytest.mark.parametrize("outcome", [Outcome.NO, Outcome.UNKNOWN])
def test_a_request_that_may_not_be_durable_is_to_be_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    async def refuse(*_: object, **__: object) -> Appended:
        return Appended(outcome=outcome, reason="away")

    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(RUN))
            await rig.until_recorded(RUN, "QUEUED")
            monkeypatch.setattr(rig.gateway._appender, "append", refuse)
            reply = await cancel(rig)
            assert (reply.status, reply.json["type"]) == (503, "urn:headrace:problem:transport-unavailable")
            assert reply.headers["retry-after"] == "1"

    asyncio.run(scenario())
