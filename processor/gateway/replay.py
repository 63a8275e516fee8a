"""`POST /v1/runs/{id}/replay`: the same event again, or one with other data, as a new run of the present version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson
from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.codec import encode_structured
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, Event
from processor.core.function import Function
from processor.core.request_id import request_id
from processor.dispatcher.accept import Acceptor
from processor.gateway.answers import answer
from processor.gateway.catalog import Catalog
from processor.gateway.event_log import EventLog
from processor.gateway.recent import RecentRun, RecentRuns
from processor.gateway.rest import check_form, unknown_run
from processor.gateway.routes import Route, RunId
from processor.gateway.runs import Runs
from processor.gateway.schemas import documents
from processor.gateway.schemas.bodies import ReplayBody
from processor.http.identity import uuid7
from processor.http.problems import Problem, Refused
from processor.recorder.store import RunDocument

STRUCTURED = "application/cloudevents+json"
#: What replayed runs show as their trigger.
TRIGGER = "replay"
#: Extension attribute: the run whose event it was.
ORIGIN_ATTRIBUTE = "replayof"
#: Of events whose original is not on the log any more.
EVENT_TYPE = "headrace.replay"
_STAMPS = (FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, FORMAT_ATTRIBUTE)
#: A source keeps the shape that its adapter gave its events; data that somebody sends is the whole event.
_AS_DATA = "data"


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """What is to be accepted."""

    function: Function
    event: Event
    event_format: str

    @property
    def request_id(self) -> str:
        return request_id(self.function.name, self.event.source, self.event.id)


class Replays:
    """Replaying runs, for the API, for bulk operations, and for whoever else is in this process."""

    def __init__(
        self, *, catalog: Catalog, acceptor: Acceptor, events: EventLog, recent: RecentRuns, clock: Clock
    ) -> None:
        self._catalog = catalog
        self._acceptor = acceptor
        self._events = events
        self._recent = recent
        self._clock = clock

    async def plan(self, run: RunDocument, replay_id: str, body: ReplayBody) -> Replay:
        """Raises Refused (409 when the function is gone, 410 when the event is), FunctionDisabled,
        TransportUnavailable.
        """
        function = self._function(run)
        original = await self.original(run)
        if original is None and not body.is_edited:
            raise Refused(_event_gone(run["request_id"]))
        event = planned_event(run, original, replay_id)
        if body.is_edited:
            event = replace(event, data=orjson.dumps(body.data), datacontenttype="application/json")
        event_format = (original.extensions.get(FORMAT_ATTRIBUTE) if original else None) or _AS_DATA
        return Replay(function=function, event=event, event_format=event_format)

    async def accept(self, replay: Replay, *, patient: bool = False) -> str:
        """Returns the new RequestId once the event is durable. patient: waits for the function's rate.
        Raises what Acceptor.accept raises.
        """
        accept = self._acceptor.accept_when_admitted if patient else self._acceptor.accept
        name = replay.function.name
        receipt = await accept(name, replay.event, trigger=TRIGGER, event_format=replay.event_format)
        recent = RecentRun.of(replay.function, replay.event, TRIGGER, self._clock.unix_ms())
        self._recent.add(receipt.request_id, recent)
        return receipt.request_id

    def _function(self, run: RunDocument) -> Function:
        if self._catalog.find(run["function"]) is None:
            raise Refused(_function_gone(run["function"]))
        return self._acceptor.admit(run["function"])

    async def original(self, run: RunDocument) -> Event | None:
        """The event of a run, as long as the log has it. Raises TransportUnavailable."""
        if run["accepted_at"] is None:
            return None
        function = self._catalog.find(run["function"])
        accepted_at_ms = round(datetime.fromisoformat(run["accepted_at"]).timestamp() * 1000)
        return await self._events.find(run["request_id"], accepted_at_ms, function.queue_topic if function else None)


def planned_event(run: Mapping[str, Any], original: Event | None, replay_id: str) -> Event:
    """Pure: the same replay of the same run is the same event, so its RequestId is the same too."""
    origin = str(run["request_id"])
    if original is None:
        return Event(
            id=f"{origin}/{replay_id}",
            source=run["source"] or f"headrace:replay/{run['function']}",
            type=EVENT_TYPE,
            subject=run["subject"],
            extensions={ORIGIN_ATTRIBUTE: origin},
        )
    kept = {name: value for name, value in original.extensions.items() if name not in _STAMPS}
    return replace(original, id=f"{origin}/{replay_id}", extensions={**kept, ORIGIN_ATTRIBUTE: origin})


class ReplayRoutes:
    def __init__(self, *, runs: Runs, replays: Replays) -> None:
        self._runs = runs
        self._replays = replays

    def routes(self) -> list[Route]:
        return [
            Route(
                method="POST",
                path="/v1/runs/{request_id}/replay",
                endpoint=self.replay,
                summary="Run its event again, as a new run",
                answers={202: documents.Replayed},
                problems=(409, 410, 413, 429),
                tag="runs",
            ),
            Route(
                method="GET",
                path="/v1/runs/{request_id}/event",
                endpoint=self.event,
                summary="The event of a run",
                answers={200: documents.RunEvent},
                problems=(410,),
                tag="runs",
            ),
        ]

    async def event(self, request_id: RunId) -> Response:
        """As a CloudEvent in structured mode, for as long as it is on the log."""
        event = await self._replays.original(await self._known(request_id))
        if event is None:
            raise Refused(_event_gone(request_id))
        kept = {name: value for name, value in event.extensions.items() if name not in _STAMPS}
        return Response(encode_structured(replace(event, extensions=kept)), media_type=STRUCTURED)

    async def replay(self, request_id: RunId, body: ReplayBody | None = None) -> Response:
        """The new run has a RequestId of its own and runs the function's present version. With `data` it gets that
        instead of what the event carried; without, the event has to be on the log still (410 says that it is not).
        """
        run = await self._known(request_id)
        wanted = body or ReplayBody()
        planned = await self._replays.plan(run, wanted.id or uuid7(), wanted)
        new = await self._replays.accept(planned)
        document = {
            "request_id": new,
            "replay_of": request_id,
            "function": planned.function.name,
            "version": planned.function.current.version,
        }
        return answer(document, status=202, run=new, location=f"/v1/runs/{new}")

    async def _known(self, request_id: str) -> RunDocument:
        check_form(request_id)
        run = await self._runs.find(request_id)
        if run is None:
            raise unknown_run(request_id)
        return run


def _function_gone(name: str) -> Problem:
    return Problem(
        status=409,
        name="function-deleted",
        title="Its function is gone",
        detail=f"the function {name!r} has been deleted: nothing can run this event",
        remedy="Deploy the function again, then replay.",
    )


def _event_gone(run: str) -> Problem:
    return Problem(
        status=410,
        name="event-gone",
        title="Its event is gone",
        detail=f"the event of run {run} is not on the log any more",
        remedy='Send what it carried along: {"data": ...}.',
        request_id=run,
    )
