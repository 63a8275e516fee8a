"""`POST /v1/functions/{name}/invocations`: the hot path."""

from __future__ import annotations

from processor.core.clock import Clock
from processor.core.codec import HttpMode, Malformed, decode_http, http_mode
from processor.core.event import Event
from processor.core.function import Function
from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.dispatcher.accept import Acceptor
from processor.gateway.outcome import Outcomes
from processor.gateway.recent import RecentRun, RecentRuns
from processor.http.body import check_encoding, check_json, content_type_of, unsupported
from processor.http.idempotency import Claimed
from processor.http.identity import uuid7
from processor.http.message import Request, Response
from processor.http.once import Door, OnceAcceptor, accepted, idempotency_key_of
from processor.http.problems import bad_request
from processor.recorder.store import timestamp

TRIGGER = "http"
EVENT_TYPE = "headrace.http.invocation"
#: A structured CloudEvent carries binary data as base64, and attributes beside it.
MAX_ENVELOPE_BYTES = MAX_EVENT_BYTES * 4 // 3 + 65_536


class Invocations:
    """Answers 202 after the event is durably on the intake log, and never before. Of a synchronous function: with the
    end of the run, on the same way.
    """

    def __init__(
        self, *, acceptor: Acceptor, once: OnceAcceptor, recent: RecentRuns, outcomes: Outcomes, clock: Clock
    ) -> None:
        self._acceptor = acceptor
        self._outcomes = outcomes
        self._once = once
        self._recent = recent
        self._clock = clock

    async def post(self, request: Request, name: str) -> Response:
        function = self._acceptor.admit(name)
        headers = request.scope["headers"]
        match http_mode(headers):
            case HttpMode.PLAIN:
                return await self._plain(request, function)
            case HttpMode.BATCH:
                raise unsupported("a batch of CloudEvents", remedy="Send it to /v1/events, or each event by itself.")
        check_encoding(request)
        event = decode_http(headers, await request.body(MAX_ENVELOPE_BYTES))
        if isinstance(event, Malformed):
            raise bad_request(event.reason, remedy="The CloudEvents 1.0 HTTP binding says how an event is sent.")
        return await self._answer(request, function, event, None, event_format="cloudevents")

    async def _plain(self, request: Request, function: Function) -> Response:
        check_encoding(request)
        key = idempotency_key_of(request)
        body = await request.body(MAX_EVENT_BYTES)
        event = self._event(function, key or uuid7(), request.header(b"content-type") or "", body)
        claimed = self._once.claim(event, key, event.datacontenttype or "", body)
        return await self._answer(request, function, event, claimed, event_format="data")

    def _event(self, function: Function, event_id: str, content_type: str, body: bytes) -> Event:
        kind = content_type_of(content_type, body)
        event = Event(
            id=event_id,
            source=f"headrace:http/{function.name}",
            type=EVENT_TYPE,
            time=timestamp(self._clock.unix_ms()),
            datacontenttype=kind if body else None,
            data=body or None,
        )
        if body and event.is_json:
            check_json(body)
        return event

    async def _answer(
        self, request: Request, function: Function, event: Event, claimed: Claimed | None, *, event_format: str
    ) -> Response:
        if function.async_execution or _prefers_async(request):
            return accepted(await self._accept(function, event, claimed, event_format=event_format))
        run = request_id(function.name, event.source, event.id)
        async with self._outcomes.of(run, request) as outcome:
            await self._accept(function, event, claimed, event_format=event_format)
            return await outcome.wait()

    async def _accept(self, function: Function, event: Event, claimed: Claimed | None, *, event_format: str) -> str:
        door = Door(function=function.name, trigger=TRIGGER, event_format=event_format)
        run = await self._once.accept(door, event, claimed)
        if claimed is None or not claimed.accepted:
            self._recent.add(run, RecentRun.of(function, event, TRIGGER, self._clock.unix_ms()))
        return run


def _prefers_async(request: Request) -> bool:
    """RFC 7240: who sends `Prefer: respond-async` does not wait for the end, also of a synchronous function."""
    wanted = request.header(b"prefer")
    return wanted is not None and "respond-async" in [each.strip().lower() for each in wanted.split(",")]
