"""Reading runs and their logs."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import orjson

from processor.core.clock import Clock
from processor.core.request_id import is_request_id
from processor.core.run import Status
from processor.gateway.feed import LineFeed
from processor.gateway.history import AsyncHistory
from processor.gateway.live import LiveHub
from processor.gateway.parameters import Parameters, moment, number_in, one_of, whole_in
from processor.gateway.runs import Runs
from processor.gateway.stream import line_document, send_events, send_limited
from processor.http.message import Request, Response, Send, json_response
from processor.http.problems import Refused, not_found
from processor.recorder.store import MAX_PAGE, PAGE_LIMITS, LinePage, Place, RunQuery

MAX_WAIT_SEC = 60
DEFAULT_LIMIT = 50
_LIST_PARAMETERS = ("function", "status", "since", "cursor", "limit")


class RunRoutes:
    def __init__(self, *, runs: Runs, history: AsyncHistory, hub: LiveHub, clock: Clock) -> None:
        self._runs = runs
        self._history = history
        self._hub = hub
        self._clock = clock

    async def get(self, request: Request, request_id: str) -> Response:
        parameters = Parameters(request.query, known=("wait",))
        wait = number_in(0, MAX_WAIT_SEC)
        wait_sec = parameters.take("wait", wait, 0.0, expected=f"a number of seconds from 0 to {MAX_WAIT_SEC}")
        parameters.check()
        check_form(request_id)
        if wait_sec:
            document = await self._runs.wait_for_end(request_id, wait_sec)
        else:
            document = await self._runs.find(request_id)
        if document is None:
            raise unknown_run(request_id)
        await self._runs.place(document)
        return Response(status=200, body=orjson.dumps(document), run=request_id)

    async def list(self, request: Request) -> Response:
        page = await self._history.list_runs(parse_run_query(request.query, self._clock.unix_ms()))
        for each in page.runs:
            self._runs.explain(each)
        return json_response({"runs": page.runs, "cursor": page.cursor})

    async def logs(self, request: Request, send: Send, request_id: str) -> None:
        """Sends its answer itself, as it comes."""
        parameters = Parameters(request.query, known=("follow", "format", "after"))
        follow = parameters.take("follow", one_of("0", "1"), "0", expected="0 or 1")
        form = parameters.take("format", one_of("text", "json"), "text", expected="text or json")
        after_seq = parameters.take("after", whole_in(range(sys.maxsize)), 0, expected="the seq of a line")
        parameters.check()
        check_form(request_id)
        if follow == "1":
            await self._follow(request, send, request_id, _last_event_id(request) or after_seq)
        else:
            await self._send_lines(request, send, request_id, after_seq, as_json=form == "json")

    async def _follow(self, request: Request, send: Send, request_id: str, after_seq: int) -> None:
        with self._hub.follow(request_id, with_lines=True) as follower:
            await self._hub.ready()
            if await self._runs.find_soon(request_id) is None:
                raise unknown_run(request_id)
            feed = LineFeed(follower=follower, history=self._history, runs=self._runs, after_seq=after_seq)
            await send_events(request, send, feed, follower)

    async def _send_lines(
        self, request: Request, send: Send, request_id: str, after_seq: int, *, as_json: bool
    ) -> None:
        if await self._runs.find(request_id) is None:
            raise unknown_run(request_id)
        page = await self._history.get_lines(request_id, delivery=None, after_seq=after_seq)
        kind = b"application/x-ndjson" if as_json else b"text/plain; charset=utf-8"
        headers = [(b"content-type", kind), (b"x-request-id", request_id.encode())]
        await send_limited(send, {"type": "http.response.start", "status": 200, "headers": headers})
        while page.lines and request.method != "HEAD":
            body = _rendered(page, as_json=as_json)
            await send_limited(send, {"type": "http.response.body", "body": body, "more_body": True})
            if len(page.lines) < MAX_PAGE:
                break
            last_seq = page.lines[-1].seq
            page = await self._history.get_lines(request_id, delivery=page.delivery, after_seq=last_seq)
        await send_limited(send, {"type": "http.response.body", "body": b""})


def parse_run_query(query: Mapping[str, str], now_ms: int) -> RunQuery:
    """Raises Refused (400) that lists everything that is wrong."""
    parameters = Parameters(query, known=_LIST_PARAMETERS)
    statuses = ", ".join(each.value for each in Status)
    parsed = RunQuery(
        function=query.get("function"),
        status=parameters.take("status", Status, None, expected=f"one of {statuses}"),
        since_ms=parameters.take(
            "since", moment(now_ms), None, expected="a time like 2026-11-24T09:00:00Z, or how long ago, like 15m"
        ),
        cursor=parameters.take("cursor", _cursor, None, expected="a cursor of this list"),
        limit=parameters.take("limit", whole_in(PAGE_LIMITS), DEFAULT_LIMIT, expected=f"from 1 to {PAGE_LIMITS[-1]}"),
    )
    parameters.check()
    return parsed


def _cursor(text: str) -> str:
    Place.parse(text)
    return text


def _last_event_id(request: Request) -> int:
    text = request.header(b"last-event-id") or ""
    return int(text) if text.isascii() and text.isdigit() else 0


def _rendered(page: LinePage, *, as_json: bool) -> bytes:
    if as_json:
        return b"".join(orjson.dumps(line_document(line), option=orjson.OPT_APPEND_NEWLINE) for line in page.lines)
    return "".join(f"{line.text}\n" for line in page.lines).encode()


def check_form(request_id: str) -> None:
    if not is_request_id(request_id):
        raise not_found(
            f"{request_id!r} is not a RequestId",
            remedy="A RequestId looks like 1b4e28ba-2fa1-8d7c-883f-0016d3cca427; the answer to an invocation has it.",
        )


def unknown_run(request_id: str) -> Refused:
    return not_found(
        f"no run has the RequestId {request_id}",
        remedy="Runs are kept for some weeks after their end; the newest are listed by GET /v1/runs.",
    )
