"""`/v1/rejected`: what could not become an event, or not be run; sending it again, or leaving it at that.

The topic `rejected` only grows, until its 14 days are over. What became of a record is a mark on the topic `triggers`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query
from starlette.responses import Response

from processor.core.clock import Clock
from processor.core.rejected import Headers, Rejection, rejection_of
from processor.core.request_id import partition_of, request_id
from processor.core.topics import INTAKE
from processor.core.trigger_records import DISCARDED, REDRIVEN, RejectedMark
from processor.dispatcher.accept import Acceptor, NotAccepted
from processor.gateway.answers import answer
from processor.gateway.redrive import ToIntake, plan
from processor.gateway.rejected_log import Place, RejectedLog, place_of
from processor.gateway.routes import Actor, Endpoint, Route
from processor.gateway.schemas import documents
from processor.gateway.schemas.bodies import RedriveBody
from processor.gateway.schemas.parameters import RejectedQuery
from processor.gateway.triggers import write
from processor.http.problems import Problem, Refused, not_found, unavailable
from processor.recorder.store import timestamp
from processor.registry.trigger_board import TriggerBoard
from processor.transport.abstract import Appender, Outcome, Record

#: What runs of redriven raw bytes show as their trigger.
TRIGGER = "redrive"
OPEN = "open"
#: Records looked at for one page: a page full of filtered ones comes back short, with its cursor.
_SCANNED = 640
_PREVIEW_CHARS = 120
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f�]+")


class RejectedRoutes:
    def __init__(
        self,
        *,
        log: RejectedLog,
        board: TriggerBoard,
        acceptor: Acceptor,
        appender: Appender,
        clock: Clock,
        intake_partitions: int,
    ) -> None:
        self._log = log
        self._board = board
        self._acceptor = acceptor
        self._appender = appender
        self._clock = clock
        self._intake_partitions = intake_partitions

    def routes(self) -> list[Route]:
        return [
            _route("GET", "", self.list, "List what was rejected, newest first", {200: documents.RejectedPage}),
            _route("GET", "/{place}", self.get, "One, with its bytes", {200: documents.Rejected}),
            _route("POST", "/{place}/redrive", self.redrive, "Send it again", {202: documents.Redriven}, 409, 422, 429),
            _route("POST", "/{place}/discard", self.discard, "Leave it at that", {200: documents.Marked}, 409),
        ]

    async def list(self, query: Annotated[RejectedQuery, Query()]) -> Response:
        found, before = await self.page(query)
        return answer({"rejected": found, "cursor": None if before is None else str(before)})

    async def page(self, query: RejectedQuery) -> tuple[Sequence[dict[str, Any]], Place | None]:
        """Newest first, and where to go on. Raises Refused (503), TransportUnavailable."""
        self._check_read()
        cursor = None if query.cursor is None else Place.parse(query.cursor)
        return await self._page(cursor, query.limit, query)

    async def get(self, place: str) -> Response:
        record = await self._record(place)
        rejection = rejection_of(record.value, record.headers)
        return answer(self._document(record) | {"headers": _headers(rejection.headers), **_data(rejection.raw)})

    async def redrive(self, place: str, actor: Actor, body: RedriveBody | None = None) -> Response:
        """What was redriven before is not sent again."""
        function = (body and body.function) or None
        record = await self._record(place)
        mark = self._mark_of(record)
        if mark is not None and mark.state == REDRIVEN:
            _check_same(mark, function)
            return _redriven(mark)
        planned = plan(record, function)
        self._acceptor.admit(planned.function)
        if isinstance(planned, ToIntake):
            run = await self._append(planned)
        else:
            event, name = planned.event, planned.function
            run = (await self._acceptor.accept(name, event, trigger=TRIGGER, event_format="cloudevents")).request_id
        mark = self._new_mark(actor, record, REDRIVEN, request_id=run, function=planned.function)
        await write(self._appender, self._board, mark.key, mark)
        return _redriven(mark)

    async def discard(self, place: str, actor: Actor) -> Response:
        record = await self._record(place)
        mark = self._mark_of(record)
        if mark is not None and mark.state == REDRIVEN:
            detail = f"it was redriven as run {mark.request_id}"
            raise Refused(_conflict("redriven", detail, "Nothing more is to be done with it."))
        if mark is None:
            mark = self._new_mark(actor, record, DISCARDED)
            await write(self._appender, self._board, mark.key, mark)
        return answer({"id": mark.place, "state": mark.state})

    async def _page(
        self, cursor: Place | None, limit: int, query: RejectedQuery
    ) -> tuple[Sequence[dict[str, Any]], Place | None]:
        found, scanned = [], 0
        while True:
            block = await self._log.older_than(cursor)
            for record in block.records:
                cursor = place_of(record)
                document = self._document(record)
                if _is_wanted(document, query):
                    found.append(document)
                if len(found) == limit:
                    return found, cursor
            cursor, scanned = block.before, scanned + len(block.records)
            if cursor is None or scanned >= _SCANNED:
                return found, cursor

    async def _record(self, text: str) -> Record:
        self._check_read()
        try:
            record = await self._log.get(Place.parse(text))
        except ValueError:
            record = None
        if record is None:
            raise not_found(
                f"there is no rejected record {text!r}",
                remedy="List them: GET /v1/rejected, `headrace rejected ls`; they are kept for 14 days.",
            )
        return record

    async def _append(self, planned: ToIntake) -> str:
        run = request_id(planned.function, planned.source, planned.id)
        appended = await self._appender.append(
            INTAKE.name,
            planned.value,
            key=run.encode(),
            partition=partition_of(run, self._intake_partitions),
            headers=planned.headers,
        )
        if appended.outcome is not Outcome.YES:
            raise NotAccepted(run, appended.outcome, appended.reason)
        return run

    def _check_read(self) -> None:
        if not self._board.caught_up.is_set():
            detail = "what became of the rejected records has not been read to its end yet"
            raise Refused(unavailable("not-ready", "Not ready", detail, remedy="Ask again in a moment."))

    def _mark_of(self, record: Record) -> RejectedMark | None:
        """A topic that was made anew has other records at the same places."""
        mark = self._board.fold.marks.get(str(place_of(record)))
        return mark if mark is not None and mark.rejected_ms == record.timestamp_ms else None

    def _new_mark(
        self, by: str, record: Record, state: str, *, request_id: str = "", function: str = ""
    ) -> RejectedMark:
        return RejectedMark(
            place=str(place_of(record)),
            state=state,
            by=by,
            at_ms=self._clock.unix_ms(),
            rejected_ms=record.timestamp_ms,
            request_id=request_id,
            function=function,
        )

    def _document(self, record: Record) -> dict[str, Any]:
        rejection, mark = rejection_of(record.value, record.headers), self._mark_of(record)
        return {
            "id": str(place_of(record)),
            "rejected_at": timestamp(record.timestamp_ms),
            "state": mark.state if mark else OPEN,
            "reason": rejection.reason,
            "origin": rejection.origin,
            "trigger": rejection.trigger or None,
            "function": rejection.function or None,
            "size_bytes": len(rejection.raw),
            "cut": rejection.truncated,
            "preview": _preview(rejection),
            "request_id": (mark and mark.request_id) or None,
            "marked_by": mark and mark.by,
            "marked_at": mark and timestamp(mark.at_ms),
        }


def _is_wanted(document: Mapping[str, Any], query: RejectedQuery) -> bool:
    named = query.trigger in (None, document["trigger"]) and query.function in (None, document["function"])
    return named and query.state in ("all", document["state"])


def _preview(rejection: Rejection) -> str:
    text = rejection.raw[: _PREVIEW_CHARS * 4].decode("utf-8", "replace")
    return _UNPRINTABLE.sub(" ", text)[:_PREVIEW_CHARS]


def _headers(headers: Headers) -> list[list[str]]:
    return [[name, value.decode("utf-8", "backslashreplace")] for name, value in headers]


def _data(raw: bytes) -> dict[str, str]:
    try:
        return {"data": raw.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(raw).decode()}


def _check_same(mark: RejectedMark, function: str | None) -> None:
    if function not in (None, mark.function):
        detail = f"it was redriven to {mark.function!r} before, as run {mark.request_id}"
        raise Refused(_conflict("redriven", detail, "Send the event of that run to the other function yourself."))


def _redriven(mark: RejectedMark) -> Response:
    document = {"id": mark.place, "state": mark.state, "request_id": mark.request_id, "function": mark.function}
    return answer(document, status=202, run=mark.request_id, location=f"/v1/runs/{mark.request_id}")


def _route(
    method: str, path: str, endpoint: Endpoint, summary: str, answers: Mapping[int, type], *problems: int
) -> Route:
    return Route(
        method=method,
        path=f"/v1/rejected{path}",
        endpoint=endpoint,
        summary=summary,
        answers=answers,
        problems=problems,
        tag="rejected",
    )


def _conflict(name: str, detail: str, remedy: str) -> Problem:
    return Problem(status=409, name=name, title="Not possible any more", detail=detail, remedy=remedy)
