"""`POST /v1/functions/{name}/invocations`: the hot path."""

from __future__ import annotations

import orjson

from processor.core.clock import Clock
from processor.core.codec import HttpMode, Malformed, decode_http, http_mode
from processor.core.event import Event
from processor.core.function import Function
from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.dispatcher.accept import Acceptor, EventTooLarge, FunctionDisabled, RateExceeded, UnknownFunction
from processor.gateway.http import Request, Response
from processor.gateway.idempotency import Claimed, IdempotencyKeys
from processor.gateway.identity import parse_idempotency_key, uuid7
from processor.gateway.problems import Problem, Refused, bad_request
from processor.gateway.recent import RecentRun, RecentRuns
from processor.recorder.store import timestamp

TRIGGER = "http"
EVENT_TYPE = "headrace.http.invocation"
JSON = "application/json"
#: A structured CloudEvent carries binary data as base64, and attributes beside it.
_MAX_ENVELOPE_BYTES = MAX_EVENT_BYTES * 4 // 3 + 65_536
_FORM = "application/x-www-form-urlencoded"


class Invocations:
    """Answers 202 after the event is durably on the intake log, and never before."""

    def __init__(self, *, acceptor: Acceptor, keys: IdempotencyKeys, recent: RecentRuns, clock: Clock) -> None:
        self._acceptor = acceptor
        self._keys = keys
        self._recent = recent
        self._clock = clock

    async def post(self, request: Request, name: str) -> Response:
        function = self._acceptor.admit(name)
        headers = request.scope["headers"]
        match http_mode(headers):
            case HttpMode.PLAIN:
                return await self._plain(request, function)
            case HttpMode.BATCH:
                raise _unsupported("a batch of CloudEvents", remedy="Send each event in a request of its own.")
        _check_encoding(request)
        event = decode_http(headers, await request.body(_MAX_ENVELOPE_BYTES))
        if isinstance(event, Malformed):
            raise bad_request(event.reason, remedy="The CloudEvents 1.0 HTTP binding says how an event is sent.")
        return await self._accept(function, event, event_format="cloudevents")

    async def _plain(self, request: Request, function: Function) -> Response:
        _check_encoding(request)
        key_header = request.header(b"idempotency-key")
        key = None if key_header is None else parse_idempotency_key(key_header)
        body = await request.body(MAX_EVENT_BYTES)
        event = self._event(function, key or uuid7(), request.header(b"content-type") or "", body)
        if key is None:
            return await self._accept(function, event, event_format="data")
        claimed = self._keys.claim(function.name, key, event.datacontenttype or "", body)
        return await self._accept_once(function, event, claimed)

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

    async def _accept_once(self, function: Function, event: Event, claimed: Claimed) -> Response:
        if claimed.accepted:
            return accepted(request_id(function.name, event.source, event.id))
        try:
            response = await self._accept(function, event, event_format="data")
        except (FunctionDisabled, UnknownFunction, EventTooLarge, RateExceeded):
            self._keys.refused(claimed)  # after anything else it may be on the log, and the key stays taken
            raise
        self._keys.accepted(claimed)
        return response

    async def _accept(self, function: Function, event: Event, *, event_format: str) -> Response:
        receipt = await self._acceptor.accept(function.name, event, trigger=TRIGGER, event_format=event_format)
        run = RecentRun(function.name, function.current.version, event.source, event.subject, self._clock.unix_ms())
        self._recent.add(receipt.request_id, run)
        return accepted(receipt.request_id)


def accepted(request_id: str) -> Response:
    location = b"/v1/runs/" + request_id.encode()
    return Response(
        status=202, body=b'{"request_id":"%s"}' % request_id.encode(), headers=[(b"location", location)], run=request_id
    )


def content_type_of(content_type: str, body: bytes) -> str:
    """What the body is. A form that begins like JSON is JSON: curl calls everything a form unless told otherwise."""
    if not content_type or (content_type.startswith(_FORM) and body.lstrip()[:1] in (b"{", b"[", b'"')):
        return JSON
    return content_type


def check_json(body: bytes) -> None:
    """Raises Refused (400), naming the byte at which it is no JSON any more."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise bad_request(
            f"the body is not JSON: {error.msg} at byte {_byte_position(body, error.pos)}",
            remedy="Send JSON, or say what the body is: Content-Type: text/plain, application/octet-stream, ...",
        ) from error


def _check_encoding(request: Request) -> None:
    if request.headers.get(b"content-encoding", b"identity") != b"identity":
        raise _unsupported("a compressed body", remedy="Send the body without Content-Encoding.")


def _byte_position(body: bytes, characters: int) -> int:
    try:
        return len(body.decode()[:characters].encode())
    except UnicodeDecodeError as error:
        return error.start


def _unsupported(what: str, *, remedy: str) -> Refused:
    return Refused(
        Problem(
            status=415,
            name="unsupported-media-type",
            title="Unsupported media type",
            detail=f"this address does not take {what}",
            remedy=remedy,
        )
    )
