"""What waits within the gateway for others: no longer than its caller, and with bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
import pytest

from processor.gateway import run_end
from processor.gateway.log_tail import Tail, log_tail
from processor.http.in_process import Api
from processor.http.message import ClientGone, Message, Request
from processor.http.patience import while_there
from processor.http.problems import Refused

Send = Callable[[Any], Awaitable[None]]
SCOPE: dict[str, Any] = {"method": "POST", "raw_path": b"/", "query_string": b"", "headers": []}


def request(gone: asyncio.Event) -> Request:
    async def receive() -> Message:
        await gone.wait()
        return {"type": "http.disconnect"}

    return Request(SCOPE, receive)


def api(*pieces: bytes, kind: bytes = b"text/plain") -> Api:
    async def application(scope: Any, receive: Any, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        for each in pieces:
            await send({"type": "http.response.body", "body": each, "more_body": True})

    return Api(application)


def test_work_for_a_client_who_stays_is_done() -> None:
    async def scenario() -> None:
        async def work() -> int:
            await asyncio.sleep(0)
            return 7

        assert await while_there(request(asyncio.Event()), work()) == 7

    asyncio.run(scenario())


def test_work_for_a_client_who_hangs_up_ends() -> None:
    async def scenario() -> None:
        gone, ended = asyncio.Event(), asyncio.Event()

        async def work() -> None:
            gone.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        with pytest.raises(ClientGone):
            await while_there(request(gone), work())
        assert ended.is_set()

    asyncio.run(scenario())


def test_an_error_of_the_work_is_what_the_client_hears() -> None:
    async def scenario() -> None:
        async def work() -> None:
            raise ValueError("it broke")

        with pytest.raises(ValueError, match="it broke"):
            await while_there(request(asyncio.Event()), work())

    asyncio.run(scenario())


def test_of_a_long_log_the_newest_lines_are_kept_and_the_others_counted() -> None:
    tail = Tail(limit_bytes=30)
    for number in range(100_000):
        tail.feed(b'data: {"seq":%d,"text":"line %05d"}\n\n' % (number, number))
    assert tail.lines() == ["... 99997 earlier lines are not shown here", "line 99997", "line 99998", "line 99999"]


def test_lines_come_whole_however_the_log_is_cut_into_pieces() -> None:
    whole = b'event: line\nid: 1\ndata: {"seq":1,"text":"one"}\n\nevent: end\ndata: {"status":"FINISHED"}\n\n'
    pieces = [whole[at : at + 3] for at in range(0, len(whole), 3)]
    assert asyncio.run(log_tail(api(*pieces), "r", 100, ended=True)) == ["one"]


def test_a_gateway_that_stops_is_not_asked_on_and_on() -> None:
    going_on = orjson.dumps({"ended_at": None})
    with pytest.raises(Refused) as refused:
        asyncio.run(run_end.end_of(api(going_on, kind=b"application/json"), "r"))
    assert refused.value.problem.status == 503
