"""`POST /v1/events`: CloudEvents in binary, structured and batch mode."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from processor.core.clock import Clock
from processor.core.codec import HttpMode, Malformed, decode_http, decode_http_batch, http_mode
from processor.core.errors import HeadraceError
from processor.core.event import Event
from processor.core.request_id import request_id
from processor.core.topics import MAX_EVENT_BYTES
from processor.dispatcher.accept import Acceptor, EventTooLarge, NotAccepted
from processor.gateway.catalog import Catalog
from processor.gateway.event_routing import KIND, Unrouted, Wish, doors_of, wishes_of
from processor.gateway.invoke import MAX_ENVELOPE_BYTES
from processor.gateway.problems import problem_of
from processor.gateway.recent import RecentRun, RecentRuns
from processor.http.body import check_encoding
from processor.http.message import Request, Response, json_response
from processor.http.once import Door
from processor.http.problems import Problem, Refused, bad_request

#: Decoding keeps the event loop from everything else: some 20 ms for a whole batch.
MAX_BATCH_BYTES = 4_194_304
MAX_BATCH_EVENTS = 1_000
#: Appends of one request at a time.
_AT_ONCE = 256
#: A repeat within this time is answered from memory, when this gateway accepted it: so a batch that was refused halfway
#: by the rate gets further each time it is sent. As long as the executors' own window for repeats (DESIGN 5.3b).
_KNOWN_MS = 600_000
_BINDING = "The CloudEvents 1.0 HTTP binding says how an event is sent."
_AGAIN = "Send it again, whole: what was accepted has its RequestIds in `results` and is never run twice."


@dataclass(frozen=True, slots=True)
class _Way:
    """One event to one function; `index` is the event's place in its batch."""

    index: int
    event: Event
    door: Door


class EventRoutes:
    """Answers 202 with the RequestIds after every event is durably on the intake log, and never before."""

    def __init__(self, *, catalog: Catalog, acceptor: Acceptor, recent: RecentRuns, clock: Clock) -> None:
        self._catalog = catalog
        self._acceptor = acceptor
        self._recent = recent
        self._clock = clock
        self._wishes: list[Wish] = []
        self._wishes_as_of = -1

    async def post(self, request: Request) -> Response:
        check_encoding(request)
        headers = request.scope["headers"]
        if http_mode(headers) is HttpMode.BATCH:
            return await self._post_batch(request)
        event = decode_http(headers, await request.body(MAX_ENVELOPE_BYTES))
        if isinstance(event, Malformed):
            raise bad_request(event.reason, remedy=_BINDING)
        outcomes = await self._accept_all(self._ways(0, event))
        return _answer_one([outcome for _, outcome in outcomes])

    async def _post_batch(self, request: Request) -> Response:
        content_type = request.headers[b"content-type"]
        body = await request.body(MAX_BATCH_BYTES)
        events = decode_http_batch(content_type, body, max_events=MAX_BATCH_EVENTS)
        if isinstance(events, Malformed):
            raise bad_request(events.reason, remedy=_BINDING)
        return _answer_batch(len(events), await self._accept_all(self._ways_of_batch(events)))

    def _ways_of_batch(self, events: Sequence[Event | Malformed]) -> list[_Way]:
        """Raises Refused (400) that names every event which cannot be accepted: then nothing of the batch is."""
        ways, errors = list[_Way](), []
        for index, event in enumerate(events):
            if isinstance(event, Malformed):
                errors.append({"pointer": f"/{index}", "detail": event.reason})
                continue
            try:
                ways += self._ways(index, event)
            except HeadraceError as error:
                errors.append({"pointer": f"/{index}", "detail": str(error), "remedy": error.remedy})
        if errors:
            told = "; ".join(f"event {each['pointer'][1:]}: {each['detail']}" for each in errors[:5])
            more = f"; and {len(errors) - 5} more" if len(errors) > 5 else ""
            remedy = "Nothing of the batch was accepted. Correct what `errors` lists, and send it again."
            raise bad_request(told + more, remedy=remedy, errors=errors)
        return ways

    def _ways(self, index: int, event: Event) -> list[_Way]:
        """Raises Unrouted, UnknownFunction, FunctionDisabled, EventTooLarge."""
        if event.data is not None and len(event.data) > MAX_EVENT_BYTES:
            raise EventTooLarge(len(event.data))
        doors = doors_of(event, self._current_wishes())
        if not doors:
            raise Unrouted(event)
        for door in doors:
            self._acceptor.admit(door.function)
        return [_Way(index, event, door) for door in doors]

    def _current_wishes(self) -> list[Wish]:
        if self._wishes_as_of != self._catalog.changes:
            self._wishes_as_of = self._catalog.changes
            self._wishes = wishes_of(self._catalog.functions())
        return self._wishes

    async def _accept_all(self, ways: Sequence[_Way]) -> list[tuple[_Way, str | HeadraceError]]:
        """A RequestId or an error for each; after an append that failed the rest is not tried: it would fail too."""
        outcomes: list[str | HeadraceError] = []
        for start in range(0, len(ways), _AT_ONCE):
            failed = next((each for each in outcomes if isinstance(each, NotAccepted)), None)
            part = ways[start : start + _AT_ONCE]
            outcomes += [failed] * len(part) if failed else await asyncio.gather(*map(self._accept, part))
        return list(zip(ways, outcomes, strict=True))

    async def _accept(self, way: _Way) -> str | HeadraceError:
        name, event = way.door.function, way.event
        run, now_ms = request_id(name, event.source, event.id), self._clock.unix_ms()
        if self._recent.accepted_since(run, now_ms - _KNOWN_MS):
            return run
        try:
            await self._acceptor.accept(name, event, trigger=KIND, event_format=way.door.event_format)
        except HeadraceError as error:
            return error
        function = self._catalog.find(name)
        if function is not None:
            self._recent.add(run, RecentRun.of(function, event, KIND, now_ms))
        return run


def _answer_one(outcomes: Sequence[str | HeadraceError]) -> Response:
    runs = [each for each in outcomes if isinstance(each, str)]
    errors = [each for each in outcomes if not isinstance(each, str)]
    if errors and not runs and len(errors) == 1:
        raise errors[0]
    if errors:
        raise Refused(_partly(errors, {"request_ids": runs}, [{"detail": str(each)} for each in errors]))
    headers = [(b"location", b"/v1/runs/" + runs[0].encode())] if len(runs) == 1 else []
    return Response(status=202, body=orjson.dumps({"request_ids": runs}), headers=headers, run=runs[0])


def _answer_batch(count: int, outcomes: Sequence[tuple[_Way, str | HeadraceError]]) -> Response:
    results: list[dict[str, list[str]]] = [{"request_ids": []} for _ in range(count)]
    errors: list[HeadraceError] = []
    named: list[dict[str, Any]] = []
    for way, outcome in outcomes:
        if isinstance(outcome, str):
            results[way.index]["request_ids"].append(outcome)
        else:
            errors.append(outcome)
            named.append({"pointer": f"/{way.index}", "function": way.door.function, "detail": str(outcome)})
    if errors:
        raise Refused(_partly(errors, {"results": results}, named))
    return json_response({"results": results}, status=202)


def _partly(errors: Sequence[HeadraceError], more: dict[str, Any], named: Sequence[dict[str, Any]]) -> Problem:
    """The answer when some were not accepted: the status of the worst of the reasons, which says when to come back."""
    problems = [problem_of(each) for each in errors]
    worst = max(problems, key=lambda each: each.status)
    waits = [each.retry_after_sec for each in problems if each.retry_after_sec is not None]
    return Problem(
        status=worst.status,
        name="partly-accepted",
        title="Not everything was accepted",
        detail=f"{len(errors)} of the runs were not accepted; the first: {errors[0]}",
        remedy=_AGAIN,
        retry_after_sec=max(waits, default=None),
        errors=named,
        more=more,
    )
