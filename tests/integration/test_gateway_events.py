from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.transport.abstract import Appended, Outcome
from tests.integration.gateway_rig import Reply, Rig, eventually, function, running

PATH = "/v1/events"
BATCH = "application/cloudevents-batch+json"


def wish(name: str, **settings: Any) -> tuple[str, dict[str, Any]]:
    return name, {"cloudevents": settings}


async def deploy(rig: Rig, *wishes: tuple[str, dict[str, Any]], **more: Any) -> None:
    for name, entry in wishes:
        rig.deploy(function(name, events=(entry,), **more))
    for name, _ in wishes:
        await rig.until_deployed(name)


def document(event_id: str = "e1", **more: Any) -> dict[str, Any]:
    return {"specversion": "1.0", "id": event_id, "source": "/shop", "type": "com.example.paid", **more}


async def post(rig: Rig, body: bytes, content_type: str, **headers: str) -> Reply:
    named = [("content-type", content_type), *((name.replace("_", "-"), text) for name, text in headers.items())]
    return await rig.ask("POST", PATH, headers=named, body=body)


async def batch(rig: Rig, *documents: Any) -> Reply:
    return await post(rig, orjson.dumps(documents), BATCH)


def events(rig: Rig) -> list[Event]:
    found = [decode_structured(each.value or b"") for each in rig.intake()]
    return [each for each in found if isinstance(each, Event)]


def name_of(reply: Reply) -> str:
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["status"] == reply.status
    return str(reply.json["type"].rpartition(":")[2])


def run_of(name: str, event_id: str = "e1") -> str:
    return request_id(name, "/shop", event_id)


def test_an_event_goes_to_the_function_it_names_in_both_modes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            ce = {"ce_specversion": "1.0", "ce_id": "e1", "ce_source": "/shop", "ce_type": "t"}
            binary = await post(rig, b'{"a":1}', "application/json", **ce, ce_function="resize")
            assert (binary.status, binary.json) == (202, {"request_ids": [run_of("resize")]})
            assert binary.headers["location"] == f"/v1/runs/{run_of('resize')}"
            assert binary.headers["x-request-id"] == run_of("resize")
            body = orjson.dumps(document("e2", function="resize", data={"a": 1}))
            structured = await post(rig, body, "application/cloudevents+json; charset=utf-8")
            assert structured.json == {"request_ids": [run_of("resize", "e2")]}
            stamps = {(each.extensions["headracetrigger"], each.extensions["headraceformat"]) for each in events(rig)}
            assert stamps == {("cloudevents", "cloudevents")}
            assert {each.data for each in events(rig)} == {b'{"a":1}'}
            run = (await rig.ask("GET", f"/v1/runs/{run_of('resize')}")).json
            assert (run["status"], run["trigger"], run["source"]) == ("QUEUED", "cloudevents", "/shop")

    asyncio.run(scenario())


def test_an_event_makes_one_run_of_each_function_that_wants_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await deploy(rig, wish("all"), wish("paid", type="*.paid", event_format="data"), wish("no", source="/x"))
            reply = await post(rig, orjson.dumps(document()), "application/cloudevents+json")
            assert (reply.status, set(reply.json["request_ids"])) == (202, {run_of("all"), run_of("paid")})
            formats = {each.extensions["function"]: each.extensions["headraceformat"] for each in events(rig)}
            assert formats == {"all": "cloudevents", "paid": "data"}

    asyncio.run(scenario())


def test_a_new_trigger_counts_without_a_restart(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            body = orjson.dumps(document())
            refused = await post(rig, body, "application/cloudevents+json")
            assert (refused.status, name_of(refused)) == (404, "unrouted")
            assert "com.example.paid" in refused.json["detail"]
            assert refused.json["remedy"]
            await deploy(rig, wish("late"))
            assert (await post(rig, body, "application/cloudevents+json")).status == 202

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content_type", "body", "status", "said"),
    [
        ("application/json", b"{}", 400, "the request is no CloudEvent"),
        ("application/cloudevents+json", b"{", 400, "the event is not valid JSON"),
        ("application/cloudevents+json", orjson.dumps({"specversion": "1.0", "id": "1"}), 400, "'source' is missing"),
        ("application/cloudevents+avro", b"", 400, "is not understood"),
        ("application/cloudevents+json", orjson.dumps(document(function="nobody")), 404, "named 'nobody'"),
        (BATCH, b"{}", 400, "must be a JSON array"),
        (BATCH, b"[" * 100_000, 400, "not valid JSON"),
        (BATCH, b"[" + b"{}," * 1_000 + b"{}]", 400, "has 1,001 events: send at most 1,000"),
        ("application/cloudevents+json", b" " * 1_500_000, 413, "limit"),
        (BATCH, b" " * 5_000_000, 413, "limit"),
    ],
)
def test_what_is_no_event_is_told_why(tmp_path: Path, content_type: str, body: bytes, status: int, said: str) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            reply = await post(rig, body, content_type)
            assert reply.status == status
            assert said in reply.json["detail"]
            assert rig.intake() == []

    asyncio.run(scenario())


def test_a_batch_answers_for_each_event_in_its_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await deploy(rig, wish("all"))
            reply = await batch(rig, document("1"), document("2", function="resize"), document("3", data_base64="AP8="))
            assert reply.status == 202
            assert reply.json["results"] == [
                {"request_ids": [run_of("all", "1")]},
                {"request_ids": [run_of("resize", "2")]},
                {"request_ids": [run_of("all", "3")]},
            ]
            assert len(events(rig)) == 3
            assert (await batch(rig)).json == {"results": []}

    asyncio.run(scenario())


def test_a_batch_with_a_bad_event_is_refused_whole_and_every_bad_one_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function("closed", enabled=False))
            await rig.until_deployed("closed")
            large = document("4", function="resize", data="x" * (MAX_EVENT_BYTES + 1))
            reply = await batch(
                rig,
                document("0", function="resize"),
                {"specversion": "1.0", "id": "1", "source": "/shop"},
                document("2"),
                document("3", function="closed"),
                large,
                7,
            )
            assert (reply.status, name_of(reply)) == (400, "bad-request")
            found = {each["pointer"]: each["detail"] for each in reply.json["errors"]}
            assert found.keys() == {"/1", "/2", "/3", "/4", "/5"}
            assert "'type' is missing" in found["/1"]
            assert "no function takes events of type" in found["/2"]
            assert "disabled" in found["/3"]
            assert "1,000,003 bytes" in found["/4"]
            assert "event 1: attribute 'type' is missing" in reply.json["detail"]
            assert rig.intake() == []

    asyncio.run(scenario())


def test_a_batch_over_the_rate_gets_through_when_it_is_sent_again_and_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await deploy(rig, wish("slow"), rate_per_sec=5)
            documents = [document(str(number)) for number in range(12)]
            first = await batch(rig, *documents)
            assert (first.status, name_of(first), first.headers["retry-after"]) == (429, "partly-accepted", "1")
            accepted = [each for each in first.json["results"] if each["request_ids"]]
            assert 5 <= len(accepted) < 12
            assert len(first.json["errors"]) == 12 - len(accepted)
            assert first.json["errors"][0]["function"] == "slow"

            async def taken() -> bool:
                return (await batch(rig, *documents)).status == 202

            await eventually(taken)
            assert sorted(each.id for each in events(rig)) == sorted(str(number) for number in range(12))

    asyncio.run(scenario())


def test_events_of_uncertain_fate_are_named_and_a_repeat_makes_no_second_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            await deploy(rig, wish("all"))
            append = rig.gateway._appender.append

            async def uncertain(topic: str, value: bytes | None, **more: Any) -> Appended:
                if b'"id":"2"' in (value or b""):
                    return Appended(outcome=Outcome.UNKNOWN, reason="the broker did not answer")
                return await append(topic, value, **more)

            documents = [document(str(number)) for number in range(4)]
            with monkeypatch.context() as patch:
                patch.setattr(rig.gateway._appender, "append", uncertain)
                refused = await batch(rig, *documents)
                alone = await post(rig, orjson.dumps(document("2")), "application/cloudevents+json")
            assert (refused.status, name_of(refused), refused.headers["retry-after"]) == (503, "partly-accepted", "1")
            assert [each["pointer"] for each in refused.json["errors"]] == ["/2"]
            assert [len(each["request_ids"]) for each in refused.json["results"]] == [1, 1, 0, 1]
            assert (alone.status, name_of(alone), alone.json["request_id"]) == (503, "not-accepted", run_of("all", "2"))
            assert (await batch(rig, *documents)).status == 202
            assert sorted(each.id for each in events(rig)) == ["0", "1", "2", "3"]

    asyncio.run(scenario())


def test_other_methods_and_compressed_bodies_are_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            assert (await rig.ask("GET", PATH)).status == 405
            packed = await post(rig, b"x", BATCH, content_encoding="gzip")
            assert (packed.status, name_of(packed)) == (415, "unsupported-media-type")

    asyncio.run(scenario())
