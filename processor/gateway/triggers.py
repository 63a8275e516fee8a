"""`/v1/triggers`: how they are, and what is asked of them. The processes that run them read it from `triggers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.topics import TRIGGERS
from processor.core.trigger_records import GATEWAY_KINDS, FireRequest, Pause, TriggerRecord
from processor.gateway.answers import answer
from processor.gateway.catalog import Catalog
from processor.gateway.routes import Actor, Endpoint, Route
from processor.gateway.schemas import documents
from processor.gateway.schemas.parameters import FunctionQuery
from processor.gateway.trigger_documents import (
    SILENCE_SEC,
    Entry,
    entries_of,
    fire_document,
    trigger_document,
)
from processor.http.identity import uuid7
from processor.http.problems import Problem, Refused, not_found, unavailable
from processor.registry.trigger_board import TriggerBoard
from processor.transport.abstract import Appender, Outcome, TransportUnavailable

#: What was written comes by within milliseconds; it is on the topic in any case.
SEEN_SEC = 3.0


class TriggerRoutes:
    def __init__(self, *, catalog: Catalog, board: TriggerBoard, appender: Appender, clock: Clock) -> None:
        self._catalog = catalog
        self._board = board
        self._appender = appender
        self._clock = clock

    def routes(self) -> list[Route]:
        one = {200: documents.Trigger}
        return [
            _route("GET", "", self.list, "List triggers and how they are", {200: documents.TriggerList}),
            _route("GET", "/{trigger}", self.get, "One trigger, in every process that runs it", one),
            _route("POST", "/{trigger}/pause", self.pause, "Pause; what happens meanwhile waits", one, 409),
            _route("POST", "/{trigger}/resume", self.resume, "Resume", one),
            _route("POST", "/{trigger}/fire", self.fire, "Fire once, now", {202: documents.FireAsked}, 409),
            _route("GET", "/{trigger}/fires/{fire}", self.get_fire, "What came of it", {200: documents.Fire}),
        ]

    async def list(self, query: Annotated[FunctionQuery, Query()]) -> Response:
        return answer({"triggers": self.documents(query.function)})

    def documents(self, function: str | None = None) -> Sequence[dict[str, Any]]:
        """Raises Refused (503) before the triggers have been read."""
        self._check_read()
        return [
            self._document(entry)
            for each in self._catalog.functions()
            if function in (None, each.name)
            for entry in entries_of(each)
        ]

    async def get(self, trigger: str) -> Response:
        return answer(self._document(self._entry(trigger)))

    async def pause(self, trigger: str, actor: Actor) -> Response:
        """Answers once it is durable; the processes that run it let go of the source a moment later."""
        entry = self._entry(trigger)
        if entry.kind in GATEWAY_KINDS:
            raise Refused(_conflict("not-pausable", f"a {entry.kind} trigger cannot be paused", _DISABLE))
        if trigger not in self._board.fold.pauses:
            pause = Pause(trigger=trigger, by=actor, at_ms=self._clock.unix_ms())
            await write(self._appender, self._board, pause.key, pause)
        return answer(self._document(entry))

    async def resume(self, trigger: str) -> Response:
        entry = self._entry(trigger)
        pause = self._board.fold.pauses.get(trigger)
        if pause is not None:
            await write(self._appender, self._board, pause.key, None)
        return answer(self._document(entry))

    async def fire(self, trigger: str, actor: Actor) -> Response:
        """Answers 202 with the id of the request; what came of it is at /v1/triggers/{id}/fires/{that id}."""
        self._check_firable(self._entry(trigger))
        wanted = FireRequest(trigger=trigger, request=uuid7(), by=actor, at_ms=self._clock.unix_ms())
        await write(self._appender, self._board, wanted.key, wanted)
        location = f"/v1/triggers/{trigger}/fires/{wanted.request}"
        return answer({"id": wanted.request, "trigger": trigger}, status=202, location=location)

    async def get_fire(self, trigger: str, fire: str) -> Response:
        self._check_read()
        found = self._board.fold.fire(trigger, fire)
        if found is None:
            raise not_found(f"the trigger {trigger!r} has no request {fire!r}", remedy="They are kept for a day.")
        return answer(fire_document(found))

    def _entry(self, trigger: str) -> Entry:
        self._check_read()
        for function in self._catalog.functions():
            # The id begins with the function's name: spares the digests of all others.
            if trigger.startswith(f"{function.name}-"):
                found = next((each for each in entries_of(function) if each.id == trigger), None)
                if found is not None:
                    return found
        raise not_found(f"no trigger has the id {trigger!r}", remedy=_IDS)

    def _check_firable(self, entry: Entry) -> None:
        document = self._document(entry)
        if entry.kind in GATEWAY_KINDS:
            raise Refused(_conflict("not-firable", f"a {entry.kind} trigger cannot be fired", _INVOKE))
        if document["paused"]:
            remedy = f"Resume it first: `headrace triggers resume {entry.id}`."
            raise Refused(_conflict("paused", f"the trigger {entry.id!r} is paused", remedy))
        fold, now_sec = self._board.fold, self._clock.boottime()
        if not any(fold.is_live(each, now_sec, SILENCE_SEC) for each in fold.reports.get(entry.id, {})):
            raise Refused(unavailable("not-running", "Not running", document["reason"], remedy=document["remedy"]))

    def _check_read(self) -> None:
        if not self._board.caught_up.is_set():
            detail = "the triggers have not been read to their end yet"
            raise Refused(unavailable("not-ready", "Not ready", detail, remedy="Ask again in a moment."))

    def _document(self, entry: Entry) -> dict[str, Any]:
        return trigger_document(entry, self._board.fold, self._clock.boottime())


async def write(appender: Appender, board: TriggerBoard, key: str, record: TriggerRecord | None) -> None:
    """Returns once it is durable on `triggers` and, mostly, seen here. Raises TransportUnavailable."""
    value = None if record is None else record.encode()
    appended = await appender.append(TRIGGERS.name, value, key=key.encode(), partition=0)
    if appended.outcome is not Outcome.YES:
        known = "was not" if appended.outcome is Outcome.NO else "may or may not have been"
        raise TransportUnavailable(f"it {known} written: {appended.reason}")
    await board.passed(appended.offset, SEEN_SEC)


def _route(
    method: str, path: str, endpoint: Endpoint, summary: str, answers: Mapping[int, type], *problems: int
) -> Route:
    return Route(
        method=method,
        path=f"/v1/triggers{path}",
        endpoint=endpoint,
        summary=summary,
        answers=answers,
        problems=problems,
        tag="triggers",
    )


def _conflict(name: str, detail: str, remedy: str) -> Problem:
    return Problem(status=409, name=name, title="Not possible now", detail=detail, remedy=remedy)


_IDS = "List them: GET /v1/triggers, `headrace triggers ls`. An id changes when the trigger's settings do."
_DISABLE = "Disable the function: `enabled: false` in the manifest, then `headrace deploy`."
_INVOKE = "Send an event: POST /v1/events, or `headrace invoke FUNCTION`."
