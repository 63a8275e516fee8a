"""Dead letters through the gateway, on both transports."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

import orjson

from processor.core.codec import decode_kafka, decode_structured
from processor.core.event import Event
from processor.core.rejected import Rejection
from processor.core.request_id import request_id
from processor.core.topics import REJECTED
from processor.transport.abstract import Record, Transport
from processor.transport.embedded import EmbeddedTransport
from processor.transport.kafka import KafkaTransport
from tests.integration.gateway_rig import Reply, Rig, eventually, function, running

BINARY = (("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/shop"), ("ce_type", b"order"))
JSON = [("content-type", "application/json")]


def reject(rig: Rig, *rejections: Rejection) -> None:
    producer = rig.transport.producer()
    for each in rejections:
        producer.append(REJECTED.name, each.value(), headers=each.all_headers())
    producer.flush(30.0)
    producer.close()


def foreign(number: int = 7, *, function: str = "", raw: bytes = b'{"n":1}') -> Rejection:
    headers = [*BINARY, ("ce_number", b"%d" % number)]
    named = [("ce_function", function.encode())] if function else []
    return Rejection(raw=raw, reason="no function is named", origin=f"intake/0/{number}", headers=[*headers, *named])


def of_trigger(raw: bytes, *, function: str = "resize") -> Rejection:
    return Rejection(raw=raw, reason="not JSON", origin="files/1/9", trigger="resize-kafka-1", function=function)


async def ready(rig: Rig) -> None:
    async def answers() -> bool:
        return (await rig.ask("GET", "/v1/rejected")).status == 200

    await eventually(answers)


async def listed(rig: Rig, query: str = "") -> list[dict[str, Any]]:
    reply = await rig.ask("GET", f"/v1/rejected{query}")
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["rejected"]
    return found


async def redrive(rig: Rig, place: str, **wanted: str) -> Reply:
    body = orjson.dumps(wanted) if wanted else b""
    return await rig.ask("POST", f"/v1/rejected/{place}/redrive", headers=JSON, body=body)


def event_of(record: Record) -> Event:
    event = decode_kafka(record.headers, record.value)
    assert isinstance(event, Event)
    return event


async def scenario(tmp_path: Path, transport: Transport) -> None:
    async with running(tmp_path, recorder=False, on=transport) as rig:
        await ready(rig)
        reject(rig, foreign(function="resize"), foreign(8), of_trigger(b"\xff\x00"), of_trigger(b"{}", function=""))
        found = await listed(rig)
        assert [each["id"] for each in found] == ["0-3", "0-2", "0-1", "0-0"]
        assert {each["state"] for each in found} == {"open"}
        assert (found[1]["trigger"], found[1]["function"], found[1]["reason"]) == (
            "resize-kafka-1",
            "resize",
            "not JSON",
        )
        await _with_its_identity(rig)
        await _with_a_function_named(rig)
        await _raw_bytes_of_a_trigger(rig)
        await _discarded(rig)
        assert await listed(rig) == []
        assert [each["state"] for each in await listed(rig, "?state=all")] == ["discarded", *["redriven"] * 3]


async def _with_its_identity(rig: Rig) -> None:
    first = await redrive(rig, "0-0")
    again = await redrive(rig, "0-0")
    run = request_id("resize", "/shop", "7")
    assert (first.status, first.json["request_id"], again.body) == (202, run, first.body)
    (record,) = rig.intake()
    assert record.value == b'{"n":1}'
    assert dict(record.headers) == {**dict(BINARY), "ce_number": b"7", "ce_function": b"resize"}
    other = await redrive(rig, "0-0", function="other")
    assert (other.status, other.json["type"]) == (409, "urn:headrace:problem:redriven")


async def _with_a_function_named(rig: Rig) -> None:
    refused = await redrive(rig, "0-1")
    assert (refused.status, refused.json["type"]) == (422, "urn:headrace:problem:no-function")
    assert "--function" in refused.json["remedy"]
    unknown = await redrive(rig, "0-1", function="nobody")
    assert (unknown.status, unknown.json["type"]) == (404, "urn:headrace:problem:unknown-function")
    assert len(rig.intake()) == 1
    taken = await redrive(rig, "0-1", function="resize")
    assert taken.status == 202
    assert {event_of(each).function for each in rig.intake()} == {"resize"}


async def _raw_bytes_of_a_trigger(rig: Rig) -> None:
    taken = await redrive(rig, "0-2")
    assert taken.status == 202
    run = taken.json["request_id"]
    (record,) = [each for each in rig.intake() if each.key == run.encode()]
    event = decode_structured(record.value or b"")
    assert isinstance(event, Event)
    assert (event.type, event.data, event.function) == ("headrace.rejected.redriven", b"\xff\x00", "resize")
    assert event.extensions["headracetrigger"] == "redrive"
    shown = (await rig.ask("GET", "/v1/rejected/0-2")).json
    assert (shown["state"], shown["request_id"], shown["data_base64"]) == (
        "redriven",
        run,
        base64.b64encode(b"\xff\x00").decode(),
    )


async def _discarded(rig: Rig) -> None:
    for _ in range(2):
        done = await rig.ask("POST", "/v1/rejected/0-3/discard")
        assert (done.status, done.json) == (200, {"id": "0-3", "state": "discarded"})
    late = await rig.ask("POST", "/v1/rejected/0-2/discard")
    assert (late.status, late.json["type"]) == (409, "urn:headrace:problem:redriven")


def test_rejected_records_are_listed_redriven_and_discarded(tmp_path: Path) -> None:
    asyncio.run(scenario(tmp_path, EmbeddedTransport(tmp_path / "log")))


def test_the_same_on_kafka(tmp_path: Path, kafka_bootstrap: str, topic_prefix: str) -> None:
    asyncio.run(scenario(tmp_path, KafkaTransport(bootstrap_servers=kafka_bootstrap, topic_prefix=topic_prefix)))


def test_a_long_list_comes_in_pages_without_a_gap_or_a_repeat(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await ready(rig)
            reject(rig, *[foreign(number) for number in range(150)], *[of_trigger(b"x")] * 3)
            ids, query = list[str](), "?limit=40"
            while True:
                page = (await rig.ask("GET", f"/v1/rejected{query}")).json
                ids += [each["id"] for each in page["rejected"]]
                if page["cursor"] is None:
                    break
                query = f"?limit=40&cursor={page['cursor']}"
            assert ids == [f"0-{number}" for number in reversed(range(153))]
            assert len(await listed(rig, "?trigger=resize-kafka-1")) == 3
            assert len(await listed(rig, "?function=resize&limit=2")) == 2

    asyncio.run(main())


def test_marks_outlive_the_gateway(tmp_path: Path) -> None:
    async def main() -> None:
        for attempt in range(2):
            async with running(tmp_path, recorder=False) as rig:
                await ready(rig)
                if attempt == 0:
                    reject(rig, foreign(function="resize"))
                    await rig.ask("POST", "/v1/rejected/0-0/discard")
                assert await listed(rig) == []

    asyncio.run(main())


def test_what_was_discarded_can_still_be_redriven(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await ready(rig)
            reject(rig, foreign(function="resize"))
            await rig.ask("POST", "/v1/rejected/0-0/discard")
            assert (await redrive(rig, "0-0")).status == 202
            assert (await listed(rig, "?state=all"))[0]["state"] == "redriven"

    asyncio.run(main())


def test_what_cannot_be_done_is_told_and_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await ready(rig)
            rig.deploy(function("off", enabled=False))
            await rig.until_deployed("off")
            broken = Rejection(raw=b"\x00", reason="no CloudEvent", origin="intake/0/0")
            reject(rig, broken, of_trigger(b"x" * 2_000_000), foreign(function="off"))
            assert (await redrive(rig, "0-0")).json["type"] == "urn:headrace:problem:no-event"
            assert (await redrive(rig, "0-1")).json["type"] == "urn:headrace:problem:cut"
            assert (await redrive(rig, "0-2")).json["type"] == "urn:headrace:problem:function-disabled"
            for place in ("0-3", "1-0", "x", "0-99999999999"):
                assert (await rig.ask("GET", f"/v1/rejected/{place}")).status == 404
                assert (await redrive(rig, place)).status == 404
            for body in (b"[]", b"{", b'{"colour":1}', b'{"function":1}'):
                assert (await rig.ask("POST", "/v1/rejected/0-2/redrive", headers=JSON, body=body)).status == 400
            for query in ("?limit=0", "?cursor=x", "?state=odd", "?colour=red"):
                assert (await rig.ask("GET", f"/v1/rejected{query}")).status == 400
            assert (await rig.ask("GET", "/v1/rejected/0-2/redrive")).status == 405
            assert rig.intake() == []
            assert len(await listed(rig)) == 3

    asyncio.run(main())
