from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest

from processor.core.codec import decode_structured
from processor.core.event import Event
from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.http import message
from processor.transport.abstract import Appended, Headers, Outcome
from tests.integration.gateway_rig import Reply, Rig, function, running

PATH = "/v1/functions/resize/invocations"


def problem(reply: Reply) -> tuple[int, str, str]:
    """(status, name, detail); checks what every problem has."""
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json
    assert document["status"] == reply.status
    assert document["title"]
    assert document["instance"].startswith("/")
    return reply.status, document["type"].removeprefix("urn:headrace:problem:"), document["detail"]


def only_event(rig: Rig) -> Event:
    (record,) = rig.intake()
    event = decode_structured(record.value or b"")
    assert isinstance(event, Event)
    return event


def test_an_event_is_on_the_intake_log_when_202_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path) as rig:
            reply = await rig.invoke(b'{"a": 1}', content_type="application/json")
            assert reply.status == 202
            run = reply.json["request_id"]
            assert reply.json == {"request_id": run}
            assert reply.headers["location"] == f"/v1/runs/{run}"
            assert reply.headers["x-request-id"] == run
            (record,) = rig.intake()
            assert record.key == run.encode()
            event = only_event(rig)
            assert (event.source, event.type) == ("headrace:http/resize", "headrace.http.invocation")
            assert (event.data, event.datacontenttype) == (b'{"a": 1}', "application/json")
            assert event.extensions["headracetrigger"] == "http"
            assert event.extensions["headraceformat"] == "data"
            assert request_id("resize", event.source, event.id) == run

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("content_type", "body", "data", "kind"),
    [
        ("", b"", None, None),
        ("text/plain", b"{", b"{", "text/plain"),
        ("application/octet-stream", b"\x00\xff", b"\x00\xff", "application/octet-stream"),
        ("application/x-www-form-urlencoded", b'{"a":1}', b'{"a":1}', "application/json"),
    ],
)
def test_the_body_is_the_data_as_it_came(
    tmp_path: Path, content_type: str, body: bytes, data: bytes | None, kind: str | None
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            headers = {"content_type": content_type} if content_type else {}
            assert (await rig.invoke(body, **headers)).status == 202
            event = only_event(rig)
            assert (event.data, event.datacontenttype) == (data, kind)

    asyncio.run(scenario())


def test_cloud_events_keep_their_own_identity(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            binary = await rig.invoke(b"1", ce_specversion="1.0", ce_id="e1", ce_source="shop", ce_type="order")
            document = {"specversion": "1.0", "id": "e1", "source": "shop", "type": "order", "data": {"n": 1}}
            structured = await rig.invoke(orjson.dumps(document), content_type="application/cloudevents+json")
            expected = request_id("resize", "shop", "e1")
            assert (binary.status, binary.json) == (202, {"request_id": expected})
            assert (structured.status, structured.json) == (202, {"request_id": expected})
            formats = {(decode_structured(each.value or b"")).extensions["headraceformat"] for each in rig.intake()}  # type: ignore[union-attr]  # a Malformed fails the test
            assert formats == {"cloudevents"}

    asyncio.run(scenario())


def test_one_key_gives_one_run_and_is_appended_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            first = await rig.invoke(b'{"a":1}', idempotency_key='"order-1"')
            again = await rig.invoke(b'{"a":1}', idempotency_key="order-1")
            other = await rig.invoke(b'{"a":2}', idempotency_key="order-1")
            assert first.status == again.status == 202
            assert first.body == again.body
            assert first.json["request_id"] == request_id("resize", "headrace:http/resize", "order-1")
            assert len(rig.intake()) == 1
            assert problem(other) == (
                422,
                "idempotency-key-reused",
                "the Idempotency-Key 'order-1' was used with another body before",
            )

    asyncio.run(scenario())


def test_events_without_a_key_are_different_events(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            replies = [await rig.invoke() for _ in range(3)]
            assert len({each.json["request_id"] for each in replies}) == 3

    asyncio.run(scenario())


def test_what_cannot_be_accepted_is_told_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function("closed", enabled=False))
            await rig.until_deployed("closed")
            unknown = await rig.ask("POST", "/v1/functions/nobody%2Fhere/invocations")
            assert problem(unknown) == (404, "unknown-function", "no function is named 'nobody/here'")
            closed = await rig.ask("POST", "/v1/functions/closed/invocations")
            assert problem(closed) == (
                409,
                "function-disabled",
                "function 'closed' is disabled and takes no new events",
            )
            assert problem(await rig.invoke(b"{")) == (
                400,
                "bad-request",
                "the body is not JSON: unexpected end of data at byte 1",
            )
            assert problem(await rig.invoke(b"1", idempotency_key='"')) == (
                400,
                "bad-request",
                "the Idempotency-Key is neither a quoted string nor printable ASCII",
            )
            assert problem(await rig.invoke(b"[]", content_type="application/cloudevents-batch+json")) == (
                415,
                "unsupported-media-type",
                "this address does not take a batch of CloudEvents",
            )
            assert problem(await rig.invoke(b"1", content_encoding="gzip")) == (
                415,
                "unsupported-media-type",
                "this address does not take a compressed body",
            )
            incomplete = problem(await rig.invoke(b"1", ce_specversion="1.0", ce_id="1"))
            assert incomplete[:2] == (400, "bad-request")
            assert "source" in incomplete[2]
            assert rig.intake() == []

    asyncio.run(scenario())


def test_a_caller_over_the_rate_is_told_when_to_come_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            rig.deploy(function("slow", rate_per_sec=0.5))
            await rig.until_deployed("slow")
            first, second = [await rig.ask("POST", "/v1/functions/slow/invocations") for _ in range(2)]
            assert first.status == 202
            assert problem(second) == (429, "rate-exceeded", "function 'slow' takes 0.5 events per second")
            assert second.headers["retry-after"] == "2"
            assert "request_id" not in second.json
            assert len(rig.intake()) == 1

    asyncio.run(scenario())


def test_a_declared_body_over_the_limit_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            reply = await rig.invoke(b'"' + b"x" * MAX_EVENT_BYTES + b'"')
            assert problem(reply) == (413, "too-large", "the body has 1,000,002 bytes; the limit is 1,000,000")
            assert reply.headers["connection"] == "close"
            whole = await rig.invoke(b'"' + b"x" * (MAX_EVENT_BYTES - 2) + b'"')
            assert whole.status == 202

    asyncio.run(scenario())


def test_a_body_without_a_length_is_counted_as_it_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            connection = await rig.connect()
            connection.writer.write(f"POST {PATH} HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n".encode())
            piece = b"%x\r\n%s\r\n" % (100_000, b"1" * 100_000)
            for _ in range(11):
                connection.writer.write(piece)
            connection.writer.write(b"0\r\n\r\n")
            reply = await connection.reply()
            await connection.close()
            assert problem(reply) == (413, "too-large", "the body has more than 1,000,000 bytes, which is the limit")
            assert rig.intake() == []

    asyncio.run(scenario())


def test_a_body_that_does_not_arrive_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "BODY_LIMIT_SEC", 0.05)

    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            connection = await rig.connect()
            connection.writer.write(f"POST {PATH} HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n123".encode())
            reply = await connection.reply()
            await connection.close()
            assert problem(reply) == (408, "body-too-slow", "the body did not arrive within 30 seconds")

    asyncio.run(scenario())


def test_a_client_that_hangs_up_in_its_body_leaves_nothing_behind(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            connection = await rig.connect()
            connection.writer.write(f"POST {PATH} HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\n\r\n12".encode())
            await connection.writer.drain()
            await connection.close()
            assert (await rig.invoke()).status == 202
            assert len(rig.intake()) == 1

    asyncio.run(scenario())


class Unsure:
    """The appender of a gateway whose broker does not answer."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome

    async def append(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Headers = (),
    ) -> Appended:
        return Appended(outcome=self.outcome, reason="the broker did not answer")


@pytest.mark.parametrize(
    ("outcome", "detail"),
    [
        (Outcome.UNKNOWN, "the event may or may not have been accepted: the broker did not answer"),
        (Outcome.NO, "the event was not accepted: the broker did not answer"),
    ],
)
def test_an_event_that_may_not_have_been_accepted_is_told_its_request_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome, detail: str
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, recorder=False) as rig:
            with monkeypatch.context() as patch:
                patch.setattr(type(rig.gateway._appender), "append", Unsure(outcome).append)
                refused = await rig.invoke(b"1", idempotency_key="k")
            assert problem(refused) == (503, "not-accepted", detail)
            assert refused.headers["retry-after"] == "1"
            run = request_id("resize", "headrace:http/resize", "k")
            assert refused.json["request_id"] == refused.headers["x-request-id"] == run
            other = await rig.invoke(b"2", idempotency_key="k")
            assert other.status == 422
            again = await rig.invoke(b"1", idempotency_key="k")
            assert (again.status, again.json) == (202, {"request_id": run})
            assert len(rig.intake()) == 1  # this time it was appended, not answered from memory

    asyncio.run(scenario())
