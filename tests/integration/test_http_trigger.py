from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest

from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.http import server
from processor.transport.abstract import Appended, Outcome
from tests.integration.gateway_rig import LIMIT_SEC, Reply
from tests.integration.http_trigger_rig import TriggerRig, called
from triggers.abstract import TriggerState

ORDERS = {"path": "/orders/{id}", "method": ["POST", "PUT"], "event_format": "data"}


def problem(reply: Reply) -> tuple[int, str]:
    """(status, name); checks what every problem has."""
    assert reply.headers["content-type"] == "application/problem+json"
    document = reply.json
    assert document["status"] == reply.status
    assert document["title"]
    assert document["detail"]
    assert document["instance"].startswith("/")
    return reply.status, document["type"].removeprefix("urn:headrace:problem:")


def test_a_request_is_an_event_on_the_intake_log_when_202_comes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            reply = await rig.ask("PUT", "/orders/a%2Fb?x=1", b'{"a": 1}', content_type="application/json")
            run = reply.json["request_id"]
            assert (reply.status, reply.headers["location"], reply.headers["x-request-id"]) == (
                202,
                f"/v1/runs/{run}",
                run,
            )
            (event,) = rig.events()
            assert (event.source, event.type) == ("headrace:http/f/orders/a%2Fb", "headrace.http.request")
            assert (event.data, event.datacontenttype) == (b'{"a": 1}', "application/json")
            assert event.extensions == {"function": "f", "headracetrigger": "http", "headraceformat": "data"}
            assert request_id("f", event.source, event.id) == run
            health = rig.health_of("f")
            assert (health.state, health.accepted, health.rejected) == (TriggerState.WATCHING, 1, 0)
            assert health.last_event_ms

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("event_format", "stamped", "parameters"),
    [
        ("scf", "data", lambda document: document["pathParameters"]),
        ("aws", "data", lambda document: document["pathParameters"]),
    ],
)
def test_the_shape_of_a_platform_is_the_data(tmp_path: Path, event_format: str, stamped: str, parameters: Any) -> None:
    async def scenario() -> None:
        async with called(tmp_path, {**ORDERS, "event_format": event_format}) as rig:
            reply = await rig.ask("POST", "/orders/7", b"hello", content_type="text/plain")
            (event,) = rig.events()
            assert (event.extensions["headraceformat"], event.datacontenttype) == (stamped, "application/json")
            document = orjson.loads(event.data or b"")
            assert document["body"] == "hello"
            assert document["requestContext"]["requestId"] == reply.json["request_id"]
            assert parameters(document) == {"id": "7"}

    asyncio.run(scenario())


def test_a_cloud_event_is_the_default_and_any_method_can_be_taken(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, {"path": "/any", "method": ["ANY"]}) as rig:
            for method in ("GET", "DELETE", "OPTIONS", "HEAD"):
                assert (await rig.ask(method, "/any?a=b")).status == 202
            events = rig.events()
            assert {each.extensions["httpmethod"] for each in events} == {"GET", "DELETE", "OPTIONS", "HEAD"}
            assert {each.extensions["headraceformat"] for each in events} == {"cloudevents"}
            assert {each.extensions["httpquery"] for each in events} == {"a=b"}

    asyncio.run(scenario())


def test_one_key_gives_one_run_per_path_and_is_appended_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            first = await rig.ask("POST", "/orders/1", b'{"a":1}', idempotency_key='"k"')
            again = await rig.ask("POST", "/orders/1", b'{"a":1}', idempotency_key="k")
            assert first.status == again.status == 202
            assert first.body == again.body
            assert len(rig.events()) == 1
            elsewhere = await rig.ask("POST", "/orders/2", b'{"a":1}', idempotency_key="k")
            assert elsewhere.json != first.json
            for method, path, body in (("POST", "/orders/1", b"2"), ("PUT", "/orders/1", b'{"a":1}')):
                assert problem(await rig.ask(method, path, body, idempotency_key="k")) == (
                    422,
                    "idempotency-key-reused",
                )
            bad = await rig.ask("POST", "/orders/1", b"1", idempotency_key='"')
            assert problem(bad) == (400, "bad-request")

    asyncio.run(scenario())


def test_what_cannot_be_taken_is_told_why(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            assert problem(await rig.ask("POST", "/bills/7", b"1")) == (404, "not-found")
            wrong = await rig.ask("DELETE", "/orders/7")
            assert problem(wrong) == (405, "method-not-allowed")
            assert wrong.headers["allow"] == "post, put, options"
            assert (await rig.ask("OPTIONS", "/orders/7")).status == 204
            assert problem(await rig.ask("POST", "/orders/7", b"{")) == (400, "bad-request")
            packed = await rig.ask("POST", "/orders/7", b"1", content_encoding="gzip")
            assert problem(packed) == (415, "unsupported-media-type")
            large = await rig.ask("POST", "/orders/7", b"1" * (MAX_EVENT_BYTES + 1), content_type="text/plain")
            assert problem(large) == (413, "too-large")
            assert problem(await rig.ask("POST", "/orders/" + "7" * 3_000, b"1")) == (414, "path-too-long")
            assert rig.events() == []

    asyncio.run(scenario())


def test_a_shape_that_makes_a_body_too_large_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, {**ORDERS, "event_format": "aws"}) as rig:
            body = b"\xff" * (MAX_EVENT_BYTES * 4 // 5)
            reply = await rig.ask("POST", "/orders/7", body, content_type="application/octet-stream")
            assert problem(reply) == (413, "too-large")
            assert rig.events() == []

    asyncio.run(scenario())


def test_a_caller_over_the_rate_is_refused_and_told_when_to_come(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS, rate_per_sec=0.01) as rig:
            assert (await rig.ask("POST", "/orders/7", b"1")).status == 202
            refused = await rig.ask("POST", "/orders/7", b"1", idempotency_key="k")
            assert problem(refused) == (429, "rate-exceeded")
            assert 1 <= int(refused.headers["retry-after"]) <= 100
            assert len(rig.events()) == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.NO])
def test_an_append_that_is_not_certain_is_503_with_the_id_it_would_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: Outcome
) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:

            async def uncertain(topic: str, value: bytes | None, **_: object) -> Appended:
                return Appended(outcome=outcome, reason="the broker did not answer")

            with monkeypatch.context() as patch:
                patch.setattr(rig.appender, "append", uncertain)
                refused = await rig.ask("POST", "/orders/7", b"1", idempotency_key="k")
            assert problem(refused) == (503, "not-accepted")
            assert refused.headers["retry-after"] == "1"
            assert "the broker did not answer" in rig.health_of("f").reason
            again = await rig.ask("POST", "/orders/7", b"1", idempotency_key="k")
            assert again.json["request_id"] == refused.json["request_id"]
            assert rig.health_of("f").reason == ""

    asyncio.run(scenario())


def test_a_disabled_function_makes_its_callers_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            rig.deploy("f", ORDERS, enabled=False, revision=2)
            await rig.until(lambda: rig.host.health() == [])
            reply = await rig.ask("POST", "/orders/7", b"1")
            assert problem(reply) == (503, "not-served")
            assert reply.headers["retry-after"] == "1"
            assert problem(await rig.ask("POST", "/bills/7", b"1")) == (404, "not-found")
            rig.deploy("f", ORDERS, revision=3)
            await rig.until_state("f", TriggerState.WATCHING)
            assert (await rig.ask("POST", "/orders/7", b"1")).status == 202

    asyncio.run(scenario())


def test_the_second_function_on_a_path_waits_until_the_first_is_gone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            rig.deploy("second", {"path": "/orders/{number}", "method": ["ANY"]})
            health = await rig.until_state("second", TriggerState.WAITING)
            assert "http of f serves as POST|PUT /orders/{id}" in health.reason
            assert health.remedy
            assert rig.health_of("f").state is TriggerState.WATCHING
            rig.deploy("f", revision=2)
            await rig.until_state("second", TriggerState.WATCHING)
            assert (await rig.ask("DELETE", "/orders/7")).status == 202
            assert [each.function for each in rig.events()] == ["second"]

    asyncio.run(scenario())


def test_an_address_in_use_is_a_state_and_ends_by_itself(tmp_path: Path) -> None:
    async def scenario() -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            async with called(tmp_path, ORDERS, port=port) as rig:
                health = await rig.until_state("f", TriggerState.WAITING)
                assert f"the listener cannot listen on 127.0.0.1 port {port}" in health.reason
                assert "HEADRACE_TRIGGERS__PORT" in health.remedy
                other.close()
                await rig.until_state("f", TriggerState.WATCHING)
                assert (await rig.ask("POST", "/orders/7", b"1")).status == 202

    asyncio.run(scenario())


def test_a_server_that_ends_is_started_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            first = rig.listener._server
            assert first is not None
            first._uvicorn.should_exit = True
            await first.join()
            await rig.until(lambda: rig.listener._server not in (None, first))
            assert (await rig.ask("POST", "/orders/7", b"1")).status == 202
            assert rig.health_of("f").state is TriggerState.WATCHING

    asyncio.run(scenario())


def test_a_process_without_such_triggers_needs_no_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS, enabled=False, port=1, settled=False) as rig:
            await rig.listener.settled(0.05)
            assert rig.listener.url is None
            assert rig.listener.trouble is None

    asyncio.run(scenario())


def test_a_token_is_asked_for_and_never_stored(tmp_path: Path) -> None:
    async def scenario() -> None:
        trigger = {"path": "/hook", "event_format": "scf", "token_env": "HOOK_TOKEN"}
        async with called(tmp_path, trigger, environment={"HOOK_TOKEN": "s3cret"}) as rig:
            for given in ("", "Bearer s3cre", "Basic s3cret"):
                refused = await rig.ask("POST", "/hook", b"1", authorization=given)
                assert problem(refused) == (401, "unauthorized")
                assert refused.headers["www-authenticate"] == "bearer"
            assert (await rig.ask("POST", "/hook", b"1", authorization="bearer s3cret")).status == 202
            (event,) = rig.events()
            assert b"s3cret" not in (event.data or b"")
            assert b"authorization" not in (event.data or b"")

    asyncio.run(scenario())


def test_a_trigger_whose_token_is_not_known_serves_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, {"path": "/hook", "token_env": "HOOK_TOKEN"}, ORDERS) as rig:
            states = {each.settings["path"]: health for each, health in rig.host.health()}
            assert states["/hook"].state is TriggerState.FAILED
            assert "HOOK_TOKEN is not set" in states["/hook"].reason
            assert "HOOK_TOKEN" in states["/hook"].remedy
            assert problem(await rig.ask("POST", "/hook", b"1")) == (503, "not-served")
            assert (await rig.ask("POST", "/orders/7", b"1")).status == 202

    asyncio.run(scenario())


def test_what_is_under_way_at_the_end_is_finished_and_what_comes_then_is_sent_away(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            held, going_on = asyncio.Event(), asyncio.Event()
            append = rig.appender.append

            async def slow(topic: str, value: bytes | None, *, key: bytes | None = None, **more: Any) -> Appended:
                held.set()
                await going_on.wait()
                return await append(topic, value, key=key, **more)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rig.appender, "append", slow)
                asking = asyncio.create_task(rig.ask("POST", "/orders/7", b"1"))
                await held.wait()
                stopping = asyncio.create_task(rig.listener.stop())
                await asyncio.sleep(0)
                going_on.set()
                reply = await asking
                await stopping
            assert reply.status == 202
            assert len(rig.events()) == 1
            with pytest.raises(ConnectionError):
                await rig.ask("POST", "/orders/7", b"1")

    asyncio.run(scenario())


def test_a_request_on_an_open_connection_of_a_stopping_listener_is_told_to_come_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            rig.listener._draining = True
            reply = await rig.ask("POST", "/orders/7", b"1")
            assert problem(reply) == (503, "draining")
            assert (reply.headers["retry-after"], reply.headers["connection"]) == ("1", "close")
            rig.listener._draining = False

    asyncio.run(scenario())


async def flood(rig: TriggerRig, *pieces: bytes) -> bytes:
    """Everything that is answered to these pieces, sent one after the other."""
    connection = await rig.connect()
    async with asyncio.timeout(LIMIT_SEC):
        try:
            for piece in pieces:
                connection.writer.write(piece)
                await connection.writer.drain()
            return await connection.reader.read()
        except ConnectionError:
            return b"cut off"
        finally:
            await connection.close()


def test_a_flood_of_headers_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            begin = b"POST /orders/7 HTTP/1.1\r\nhost: x\r\n"
            many = [b"x-%d: %s\r\n" % (number, b"y" * 1_000) for number in range(2_000)]
            for pieces in ([begin, *many], [begin, b"x: ", *[b"y" * 10_000] * 200]):
                answer = await flood(rig, *pieces)
                assert answer.startswith(b"HTTP/1.1 431 ") or answer == b"cut off"
            assert (await rig.ask("POST", "/orders/7", b"1")).status == 202
            assert len(rig.events()) == 1

    asyncio.run(scenario())


def test_large_bodies_on_one_connection_are_no_flood_of_headers(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with called(tmp_path, ORDERS) as rig:
            body = b"1" * (server.HEAD_LIMIT_BYTES * 3)
            head = b"POST /orders/7 HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: %d\r\n\r\n"
            last = head.replace(b"host: x", b"connection: close")
            # The head of the second request comes in two pieces, the first of them together with the body before it.
            stream = head % len(body) + body + last % len(body) + body
            cut = stream.index(b"connection: close") + 5
            answer = await flood(rig, stream[:cut], stream[cut:])
            assert answer.count(b"HTTP/1.1 202 ") == 2

    asyncio.run(scenario())
