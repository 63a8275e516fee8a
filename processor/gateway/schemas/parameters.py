"""What may stand in the query of an address: the one place for its names, its forms and how they are explained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from processor.core.errors import HeadraceError
from processor.core.run import Status
from processor.gateway.moments import Moment, duration_in
from processor.gateway.parse import number_in, one_of, whole_in
from processor.gateway.rejected_log import Place as RejectedPlace
from processor.recorder.store import LEVELS, PAGE_LIMITS, LinePlace, LineQuery, Place, RunQuery
from processor.recorder.store import ActivityQuery as HistoryActivityQuery

#: The longest that an answer is waited for, but for synchronous functions.
MAX_WAIT_SEC = 60
#: `?wait` of a cancel without a number.
DEFAULT_WAIT_SEC = 10.0
DEFAULT_LIMIT = 50
REJECTED_LIMITS = range(1, 201)
MAX_TEXT_CHARS = 200
MAX_NAME_CHARS = 200
#: Of one chart.
MAX_BUCKETS = 2_000


def form(parse: Callable[[str], Any], expected: str, schema: dict[str, Any]) -> tuple[PlainValidator, WithJsonSchema]:
    """A parameter that `parse` understands; expected: what it is, as in "limit='x' is not from 1 to 1000"."""

    def validate(value: Any) -> Any:
        try:
            return parse(value) if isinstance(value, str) else value
        except (ValueError, HeadraceError):
            raise PydanticCustomError("not_expected", "{expected}", {"expected": expected}) from None

    return PlainValidator(validate), WithJsonSchema(schema)


class Query(BaseModel):
    """Whoever misspells a filter should hear of it, and not get everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)


_WAIT = f"a number of seconds from 0 to {MAX_WAIT_SEC}"
_WAIT_SCHEMA = {"type": "number", "minimum": 0, "maximum": MAX_WAIT_SEC}
_wait_seconds = number_in(0, MAX_WAIT_SEC)
_TIME = "a time like 2026-11-24T09:00:00Z, or how long ago, like 15m"
_TIME_SCHEMA = {
    "anyOf": [
        {"type": "string", "format": "date-time"},
        {"type": "string", "pattern": "^[0-9]{1,6}[smhd]$", "examples": ["15m", "7d"]},
    ]
}
_Time = Annotated[Moment | None, *form(Moment.parse, _TIME, _TIME_SCHEMA)]


def _limit(limits: range) -> Any:
    schema = {"type": "integer", "minimum": limits[0], "maximum": limits[-1]}
    return Annotated[int, *form(whole_in(limits), f"from {limits[0]} to {limits[-1]}", schema)]


def _cursor(text: str) -> str:
    Place.parse(text)
    return text


def _line_cursor(text: str) -> str:
    LinePlace.parse(text)
    return text


class WaitQuery(Query):
    wait: Annotated[float, *form(_wait_seconds, _WAIT, _WAIT_SCHEMA)] = Field(
        0.0, description="Answer when the run has ended, or after so many seconds."
    )


class CancelQuery(Query):
    wait: Annotated[
        float,
        *form(lambda text: _wait_seconds(text) if text else DEFAULT_WAIT_SEC, _WAIT, _WAIT_SCHEMA),
    ] = Field(0.0, description=f"Wait so many seconds for the end; {DEFAULT_WAIT_SEC:g} when no number is given.")


_statuses = ", ".join(each.value for each in Status)
_Name = Annotated[str | None, Field(max_length=MAX_NAME_CHARS)]


class RunFilter(Query):
    """Which runs. Everything that is given has to hold."""

    function: _Name = Field(None, description="Of this function.")
    status: Annotated[
        Status | None,
        *form(Status, f"one of {_statuses}", {"type": "string", "enum": [each.value for each in Status]}),
    ] = Field(None, description="In this state.")
    code: Annotated[
        int | None,
        *form(whole_in(range(100, 1000)), "a status code", {"type": "integer", "minimum": 100, "maximum": 999}),
    ] = Field(None, description="Ended with this status code.")
    since: _Time = Field(None, description="Accepted at this time or later.")
    until: _Time = Field(None, description="Accepted before this time.")
    trigger: _Name = Field(None, description="Begun by this kind of source: http, kafka, storage, schedule, ...")
    text: Annotated[str | None, Field(max_length=MAX_TEXT_CHARS)] = Field(
        None, description="With this in the RequestId, the subject, or the error. Upper and lower case are the same."
    )

    def run_query(self, now_ms: int, *, cursor: str | None = None, limit: int = DEFAULT_LIMIT) -> RunQuery:
        return RunQuery(
            function=self.function,
            status=self.status,
            status_code=self.code,
            since_ms=self.since.at_ms(now_ms) if self.since else None,
            until_ms=self.until.at_ms(now_ms) if self.until else None,
            trigger=self.trigger,
            text=self.text,
            cursor=cursor,
            limit=limit,
        )


_CURSOR_FORM = form(_cursor, "a cursor of this list", {"type": "string"})


class RunListQuery(RunFilter):
    cursor: Annotated[str | None, *_CURSOR_FORM] = Field(None, description="Go on where the page with it ended.")
    limit: _limit(PAGE_LIMITS) = Field(DEFAULT_LIMIT, description="Runs of one page.")  # type: ignore[valid-type]  # made

    def page_query(self, now_ms: int) -> RunQuery:
        return self.run_query(now_ms, cursor=self.cursor, limit=self.limit)


class LogQuery(Query):
    """Of one run's lines."""

    follow: Annotated[str, *form(one_of("0", "1"), "0 or 1", {"type": "string", "enum": ["0", "1"]})] = Field(
        "0", description="1: server-sent events until the run has ended."
    )
    format: Annotated[
        str, *form(one_of("text", "json"), "text or json", {"type": "string", "enum": ["text", "json"]})
    ] = Field("text", description="json: one JSON document a line.")
    after: Annotated[
        int | None, *form(whole_in(range(sys.maxsize)), "the seq of a line", {"type": "integer", "minimum": 0})
    ] = Field(None, description="Only lines with a higher number.")
    platform: Annotated[str, *form(one_of("0", "1"), "0 or 1", {"type": "string", "enum": ["0", "1"]})] = Field(
        "0", description="1: with what Headrace says of the run: START (seq 0); Response or ERROR, END, Report."
    )


_span = duration_in(60_000, 7 * 86_400_000)
_SPAN = "a time span from 1m to 7d, like 90m or 24h"
_SPAN_SCHEMA = {"type": "string", "pattern": "^[0-9]{1,6}[smhd]$", "examples": ["1h"]}


class OverviewQuery(Query):
    window: Annotated[int, *form(_span, _SPAN, _SPAN_SCHEMA)] = Field(
        3_600_000, description="How far back throughput, waits and failures are counted; 1h when left out."
    )

    @property
    def window_ms(self) -> int:
        return self.window


class ActivityQuery(Query):
    function: _Name = Field(None, description="Only of this function.")
    since: _Time = Field(None, description="From this time on; an hour ago when left out.")
    until: _Time = Field(None, description="Before this time.")
    bucket: Annotated[int, *form(_span, _SPAN, _SPAN_SCHEMA)] = Field(60_000, description="Width: whole minutes.")

    def history_query(self, now_ms: int) -> HistoryActivityQuery:
        until_ms = self.until.at_ms(now_ms) if self.until else now_ms
        since_ms = self.since.at_ms(now_ms) if self.since else until_ms - 3_600_000
        bucket_ms = max(self.bucket // 60_000, 1) * 60_000
        # A longer answer would be of no use to a chart, and could be made as long as one likes.
        since_ms = max(since_ms, until_ms - MAX_BUCKETS * bucket_ms)
        return HistoryActivityQuery(since_ms=since_ms, until_ms=until_ms, bucket_ms=bucket_ms, function=self.function)


class LogSearchQuery(Query):
    """Lines of all runs. Narrow the time where there is much."""

    function: _Name = Field(None, description="Of this function.")
    request_id: _Name = Field(None, description="Of this run.")
    level: Annotated[
        str | None, *form(one_of(*LEVELS), f"one of {', '.join(LEVELS)}", {"type": "string", "enum": list(LEVELS)})
    ] = Field(None, description="Of this level and above; lines without a level are left out then.")
    text: Annotated[str | None, Field(min_length=1, max_length=MAX_TEXT_CHARS)] = Field(
        None, description="With this in them. Upper and lower case of ASCII letters are the same."
    )
    since: _Time = Field(None, description="From this time on.")
    until: _Time = Field(None, description="Before this time.")
    cursor: Annotated[str | None, *form(_line_cursor, "a cursor of this list", {"type": "string"})] = Field(
        None, description="Search on where the page with it ended."
    )
    limit: _limit(PAGE_LIMITS) = Field(200, description="Lines of one page.")  # type: ignore[valid-type]  # made

    def history_query(self, now_ms: int) -> LineQuery:
        return LineQuery(
            function=self.function,
            request_id=self.request_id,
            level=self.level,
            text=self.text,
            since_ms=self.since.at_ms(now_ms) if self.since else None,
            until_ms=self.until.at_ms(now_ms) if self.until else None,
            cursor=self.cursor,
            limit=self.limit,
        )


class ChangesQuery(Query):
    function: _Name = Field(None, description="Only of this function.")


class FunctionQuery(Query):
    function: _Name = Field(None, description="Only of this function.")


def _rejected_cursor(text: str) -> str:
    RejectedPlace.parse(text)
    return text


class RejectedQuery(Query):
    cursor: Annotated[str | None, *form(_rejected_cursor, "a cursor of this list", {"type": "string"})] = Field(
        None, description="Go on where the page with it ended."
    )
    limit: _limit(REJECTED_LIMITS) = Field(DEFAULT_LIMIT, description="Records of one page.")  # type: ignore[valid-type]  # made
    state: Annotated[str, *form(one_of("open", "all"), "open or all", {"type": "string", "enum": ["open", "all"]})] = (
        Field("open", description="all: also what was redriven or discarded.")
    )
    trigger: _Name = Field(None, description="Only of this trigger.")
    function: _Name = Field(None, description="Only of this function.")
