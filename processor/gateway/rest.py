"""Reading runs and their logs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated

import orjson
from fastapi import Query
from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.request_id import is_request_id
from processor.gateway.answers import answer
from processor.gateway.feed import LineFeed
from processor.gateway.history import AsyncHistory
from processor.gateway.live import LiveHub
from processor.gateway.platform_lines import NOTHING_SEEN, PlatformLines
from processor.gateway.refusals import parse_query
from processor.gateway.routes import Route, RunId
from processor.gateway.runs import Runs
from processor.gateway.schemas import documents
from processor.gateway.schemas.parameters import LogQuery, RunListQuery, WaitQuery
from processor.gateway.stream import line_document, send_events, send_limited
from processor.http.message import Request, Send
from processor.http.problems import Refused, not_found
from processor.recorder.store import (
    LATE_LINES_MS,
    MAX_PAGE,
    LinePage,
    LogLine,
    RunDocument,
    RunQuery,
    timestamp,
    told_in_vain,
    unix_ms_of,
)


class RunRoutes:
    def __init__(self, *, runs: Runs, history: AsyncHistory, hub: LiveHub, clock: Clock) -> None:
        self._runs = runs
        self._history = history
        self._hub = hub
        self._clock = clock

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path="/v1/runs",
                endpoint=self.list,
                summary="List runs, newest first",
                answers={200: documents.RunPage},
                tag="runs",
            ),
            Route(
                method="GET",
                path="/v1/runs/{request_id}",
                endpoint=self.get,
                summary="One run",
                answers={200: documents.Run},
                tag="runs",
            ),
        ]

    async def get(self, request_id: RunId, query: Annotated[WaitQuery, Query()]) -> Response:
        check_form(request_id)
        if query.wait:
            document = await self._runs.wait_for_end(request_id, query.wait)
        else:
            document = await self._runs.find(request_id)
        if document is None:
            raise unknown_run(request_id)
        await self._runs.place(document)
        return answer(document, run=request_id)

    async def list(self, query: Annotated[RunListQuery, Query()]) -> Response:
        page = await self._runs.page(query.page_query(self._clock.unix_ms()))
        searched_to = timestamp(page.searched_to_ms)
        return answer({"runs": page.runs, "cursor": page.cursor, "searched_to": searched_to})

    async def logs(self, request: Request, send: Send, request_id: str) -> None:
        """Sends its answer itself, as it comes."""
        query = parse_query(LogQuery, request.query)
        check_form(request_id)
        if query.follow == "1":
            await self._follow(request, send, request_id, query)
        else:
            await self._send_lines(request, send, request_id, query)

    async def _follow(self, request: Request, send: Send, request_id: str, query: LogQuery) -> None:
        seen = _last_event_id(request)
        after_seq = _after(query) if seen is None else seen
        with self._hub.follow(request_id, with_lines=True) as follower:
            await self._hub.ready()
            run = await self._runs.find_soon(request_id)
            if run is None:
                raise unknown_run(request_id)
            feed = LineFeed(follower=follower, history=self._history, runs=self._runs, after_seq=max(after_seq, 0))
            feed.started_ms = unix_ms_of(run["started_at"])
            platform = PlatformLines(request_id, after_seq) if query.platform == "1" else None
            await send_events(request, send, feed, follower, platform)

    async def _send_lines(self, request: Request, send: Send, request_id: str, query: LogQuery) -> None:
        run = await self._runs.find(request_id)
        if run is None:
            raise unknown_run(request_id)
        as_json, after_seq = query.format == "json", _after(query)
        platform = PlatformLines(request_id, after_seq) if query.platform == "1" else None
        page = await self._history.get_lines(request_id, delivery=None, after_seq=max(after_seq, 0))
        kind = b"application/x-ndjson" if as_json else b"text/plain; charset=utf-8"
        headers = [
            (b"content-type", kind),
            (b"x-content-type-options", b"nosniff"),  # whatever a run prints, no browser shall take it for a page
            (b"x-request-id", request_id.encode()),
        ]
        await send_limited(send, {"type": "http.response.start", "status": 200, "headers": headers})
        if request.method != "HEAD":
            async for lines in self._pieces(run, page, platform, after_seq):
                body = _rendered(lines, as_json=as_json)
                await send_limited(send, {"type": "http.response.body", "body": body, "more_body": True})
        await send_limited(send, {"type": "http.response.body", "body": b""})

    async def _pieces(
        self, run: RunDocument, page: LinePage, platform: PlatformLines | None, after_seq: int
    ) -> AsyncIterator[Sequence[LogLine]]:
        """All lines after that; page: the first of them."""
        if platform is not None and (first := platform.first(unix_ms_of(run["started_at"]), page.lines)):
            yield first
        last_seq = max(after_seq, 0)
        while page.lines:
            yield page.lines
            last_seq = page.lines[-1].seq
            if len(page.lines) < MAX_PAGE:
                break
            page = await self._history.get_lines(run["request_id"], delivery=page.delivery, after_seq=last_seq)
        ended_ms, now_ms = unix_ms_of(run["ended_at"]), self._clock.unix_ms()
        if ended_ms is None or (last_seq < run["log_lines"] and now_ms - ended_ms <= LATE_LINES_MS):
            return  # nothing may come behind END: whoever has that line asks for those after it only
        if lost := told_in_vain(last_seq, run["log_lines"], ended_ms, now_ms):
            yield [lost]
        if platform is not None:
            yield platform.last(run)


def parse_run_query(query: Mapping[str, str], now_ms: int) -> RunQuery:
    """From the parameters of GET /v1/runs. Raises Refused (400) that lists everything that is wrong."""
    return parse_query(RunListQuery, query).page_query(now_ms)


def _last_event_id(request: Request) -> int | None:
    text = request.header(b"last-event-id") or ""
    return int(text) if text.isascii() and text.isdigit() else None


def _after(query: LogQuery) -> int:
    return NOTHING_SEEN if query.after is None else query.after


def _rendered(lines: Sequence[LogLine], *, as_json: bool) -> bytes:
    if as_json:
        return b"".join(orjson.dumps(line_document(line), option=orjson.OPT_APPEND_NEWLINE) for line in lines)
    return "".join(f"{line.text}\n" for line in lines).encode()


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
