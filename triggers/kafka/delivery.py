"""Brings steps to where they end: events on the intake, poison on `rejected`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from processor.core.event import Event
from processor.core.rejected import Headers, Rejection
from triggers.abstract import Binding
from triggers.intake import Intake
from triggers.kafka.abstract import BadRecord, SourceRecord
from triggers.kafka.steps import Step
from triggers.watching import Condition

#: Rejections under way at a time.
_REJECTIONS = 50
#: A record's headers on `rejected` must leave room for its bytes.
_HEADERS_BYTES = 262_144
KEY_HEADER = "kafka-key"
CUT_HEADER = "headers-cut"


class Delivery:
    def __init__(self, binding: Binding, intake: Intake, condition: Condition) -> None:
        self._binding = binding
        self._intake = intake
        self._condition = condition

    async def deliver(self, steps: Sequence[Step]) -> AsyncIterator[Sequence[Step]]:
        """Yields them, in order, as they are done: how many at a time is up to the function's rate. Raises
        UnknownFunction, FunctionDisabled; goes on trying for as long as the intake does not answer.
        """
        await self._reject_all([each for step in steps for each in step.poison])
        events = [event for step in steps for event in step.events]
        #: Number of events up to and including each step's.
        ends: list[int] = []
        for step in steps:
            ends.append((ends[-1] if ends else 0) + len(step.events))
        sent = done = 0
        while done < len(steps):
            if sent < len(events):
                sent += await self._submit(steps, ends, events[sent:], sent)
            first = done
            while done < len(steps) and ends[done] <= sent:
                done += 1
            yield steps[first:done]

    async def _submit(self, steps: Sequence[Step], ends: Sequence[int], events: Sequence[Event], sent: int) -> int:
        answers = await self._intake.submit_some(self._binding, events, on_trouble=self._condition.note_trouble)
        refused = [(sent + number, each) for number, each in enumerate(answers) if not isinstance(each, str)]
        self._condition.note_accepted(len(answers) - len(refused))
        for number, error in refused:
            step = next(step for step, end in zip(steps, ends, strict=True) if number < end)
            # A notification's own bytes may hold its caller's signature; its events do not.
            raw = None if self._binding.kind == "kafka" else events[number - sent].data
            await self._reject_all([(record, BadRecord(reason=str(error), raw=raw)) for record in step.records])
        return len(answers)

    async def _reject_all(self, found: Sequence[tuple[SourceRecord, BadRecord]]) -> None:
        for first in range(0, len(found), _REJECTIONS):
            some = [self._rejection(record, poison) for record, poison in found[first : first + _REJECTIONS]]
            note = self._condition.note_trouble
            await asyncio.gather(*(self._intake.reject(each, on_trouble=note) for each in some))
            self._condition.note_rejected(len(some))

    def _rejection(self, record: SourceRecord, poison: BadRecord) -> Rejection:
        return Rejection(
            raw=(record.value or b"") if poison.raw is None else poison.raw,
            reason=poison.reason,
            origin=record.origin,
            trigger=self._binding.trigger_id,
            function=self._binding.function,
            headers=kept_headers(record),
        )


def kept_headers(record: SourceRecord) -> Headers:
    """The record's key is one of them. A record whose headers alone fill `rejected` must not stand still for that."""
    found = [*([] if record.key is None else [(KEY_HEADER, record.key)]), *record.headers]
    kept: list[tuple[str, bytes]] = []
    size_bytes = 0
    for name, value in found:
        size_bytes += len(name) + len(value)
        if size_bytes > _HEADERS_BYTES:
            return [*kept, (CUT_HEADER, b"true")]
        kept.append((name, value))
    return kept
