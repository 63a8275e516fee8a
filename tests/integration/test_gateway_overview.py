"""What the API tells of the whole: lists, queues, executors, figures, found lines."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from processor.core.control import DrainRequest
from processor.core.inflight import Sign, SignKind
from processor.core.ledger import Accepted, Ended, Position, Started
from processor.core.request_id import request_id
from processor.core.run import Delivery, RunError, StatusCode
from processor.core.topics import CONTROL, INSTANCES, queue_topic
from processor.gateway import fleet
from tests.integration.gateway_rig import LIMIT_SEC, Rig, eventually, running
from tests.integration.test_gateway_invoke import problem

NOW_MS = time.time_ns() // 1_000_000


def run_of(number: int) -> str:
    return request_id("resize", "test", str(number))


def accepted(number: int, *, ago_ms: int = 1_000, trigger: str = "http", subject: str | None = None) -> Accepted:
    return Accepted(
        request_id=run_of(number), function="resize", version="v1", trigger=trigger, source="test", event_id="e",
        subject=subject, accepted_at_ms=NOW_MS - ago_ms, intake=Position(0, 0, number),
    )  # fmt: skip


def started(number: int) -> Started:
    return Started(
        request_id=run_of(number), function="resize", delivery=Delivery("queue.resize.1", 0, number), executor="e#1",
        started_at_ms=NOW_MS - 500,
    )  # fmt: skip


def failed(number: int, message: str) -> Ended:
    return Ended(
        request_id=run_of(number), function="resize", delivery=Delivery("queue.resize.1", 0, number),
        status_code=StatusCode.HANDLER_RAISED, error=RunError(type="ValueError", message=message), executor="e#1",
        started_at_ms=NOW_MS - 500, ended_at_ms=NOW_MS - 100, duration_ms=400.0,
    )  # fmt: skip


async def listed(rig: Rig, query: str) -> list[str]:
    reply = await rig.ask("GET", f"/v1/runs?{query}")
    assert reply.status == 200, reply
    return [each["request_id"] for each in reply.json["runs"]]


async def some_runs(rig: Rig) -> None:
    """1 waits, 2 runs, 3 and 4 have failed."""
    rig.write(accepted(1, ago_ms=3_600_000), accepted(2), started(2), accepted(3, trigger="kafka"), started(3))
    rig.write(failed(3, "100% wrong"), accepted(4, subject="in/Cat.png"), started(4), failed(4, "else"))
    await rig.until_recorded(run_of(1), "QUEUED")
    await rig.until_recorded(run_of(2), "RUNNING")
    for number in (3, 4):
        await rig.until_recorded(run_of(number), "FAILED")


def test_runs_are_found_by_every_filter_and_by_several(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            await some_runs(rig)
            assert set(await listed(rig, "code=430")) == {run_of(3), run_of(4)}
            assert await listed(rig, "trigger=kafka") == [run_of(3)]
            assert await listed(rig, "text=100%25") == [run_of(3)], "% is a letter like any other"
            assert await listed(rig, "text=cat.PNG&code=430") == [run_of(4)]
            assert await listed(rig, f"text={run_of(2)[:13]}") == [run_of(2)]
            assert await listed(rig, "until=30m") == [run_of(1)]
            assert len(await listed(rig, "since=30m")) == 3
            assert await listed(rig, "code=200") == []

    asyncio.run(scenario())


def test_pages_follow_each_other_without_a_gap_and_a_foreign_cursor_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            await some_runs(rig)
            found, query = list[str](), "limit=3"
            while True:
                page = (await rig.ask("GET", f"/v1/runs?{query}")).json
                found += [each["request_id"] for each in page["runs"]]
                if page["cursor"] is None:
                    break
                query = f"limit=3&cursor={page['cursor']}"
            assert sorted(found) == sorted(map(run_of, (1, 2, 3, 4)))
            for path in ("/v1/runs", "/v1/rejected", "/v1/logs"):
                reply = await rig.ask("GET", f"{path}?cursor=from-elsewhere")
                assert problem(reply) == (400, "bad-request", "cursor='from-elsewhere' is not a cursor of this list")
                assert [each["parameter"] for each in reply.json["errors"]] == ["cursor"]

    asyncio.run(scenario())


def test_the_overview_counts_what_happened_and_names_what_fails(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            await some_runs(rig)
            found = (await rig.ask("GET", "/v1/overview?window=2h")).json
            counted = {name: found[name] for name in ("queued", "running", "failed", "finished", "aborted")}
            assert counted == {"queued": 1, "running": 1, "failed": 2, "finished": 0, "aborted": 0}
            assert found["failing"] == [{"function": "resize", "ended": 2, "failed": 2}]
            assert found["oldest_queued"]["request_id"] == run_of(1)
            assert found["wait_p50_ms"] is not None
            assert found["accepted_per_sec"] > 0
            buckets = (await rig.ask("GET", "/v1/activity?since=2h&bucket=1h")).json["activity"]
            assert sum(sum(each["ended"].values()) for each in buckets) == 2
            wrong = await rig.ask("GET", "/v1/overview?window=forever")
            assert problem(wrong)[2] == "window='forever' is not a time span from 1m to 7d, like 90m or 24h"

    asyncio.run(scenario())


def test_queues_tell_their_lag_and_the_oldest_that_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            topic = queue_topic("queue.resize.1", 4)
            rig.transport.admin().create_topics([topic], LIMIT_SEC)
            rig._producer.append(topic.name, b"{}", key=run_of(1).encode(), partition=1)
            rig._producer.flush(LIMIT_SEC)
            await some_runs(rig)
            await rig.invoke()
            found = (await rig.ask("GET", "/v1/queues")).json
            (queue,) = found["queues"]
            assert (queue["function"], queue["queue"], queue["lag"]) == ("resize", "queue.resize.1", 1)
            assert [each["lag"] for each in queue["partitions"]] == [0, 1, 0, 0]
            assert queue["oldest_age_sec"] >= 3_600
            assert found["intake_lag"] == 1

    asyncio.run(scenario())


def beat(rig: Rig, sign: Sign, *, gone: bool = False) -> None:
    rig._producer.append(INSTANCES.name, None if gone else sign.encode(), key=sign.key)
    rig._producer.flush(LIMIT_SEC)


def heartbeat(process: str, role: str = "executor", **more: Any) -> Sign:
    return Sign(kind=SignKind.HEARTBEAT, process=process, role=role, at_ms=NOW_MS, **more)


def test_executors_and_components_are_those_that_beat(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            await some_runs(rig)

            async def seen() -> bool:
                # Again and again: the gateway listens from some moment on, and nobody tells which.
                beat(rig, heartbeat("e#1", room=False))
                beat(rig, heartbeat("f#1", serving=False))
                beat(rig, heartbeat("r#1", "recovery"))
                found = (await rig.ask("GET", "/v1/executors")).json["executors"]
                return [each["name"] for each in found] == ["e", "f"]

            await eventually(seen)
            first, second = (await rig.ask("GET", "/v1/executors")).json["executors"]
            assert (first["state"], first["room"], first["running"]) == ("serving", False, 1)
            assert (second["state"], second["running"]) == ("draining", 0)
            roles = {each["role"] for each in (await rig.ask("GET", "/v1/overview")).json["components"]}
            assert {"executor", "dispatcher"} <= roles
            beat(rig, heartbeat("f#1"), gone=True)

            async def left() -> bool:
                return len((await rig.ask("GET", "/v1/executors")).json["executors"]) == 1

            await eventually(left)

    asyncio.run(scenario())


def test_lines_are_found_by_their_text_in_all_runs(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            rig.write(accepted(1), started(1), accepted(2), started(2))
            rig.log(run_of(1), 1, 30)
            rig.log(run_of(2), 1, 5)

            async def found() -> bool:
                lines = (await rig.ask("GET", "/v1/logs?text=LINE%202&function=resize")).json["lines"]
                return len(lines) == 12  # 2, 20 to 29; 2

            await eventually(found)
            (line,) = (await rig.ask("GET", f"/v1/logs?request_id={run_of(1)}&text=line%2030")).json["lines"]
            assert (line["request_id"], line["seq"], line["text"]) == (run_of(1), 30, "line 30")
            assert problem(await rig.ask("GET", "/v1/logs?level=LOUD"))[:2] == (400, "bad-request")

    asyncio.run(scenario())


def test_an_executor_is_asked_to_drain_by_its_name_or_by_one_incarnation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet, "DECLARE_AFTER_SEC", 0.0)

    async def scenario() -> None:
        async with running(tmp_path) as rig:

            async def seen() -> bool:
                for name in ("e#1", "e#2", "f#1"):
                    beat(rig, heartbeat(name))
                return len((await rig.ask("GET", "/v1/executors")).json["executors"]) == 3

            await eventually(seen)
            both = await rig.ask("POST", "/v1/executors/e/drain")
            assert (both.status, both.json) == (202, {"executors": ["e#1", "e#2"], "draining": True})
            one = await rig.ask("POST", "/v1/executors/f%231/drain")
            assert (one.status, one.json["executors"]) == (202, ["f#1"])
            for name in ("x", "e%233", "r", "E"):
                assert problem(await rig.ask("POST", f"/v1/executors/{name}/drain"))[:2] == (404, "not-found")
            assert await asyncio.to_thread(asked_to_drain, rig) == ["e#1", "e#2", "f#1"]

    asyncio.run(scenario())


def test_a_gateway_that_has_heard_of_nobody_yet_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            reply = await rig.ask("POST", "/v1/executors/e/drain")
            assert problem(reply)[:2] == (404, "not-found")
            assert reply.json["remedy"].endswith("ask again in some seconds.")

    asyncio.run(scenario())


def asked_to_drain(rig: Rig) -> list[str]:
    reader = rig.transport.reader()
    try:
        partitions = reader.partitions(CONTROL.name, 5)
        reader.assign({each: bound.low for each, bound in reader.bounds(partitions, 5).items()})
        return [DrainRequest.decode(each.key or b"", each.value or b"").executor for each in reader.poll(100, 5.0)]
    finally:
        reader.close()
