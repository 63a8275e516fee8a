"""Accept: RequestId, admission, the durable append to intake. Used by the gateway and by every trigger adapter.

The caller acknowledges its upstream after `accept` has returned, and never before (guarantee 1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from processor.core.clock import Clock
from processor.core.codec import Unencodable, encode_structured
from processor.core.errors import HeadraceError
from processor.core.event import FORMAT_ATTRIBUTE, FUNCTION_ATTRIBUTE, TRIGGER_ATTRIBUTE, Event
from processor.core.failpoints import failpoint
from processor.core.function import Function
from processor.core.request_id import partition_of, request_id
from processor.core.topics import INTAKE, MAX_EVENT_BYTES
from processor.dispatcher.bulk import BulkAppender, Outgoing
from processor.dispatcher.throttle import Rate, TokenBucket
from processor.transport.abstract import Appender, AppendFailed, Outcome, TransportError

_STRUCTURED = (("content-type", b"application/cloudevents+json; charset=UTF-8"),)


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """What the upstream may be told: the event is on the intake log, and its run has this id."""

    request_id: str
    function: str
    partition: int
    offset: int


class UnknownFunction(HeadraceError):
    """No function has this name."""

    remedy = "List the functions with `headrace functions ls`, or deploy it with `headrace deploy`."

    def __init__(self, function: str) -> None:
        super().__init__(f"no function is named {function!r}")
        self.function = function


class FunctionDisabled(HeadraceError):
    """The function takes no new events."""

    remedy = "Enable it: set `enabled: true` in the manifest and run `headrace deploy`."

    def __init__(self, function: str) -> None:
        super().__init__(f"function {function!r} is disabled and takes no new events")
        self.function = function


class EventTooLarge(HeadraceError):
    """The event is larger than the limit."""

    remedy = "Keep large payloads in object storage and send their address."

    def __init__(self, size_bytes: int) -> None:
        super().__init__(f"the event has {size_bytes:,} bytes; the limit is {MAX_EVENT_BYTES:,}")
        self.size_bytes = size_bytes


class RateExceeded(HeadraceError):
    """The function's rate limit is reached."""

    remedy = "Send again after Retry-After seconds, or raise `rate` in the manifest."

    def __init__(self, function: str, rate_per_sec: float, retry_after_sec: float) -> None:
        super().__init__(f"function {function!r} takes {rate_per_sec:g} events per second")
        self.function = function
        self.retry_after_sec = retry_after_sec


class NotAccepted(HeadraceError):
    """Whether the event was accepted is unknown."""

    remedy = (
        "Send the same event again with the same identity (for HTTP: the same Idempotency-Key); a repeat is harmless."
    )

    def __init__(self, request_id: str, outcome: Outcome, reason: str) -> None:
        known = "was not accepted" if outcome is Outcome.NO else "may or may not have been accepted"
        super().__init__(f"the event {known}: {reason}")
        self.request_id = request_id
        self.outcome = outcome


#: Of one event among many: its RequestId once it is durable, or why it can never be.
Accepted = str | EventTooLarge | Unencodable

#: A function's tokens are taken for this long at a time where many events wait: a flush each 50 ms, not each token.
_PACE_SEC = 0.05


class Acceptor:
    """One per process that accepts events; used on one event loop.

    functions: looks a function up by name in the process's view of the registry.
    live_gateways: how many gateways share each function's rate right now.
    bulk: for `accept_some`; who does not call that needs none.
    """

    def __init__(
        self,
        *,
        functions: Callable[[str], Function | None],
        appender: Appender,
        clock: Clock,
        intake_partitions: int = INTAKE.partitions,
        live_gateways: Callable[[], int] = lambda: 1,
        bulk: BulkAppender | None = None,
    ) -> None:
        self._functions = functions
        self._appender = appender
        self._clock = clock
        self._intake_partitions = intake_partitions
        self._live_gateways = live_gateways
        self._bulk = bulk
        self._buckets: dict[str, TokenBucket] = {}

    def admit(self, function_name: str) -> Function:
        """Raises UnknownFunction, FunctionDisabled. Takes no token."""
        function = self._functions(function_name)
        if function is None:
            raise UnknownFunction(function_name)
        if not function.enabled:
            raise FunctionDisabled(function_name)
        return function

    async def accept(self, function_name: str, event: Event, *, trigger: str, event_format: str) -> Receipt:
        """For callers that can be told to come back: HTTP. Returns after the durable append.

        event_format: "data" or "cloudevents", the shape the handler gets.
        Raises UnknownFunction, FunctionDisabled, EventTooLarge, RateExceeded (nothing was written) and NotAccepted.
        """
        function = self.admit(function_name)
        wait_sec = self._take_token(function)
        if wait_sec:
            raise RateExceeded(function_name, function.rate_per_sec, wait_sec)
        return await self._append(function_name, event, trigger, event_format)

    async def accept_when_admitted(
        self, function_name: str, event: Event, *, trigger: str, event_format: str
    ) -> Receipt:
        """For pull sources, which are never refused by the rate: waits for a token first. Raises like `accept`,
        except RateExceeded.
        """
        while True:
            wait_sec = self._take_token(self.admit(function_name))
            if not wait_sec:
                return await self._append(function_name, event, trigger, event_format)
            await asyncio.sleep(wait_sec)

    async def accept_some(
        self, function_name: str, events: Sequence[Event], *, trigger: str, event_format: str
    ) -> list[Accepted]:
        """For pull sources with many events at hand: waits for the function's rate to admit the first of them, and
        returns once that one and those right behind it which are admitted too are durable, in one flush for all. The
        answers belong to events[: len(answers)]; there is at least one.

        Raises UnknownFunction, FunctionDisabled, NotAccepted (any of them may or may not be on the log).
        """
        assert self._bulk is not None, "this acceptor was made without a bulk appender"
        admitted = events[: await self._take_tokens(function_name, len(events))]
        prepare = partial(self._outgoing, function_name, trigger=trigger, event_format=event_format)
        try:
            return await self._bulk.run(partial(_accept_in_thread, self._bulk, prepare, admitted))
        except AppendFailed as error:
            raise NotAccepted("", error.outcome, error.reason) from error
        except TransportError as error:
            raise NotAccepted("", Outcome.UNKNOWN, str(error)) from error

    async def _take_tokens(self, function_name: str, wanted: int) -> int:
        """Waits for the first, and a moment longer for those that come next; 1 to `wanted`."""
        taken = 0
        until_sec = self._clock.boottime() + _PACE_SEC
        while True:
            function = self.admit(function_name)
            wait_sec = 0.0
            while taken < wanted and not (wait_sec := self._take_token(function)):
                taken += 1
            if taken == wanted or (taken and self._clock.boottime() + wait_sec > until_sec):
                return taken
            await asyncio.sleep(max(wait_sec, _PACE_SEC / 2) if taken else wait_sec)

    def _take_token(self, function: Function) -> float:
        now_sec = self._clock.boottime()
        rate = Rate.of(function.rate_per_sec, shares=self._live_gateways())
        bucket = self._buckets.get(function.name)
        if bucket is None:
            bucket = self._buckets[function.name] = TokenBucket(rate, now_sec)
        return bucket.take(rate, now_sec)

    async def _append(self, function_name: str, event: Event, trigger: str, event_format: str) -> Receipt:
        run, out = self._outgoing(function_name, event, trigger=trigger, event_format=event_format)
        failpoint("accept.append.before")
        appended = await self._appender.append(
            out.topic, out.value, key=out.key, partition=out.partition, headers=out.headers
        )
        failpoint("accept.append.after")
        if appended.outcome is not Outcome.YES:
            raise NotAccepted(run, appended.outcome, appended.reason)
        return Receipt(request_id=run, function=function_name, partition=appended.partition, offset=appended.offset)

    def _outgoing(self, function_name: str, event: Event, *, trigger: str, event_format: str) -> tuple[str, Outgoing]:
        """The RequestId, and the record. Raises EventTooLarge, Unencodable."""
        run = request_id(function_name, event.source, event.id)
        value = encode_structured(_stamped(event, function_name, trigger, event_format))
        if len(value) > MAX_EVENT_BYTES + _ENVELOPE_BYTES or len(event.data or b"") > MAX_EVENT_BYTES:
            raise EventTooLarge(max(len(event.data or b""), len(value)))
        partition = partition_of(run, self._intake_partitions)
        return run, Outgoing(INTAKE.name, value, run.encode(), partition, _STRUCTURED)


def _accept_in_thread(
    bulk: BulkAppender, prepare: Callable[[Event], tuple[str, Outgoing]], events: Sequence[Event]
) -> list[Accepted]:
    answers: list[Accepted] = []
    records: list[Outgoing] = []
    for event in events:
        try:
            run, record = prepare(event)
        except (EventTooLarge, Unencodable) as error:
            answers.append(error)
        else:
            answers.append(run)
            records.append(record)
    if records:
        failpoint("accept.bulk.before")
        bulk.append(records)
        failpoint("accept.bulk.after")
    return answers


#: Room for attributes around a payload of the full size; base64 of a binary payload has to fit too.
_ENVELOPE_BYTES = MAX_EVENT_BYTES // 3 + 65_536


def _stamped(event: Event, function: str, trigger: str, event_format: str) -> Event:
    stamps = {FUNCTION_ATTRIBUTE: function, TRIGGER_ATTRIBUTE: trigger, FORMAT_ATTRIBUTE: event_format}
    return replace(event, extensions={**event.extensions, **stamps})
