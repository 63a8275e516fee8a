"""Pure: records become steps. A step is done when its events are on the intake and its poison is on `rejected`; the
offset behind it may be committed then.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from processor.core.event import Event
from processor.core.topics import MAX_EVENT_BYTES
from triggers.kafka.abstract import BadRecord, Mixed, Normalise, SourceRecord
from triggers.kafka.events import batch_event
from triggers.kafka.note import Cut
from triggers.kafka.shapes import Shape

T = TypeVar("T")
log = logging.getLogger(__name__)

#: What stands around the elements of a batch.
_WRAP_BYTES = 2_048
_ROOM_BYTES = MAX_EVENT_BYTES - _WRAP_BYTES


@dataclass(slots=True)
class Step:
    """Plain and mutable nowhere: one is made for each record at full speed, and a frozen one costs four times that."""

    partition: int
    #: What may be committed when the step is done.
    next_offset: int
    #: The records it is made of, for `rejected`, should an event turn out to be none.
    records: Sequence[SourceRecord]
    events: Sequence[Event]
    poison: Sequence[tuple[SourceRecord, BadRecord]] = ()
    #: Of a batch: has to be written down before the events are sent.
    cut: Cut | None = None


class Stepper(ABC):
    """The records of one partition, in order; one stepper for each assignment of it."""

    @abstractmethod
    def take(self, records: Sequence[SourceRecord], now_sec: float) -> list[Step]:
        """The steps that are ready with these."""

    @abstractmethod
    def due(self, position: int, now_sec: float) -> list[Step]:
        """What is ready because time has passed. position: the offset to be fetched next."""

    @property
    @abstractmethod
    def waits(self) -> bool:
        """Whether `due` has to be asked."""

    @property
    @abstractmethod
    def due_at_sec(self) -> float | None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchRule:
    shape: Shape
    max_records: int
    max_wait_sec: float


class EachAlone(Stepper):
    """A step for each record."""

    def __init__(self, normalise: Normalise) -> None:
        self._normalise = normalise

    def take(self, records: Sequence[SourceRecord], now_sec: float) -> list[Step]:
        return [self._step(record) for record in records]

    def due(self, position: int, now_sec: float) -> list[Step]:
        return []

    @property
    def waits(self) -> bool:
        return False

    @property
    def due_at_sec(self) -> float | None:
        return None

    def _step(self, record: SourceRecord) -> Step:
        found: Sequence[Event] | Mixed | BadRecord = _guarded(self._normalise, record)
        if isinstance(found, BadRecord):
            return Step(record.partition, record.offset + 1, (record,), (), ((record, found),))
        if isinstance(found, Mixed):
            poison = [(record, each) for each in found.poison]
            return Step(record.partition, record.offset + 1, (record,), found.events, poison)
        return Step(record.partition, record.offset + 1, (record,), found)


@dataclass(slots=True)
class _Open:
    """A batch that grows."""

    begin: int
    since_sec: float
    records: list[SourceRecord] = field(default_factory=list)
    elements: list[bytes] = field(default_factory=list)
    poison: list[tuple[SourceRecord, BadRecord]] = field(default_factory=list)
    size_bytes: int = 0


class Batches(Stepper):
    """Cuts at max_records, at the size of an event, at max_wait; but first where `cuts` of an earlier owner say."""

    def __init__(self, rule: BatchRule, partition: int, begin: int, cuts: Sequence[Cut]) -> None:
        """begin: the committed offset."""
        self._rule = rule
        self._partition = partition
        self._begin = begin
        self._cuts = deque(cuts)
        self._open: _Open | None = None

    def take(self, records: Sequence[SourceRecord], now_sec: float) -> list[Step]:
        steps: list[Step] = []
        for record in records:
            steps += self._pass_cuts(record.offset)
            element = _guarded(self._rule.shape.element, record)
            if isinstance(element, bytes) and len(element) > _ROOM_BYTES:
                element = BadRecord(
                    reason=f"the record alone would be an event of {len(element):,} bytes; the limit is {_ROOM_BYTES:,}"
                )
            steps += self._add(record, element, now_sec)
        return steps

    def due(self, position: int, now_sec: float) -> list[Step]:
        steps = self._pass_cuts(position)
        if not self._cuts and self._open and now_sec >= self._open.since_sec + self._rule.max_wait_sec:
            steps += self._close(self._open.records[-1].offset + 1)
        return steps

    @property
    def waits(self) -> bool:
        return bool(self._open or self._cuts)

    @property
    def due_at_sec(self) -> float | None:
        return self._open.since_sec + self._rule.max_wait_sec if self._open and not self._cuts else None

    def _add(self, record: SourceRecord, element: bytes | BadRecord, now_sec: float) -> list[Step]:
        steps: list[Step] = []
        # BadRecord counts too, though it takes no room in the event: a batch of it must not fill the memory.
        size_bytes = len(element) + 1 if isinstance(element, bytes) else len(record.value or b"")
        if self._open and not self._cuts and self._open.size_bytes + size_bytes > _ROOM_BYTES:
            steps = self._close(record.offset)
        batch = self._open = self._open or _Open(self._begin, now_sec)
        batch.records.append(record)
        batch.size_bytes += size_bytes
        if isinstance(element, BadRecord):
            batch.poison.append((record, element))
        else:
            batch.elements.append(element)
        if self._cuts:
            return steps + self._pass_cuts(record.offset + 1)
        if len(batch.records) >= self._rule.max_records:
            steps += self._close(record.offset + 1)
        return steps

    def _pass_cuts(self, offset: int) -> list[Step]:
        """Ends the batches that were decided earlier and end at or below offset. One whose records are all gone from
        the source meanwhile is empty.
        """
        steps: list[Step] = []
        while self._cuts and self._cuts[0].end <= offset:
            cut = self._cuts.popleft()
            steps.append(self._step(self._open, cut) if self._open else Step(self._partition, cut.end, (), (), (), cut))
            self._open = None
            self._begin = cut.end
        return steps

    def _close(self, end: int) -> list[Step]:
        batch, self._open = self._open, None
        assert batch is not None
        self._begin = end
        return [self._step(batch, Cut(end, f"{batch.records[0].timestamp_ms:x}"))]

    def _step(self, batch: _Open, cut: Cut) -> Step:
        first = batch.records[0]
        event = batch_event(first, self._rule.shape, batch.elements, begin=batch.begin, end=cut.end, stamp=cut.stamp)
        events = (event,) if batch.elements else ()
        return Step(self._partition, cut.end, batch.records, events, batch.poison, cut)


def _guarded(make: Callable[[SourceRecord], T | BadRecord], record: SourceRecord) -> T | BadRecord:
    try:
        return make(record)
    except Exception as error:  # a mistake of ours must not stop a partition for good: the record waits on `rejected`
        log.exception("%s cannot be read: %s", record.origin, error, extra={"action": "kafka_normalise_failed"})
        return BadRecord(reason=f"it cannot be read: {error!r}")
